"""Holds what ``nn.Conv*`` modules declare against the convolution that ran in them.

A reader of a model takes a module's ``groups``, ``stride``, ``padding``, ``dilation`` and ``weight`` for what
it computes. A subclass, a hook, a forward put on the instance or a patched ``torch.nn.functional`` can make
that untrue. What a subclass's own forward may do in good faith (compute its weight from the stored one, pad
by itself, go on with the result) is noted, and is not a mismatch.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules import conv as torch_conv
from torch.nn.utils.parametrize import is_parametrized

from convaudit.frontends.torch import _private as private
from convaudit.frontends.torch.ops import ConvCall
from convaudit.frontends.torch.stored import Stored
from convaudit.frontends.torch.verifier.same import address, equal, is_rearranged, kept_copy, strides
from convaudit.records import Verification
from convaudit.shapes import as_text


@dataclass(frozen=True, slots=True)
class Conflict:
    """One way in which a module is not what it declares."""

    kind: Literal["fact", "value", "open", "note"]
    text: str


@dataclass(frozen=True, slots=True)
class _Ran:
    """A convolution that ran in it."""

    place: int
    findings: tuple[Conflict, ...]
    output: Tensor
    kept: Tensor  # what ``output`` held then


@dataclass(slots=True)
class _Running:
    """A convolution module whose forward is running."""

    module: Any
    x: Tensor | None
    sized: bool  # a transposed one was told its output's size
    transformed: bool  # by vmap or a gradient, which may fold an axis of their own into groups
    kept: Tensor | None  # what ``x`` held when it came
    ran: list[_Ran] = field(default_factory=list)


class Declarations:
    """Watches the convolution modules of one forward.

    Attributes:
        found: What was found of each layer, by its place in the network.
    """

    def __init__(self) -> None:
        self.found: dict[int, list[Conflict]] = {}
        self._threads = threading.local()  # of each, the modules that are running, the innermost last
        self._stored = Stored([])

    def attach(self, duplicate: nn.Module, stored: Stored) -> None:
        """Watch the modules of ``duplicate``, a private copy whose tensors are ``stored``."""
        self._stored = stored
        for module in duplicate.modules():
            if isinstance(module, private.conv_modules()):
                module.register_forward_pre_hook(self._enter, prepend=True, with_kwargs=True)
                module.register_forward_hook(self._leave, always_call=True)

    def ran(self, place: int, call: ConvCall, output: Tensor) -> None:
        """A convolution ran, of the network's layer at ``place``."""
        if not self._running or call.row.packed or output.is_meta:
            return
        running = self._running[-1]
        if running.transformed:
            return
        findings = tuple(_differences(running, call, self._stored))
        running.ran.append(_Ran(place, findings, output, kept_copy(output)))

    @property
    def _running(self) -> list[_Running]:
        stack: list[_Running] = self._threads.__dict__.setdefault("stack", [])
        return stack

    def _enter(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        given = [*args, *kwargs.values()]
        x = given[0] if given and isinstance(given[0], Tensor) else None
        transformed = private.is_transformed()
        with private.unwatched():
            kept = None if x is None or transformed or _has_own_forward(module) else kept_copy(x)
        self._running.append(_Running(module, x, len(given) > 1, transformed, kept))

    def _leave(self, _module: nn.Module, _args: Any, output: Any) -> None:
        running = self._running.pop()
        if len(running.ran) == 1:
            (ran,) = running.ran
            with private.unwatched():
                changed = list(_changed_output(running, ran, output))
            findings = [*ran.findings, *changed, *_own_call(running.module)]
            self.found.setdefault(ran.place, []).extend(findings)
        elif running.x is None or not running.x.is_complex():  # several make up one of complex numbers
            for ran in running.ran:
                self.found.setdefault(ran.place, []).append(_one_of_several(running))


def with_declared(verdict: Verification, findings: Sequence[Conflict]) -> Verification:
    """The verdict on the convolution that ran, and what it is not of the declared one."""
    texts: dict[str, list[str]] = {"fact": [], "value": [], "open": [], "note": []}
    for finding in dict.fromkeys(findings):
        texts[finding.kind].append(finding.text)
    wrong = texts["fact"] + texts["value"] or ([] if verdict.failed else texts["open"])
    if not wrong:
        return replace(verdict, reason="; ".join([verdict.reason, *texts["open"], *texts["note"]]))
    return replace(
        verdict,
        status="miscounted" if texts["fact"] else "mismatch" if texts["value"] else "not_supported",
        reason=f"{'; '.join(wrong)}; what ran is by itself {verdict.words}: {verdict.reason}",
    )


# --- one call against its module ------------------------------------------------------------------------


def _differences(running: _Running, call: ConvCall, stored: Stored) -> Iterator[Conflict]:
    module = running.module
    facts: list[tuple[str, Any, Any]] = [
        ("transposed", isinstance(module, private.transposed_modules()), call.transposed),
        ("groups", module.groups, call.groups),
        ("stride", tuple(module.stride), call.stride),
        ("dilation", tuple(module.dilation), call.dilation),
    ]
    if call.transposed and not running.sized:
        facts.append(("output_padding", tuple(module.output_padding), call.output_padding))
    for name, declared, ran in facts:
        if declared != ran:
            yield Conflict("fact", f"{name}={declared} is declared, but {name}={ran} ran")
    yield from _padding(running, call)
    yield from _weight(module, call, stored)
    yield from _bias(module, call, stored)


def _padding(running: _Running, call: ConvCall) -> Iterator[Conflict]:
    """What an operator pads, and what was put around its input before, make up what is declared."""
    module, x = running.module, running.x
    if x is None or call.rank != len(module.kernel_size):
        return
    before = [inner - outer for inner, outer in zip(call.x.shape[2:], x.shape[-call.rank :], strict=True)]
    ran = [sum(pair) + more for pair, more in zip(call.padding, before, strict=True)]
    declared = _declared_padding(module)
    own = _has_own_forward(module)
    if running.kept is not None and not equal(running.kept, x):
        yield Conflict("value", "a hook or a patched function writes to the input before the convolution")
    if own and any(before) and (min(before) < 0 or module.padding == "same" or ran >= declared):
        yield Conflict("note", "its forward changes its input's size before the convolution")
    elif ran != declared:
        yield Conflict(
            "fact",
            f"padding={module.padding!r} is declared ({as_text(declared)} in all), but {as_text(ran)} ran",
        )
    elif not own and not any(before) and not equal(_batched(x, call), call.x):
        yield Conflict("value", "a hook or a patched function changes the input before the convolution")
    elif not own and any(before) and not _padded_equally(module, x, call):
        yield Conflict("value", f"the input is not padded as padding_mode={module.padding_mode!r} declares")


def _declared_padding(module: Any) -> list[int]:
    if module.padding == "same":
        return [d * (k - 1) for k, d in zip(module.kernel_size, module.dilation, strict=True)]
    if module.padding == "valid":
        return [0] * len(module.kernel_size)
    return [2 * amount for amount in module.padding]


def _padded_equally(module: Any, x: Tensor, call: ConvCall) -> bool:
    mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
    grown = [size - outer for size, outer in zip(call.x.shape[2:], x.shape[-call.rank :], strict=True)]
    amounts = []
    for more in reversed(grown):
        # zeros: what the operator pads itself, evenly, is not in its input, so that the end alone grew
        before = 0 if mode == "constant" else more // 2
        amounts += [before, more - before]
    return equal(torch.nn.functional.pad(_batched(x, call), amounts, mode=mode), call.x)


def _batched(x: Tensor, call: ConvCall) -> Tensor:
    return x[None] if x.dim() == call.rank + 1 else x


def _weight(module: Any, call: ConvCall, stored: Stored) -> Iterator[Conflict]:
    shape, first, second = call.weight.shape, module.out_channels, module.in_channels // module.groups
    if isinstance(module, private.transposed_modules()):
        first, second = module.in_channels, module.out_channels // module.groups
    declared = (first, second, *module.kernel_size)
    own = _own(module, "weight")
    origin = _origin(own, call.weight, stored)
    if tuple(shape) != declared and call.groups == module.groups:
        told = f"a weight {as_text(declared)} is declared, but {as_text(tuple(shape))} ran"
        yield Conflict("note" if origin == "own" and _has_own_forward(module) else "fact", told)
    elif tuple(shape) == declared and own is not None and not equal(own, call.weight):
        if is_rearranged(own, call.weight):
            yield Conflict("value", "the weight that ran holds the declared one's values in another order")
        else:
            yield from _replaced(module, "weight", origin)


def _bias(module: Any, call: ConvCall, stored: Stored) -> Iterator[Conflict]:
    own, ran = _own(module, "bias"), call.bias
    if is_parametrized(module, "bias") or (own is None and ran is None):
        return
    if own is None or ran is None:
        told = "no bias is declared, but one ran" if own is None else "a bias is declared, but none ran"
        yield Conflict("note" if _has_own_forward(module) else "value", told)
    elif not equal(own, ran):
        yield from _replaced(module, "bias", _origin(own, ran, stored))


def _replaced(module: Any, name: str, origin: str) -> Iterator[Conflict]:
    if origin == "own" and _has_own_forward(module):
        yield Conflict("note", f"the {name} that ran is computed from the declared one")
    elif origin == "own":
        yield Conflict("value", f"a hook or a patched function changes the {name}")
    elif origin == "input" and _has_own_forward(module):
        yield Conflict("note", f"the {name} that ran is computed from the forward's input")
    else:
        yield Conflict("value", f"the {name} that ran is not the module's, nor computed from it")


def _one_of_several(running: _Running) -> Conflict:
    told = f"{len(running.ran)} convolutions ran in it, so what it declares is compared with none of them"
    return Conflict("note" if _has_own_forward(running.module) else "open", told)


def _changed_output(running: _Running, call: _Ran, output: Any) -> Iterator[Conflict]:
    ran = call.output
    if not isinstance(output, Tensor):
        return
    same = output.numel() == ran.numel() and equal(call.kept, ran)
    if same and address(output) == address(ran) and strides(output) == strides(ran):
        return
    if same and output.dim() + 1 >= ran.dim() and equal(ran.reshape(output.shape), output):
        return
    if _has_own_forward(running.module) or hasattr(running.module, "activation_post_process"):
        yield Conflict("note", "its forward goes on with the convolution's result")
    else:
        yield Conflict("value", "a hook or a patched function changes the convolution's output")


def _own_call(module: Any) -> Iterator[Conflict]:
    if type(module).__call__ is not nn.Module.__call__:
        yield Conflict(
            "note", "its class's own __call__ may change the input and the result, which is not judged"
        )


# --- tensors and modules --------------------------------------------------------------------------------


def _has_own_forward(module: Any) -> bool:
    """Whether the module's class, and not somebody from outside, says what its forward does."""
    kind = type(module)
    if {"forward", private.CONV_FORWARD} & vars(module).keys():
        return False
    methods: list[Callable[..., Any]] = [kind.forward, getattr(kind, private.CONV_FORWARD, kind.forward)]
    return any(inspect.unwrap(method).__module__ != torch_conv.__name__ for method in methods)


def _own(module: nn.Module, name: str) -> Tensor | None:
    """The module's tensor, unless it is computed whenever it is asked for."""
    stored = dict(module.named_parameters(recurse=False))
    tensor = stored.get(name, vars(module).get(name))
    return tensor if isinstance(tensor, Tensor) and not tensor.is_meta else None


def _origin(own: Tensor | None, ran: Tensor, stored: Stored) -> Literal["own", "input", "other"]:
    """What a tensor that ran was computed from."""
    origin = stored.origin(ran)
    if origin is None:
        return "input" if stored.was_computed(ran) else "other"
    name = None if own is None else stored.name(own)
    return "own" if name in origin or (own is not None and name is None and origin) else "other"
