"""Findings about channels as claims: regions, and a sentence with the numbers that prove them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from convaudit.frontends.onnx.channels.attributed import Cause
from convaudit.frontends.onnx.channels.coupled import Coupled
from convaudit.frontends.onnx.channels.facts import Facts, along
from convaudit.frontends.onnx.channels.idle import LayerChannels
from convaudit.linting.weights import channel_list
from convaudit.records.findings import Claim, Region

_MOST_NAMES = 3


def claim_of(cause: Cause, layers: Sequence[LayerChannels], coupled: Coupled, facts: Facts) -> Claim:
    """A cause as a claim."""
    own = layers[cause.layer]
    regions = [
        Region(layer=layers[place].layer.name, outputs=tuple(channels))
        for place, channels in cause.outputs.items()
    ]
    regions += [
        Region(layer=layers[place].layer.name, inputs=tuple(channels))
        for place, channels in cause.inputs.items()
    ]
    of_filters = cause.rule != "CA105"
    return Claim(
        rule=cause.rule,
        layer=own.layer.name,
        channels=tuple(cause.channels) if of_filters else None,
        message=_message(cause, layers, coupled, facts),
        regions=tuple(regions),
        fixable=cause.reason is None,
        reason=cause.reason,
    )


def _message(cause: Cause, layers: Sequence[LayerChannels], coupled: Coupled, facts: Facts) -> str:
    own = layers[cause.layer]
    count = len(cause.channels)
    if cause.rule == "CA105":
        total = len(own.in_classes)
        inputs = f"input channel{'s' if count > 1 else ''} {channel_list(cause.channels)} of {total}"
        if count == 1:
            return f"{inputs} adds nothing: its weights are zero, or it is constant"
        return f"{inputs} add nothing: their weights are zero, or they are constant"
    total = len(own.out_classes)
    folding = [layers[place].layer.name for place in cause.inputs if place != cause.layer]
    coupled_filters = sum(len(one) for place, one in cause.outputs.items() if place != cause.layer)
    if cause.rule == "CA102":
        told = f"{count} of {total} channels {'reaches' if count == 1 else 'reach'} no output of the network"
        ends = [f"{_names(folding)} multipl{_verb(folding, 'ies', 'y')} them by zero"] if folding else []
    else:
        told = _constant(cause, own)
        made = _through(cause, own, coupled)
        constants = _constants(own, facts)
        are = "zeros" if constants is not None and not constants[cause.channels].any() else "constants"
        ends = [f"; {_names(folding)} fold{_verb(folding, 's', '')} these {are}"] if folding else []
        return told + made + "".join(ends) + _more(coupled_filters)
    return told + "".join(f": {end}" for end in ends) + _more(coupled_filters)


def _constant(cause: Cause, own: LayerChannels) -> str:
    count, total = len(cause.channels), len(own.out_classes)
    zero = int(own.zero[cause.channels].sum())
    one = count == 1
    if zero == count:
        outputs = "its output is" if one else "their outputs are"
        value = "the bias" if own.layer.bias else "zero"
        return f"{count} of {total} filters {'is' if one else 'are'} all zero: {outputs} {value}"
    gives, them = ("gives a constant", "it") if one else ("give constants", "them")
    told = f"{count} of {total} filters {gives}, as all that reaches {them} is constant"
    return told if not zero else f"{told}, or all zero ({zero})"


def _through(cause: Cause, own: LayerChannels, coupled: Coupled) -> str:
    """The element-wise ops that the constants pass on the way."""
    ops: list[str] = []
    key = own.outs.key
    for _ in range(_MOST_NAMES):
        readers = coupled.readers.get(key, ())
        if (
            len(readers) != 1
            or len(readers[0].inputs) != 1
            or not readers[0].outputs
            or not readers[0].outputs[0]
        ):
            break
        ops.append(readers[0].node.op_type)
        key = readers[0].outputs[0]
    return f" through {', '.join(ops)}" if ops and own.zero[cause.channels].all() else ""


def _constants(own: LayerChannels, facts: Facts) -> np.ndarray | None:
    known = facts.known.get(own.outs.key)
    return None if known is None else along(known, own.outs.axis, len(own.out_classes))[1]


def _more(count: int) -> str:
    return (
        f"; {count} coupled filter{'s' if count > 1 else ''} go{'' if count > 1 else 'es'} with them"
        if count
        else ""
    )


def _names(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    shown = [*names[:_MOST_NAMES], *([f"{more} more"] if more > 0 else [])]
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def _verb(names: Sequence[str], singular: str, plural: str) -> str:
    return singular if len(names) == 1 else plural
