"""Round after round, until nothing is left that can be fixed: what goes may let more go."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

from convaudit.errors import ExecutionError
from convaudit.frontends import FixRequest
from convaudit.frontends.onnx.channels.analysis import analyse
from convaudit.frontends.onnx.channels.facts import Facts, Mask
from convaudit.frontends.onnx.channels.linted import lint_model
from convaudit.frontends.onnx.channels.negligible import certified
from convaudit.frontends.onnx.channels.own_vectors import rejoin, with_own_vectors
from convaudit.frontends.onnx.channels.paying import COSTS_MORE, pays
from convaudit.frontends.onnx.channels.plan import Plan, make_plan
from convaudit.frontends.onnx.fixer.edit import CannotRewriteError
from convaudit.frontends.onnx.fixer.rewriting import Rewritten, rewritten
from convaudit.frontends.onnx.loader.onnx_file import load_onnx
from convaudit.frontends.onnx.variant.spill import Spill
from convaudit.frontends.onnx.variant.writing import write_model
from convaudit.frontends.onnx.walker import Walked, walk_onnx
from convaudit.records.findings import Claim, ClaimKey

_MOST_ROUNDS = 8
_Selected = frozenset[ClaimKey]


@dataclass(frozen=True, slots=True, kw_only=True)
class Worked:
    """The network without what could be taken out.

    Attributes:
        written: Its files, aside.
        applied: What was taken out.
        left: What was not, with the reasons.
        notes: What else is no longer as it was.
    """

    written: list[Path]
    applied: tuple[Claim, ...]
    left: tuple[Claim, ...]
    notes: tuple[str, ...]


def work_off(walked: Walked, how: FixRequest, aside: Path) -> Worked:
    """Take out of a network all that can go, whatever sizes its inputs have that the file leaves open.

    Args:
        walked: The network, with the sizes that were given.
        how: What is to go.
        aside: In whose folder the rounds are written, each in one of its own.

    Raises:
        LoadError: Weights are missing.
        ExecutionError: What is left could still be fixed.
    """
    now = walk_onnx(walked.model, allow_run=False)
    claims = lint_model(walked).claims
    selected = _selection(claims, how)
    refused: dict[ClaimKey, str] = {}
    notes: dict[str, None] = {}
    written: list[Path] = []
    copies: Mapping[str, str] = {}
    for number in range(_MOST_ROUNDS):
        planned = _planned(now, how, selected, copies)
        if not number:
            refused.update(dict.fromkeys(planned.spared, COSTS_MORE))
        folder = aside.parent / str(number)
        done = _round(planned, folder, refused)
        if done is None:
            break
        made, spill = done
        now, copies = planned.walked, planned.copies
        copies = rejoin(made.proto, copies)
        notes.update(dict.fromkeys(made.notes))
        written = write_model(now.model, made.proto, spill, folder / aside.name)
        spill.remove()
        source = f"the smaller {walked.network.source}"
        now = walk_onnx(replace(load_onnx(written[0]), source=source), allow_run=False)
        if selected is not None:
            break  # its channels have other numbers now
    else:
        raise ExecutionError(
            f"{walked.network.source}: after {_MOST_ROUNDS} rounds more could go; nothing is written; "
            "please report it with the model"
        )
    reasons = [_why_left(claim, refused, how, selected) for claim in claims]
    pairs = list(zip(claims, reasons, strict=True))
    applied = tuple(claim for claim, why in pairs if why is None and written)
    return Worked(
        written=written if applied else [],  # columns of products alone may go: of them nothing was found
        applied=applied,
        left=tuple(replace(claim, fixable=False, reason=why) for claim, why in pairs if why is not None),
        notes=(*notes, *_parted(walked, now, copies)),
    )


def _parted(before: Walked, after: Walked, copies: Mapping[str, str]) -> list[str]:
    """That vectors are stored more than once now, which the findings' savings do not know of."""
    names = list(dict.fromkeys(copies.values()))
    if not names:
        return []
    sizes = [
        {tensor.name: prod(tensor.dims) for tensor in one.model.proto.graph.initializer}
        for one in (before, after)
    ]
    was, now = (sum(size.get(name, 0) for name in {*names, *copies}) for size in sizes)
    others = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return [
        f"the readers of {names[0]!r}{others} keep different parts: copies for them make {now} elements of "
        f"{was}, which the savings of the findings do not know of"
    ]


def _selection(claims: tuple[Claim, ...], how: FixRequest) -> _Selected | None:
    """What alone is to go; None: all that can."""
    if how.selected is None:
        return None
    able = {claim.key for claim in claims if claim.fixable and claim.certainty == "exact"}
    return None if able <= how.selected else how.selected


@dataclass(frozen=True, slots=True)
class _Planned:
    """One round, planned."""

    walked: Walked
    facts: Facts
    ignored: Mapping[str, Mask]
    plan: Plan
    copies: Mapping[str, str]
    spared: Set[ClaimKey] = frozenset()  # what could go if shared vectors were taken apart


def _planned(
    shared: Walked, how: FixRequest, selected: _Selected | None, before: Mapping[str, str]
) -> _Planned:
    """What is to go, of a model whose shared vectors are taken apart where that pays."""
    walked, copies = with_own_vectors(shared, before)
    own = _plan_of(walked, how, selected, copies)
    if pays(walked, own.plan, copies):
        return own
    left = _plan_of(shared, how, selected, before)
    able = {claim.key for claim in own.plan.claims if claim.fixable}
    still = {claim.key for claim in left.plan.claims if claim.fixable}
    return replace(left, spared=able - still)


def _plan_of(
    walked: Walked, how: FixRequest, selected: _Selected | None, copies: Mapping[str, str]
) -> _Planned:
    facts = analyse(walked)
    ignored: Mapping[str, Mask] = certified(walked, facts).kernels if how.within_rounding else {}
    if ignored:
        facts = analyse(walked, ignored)
    if ignored and selected is not None:
        selected = _of_negligible(make_plan(walked, facts).claims, selected)
    return _Planned(walked, facts, ignored, make_plan(walked, facts, selected), copies)


def _round(planned: _Planned, folder: Path, refused: dict[ClaimKey, str]) -> tuple[Rewritten, Spill] | None:
    """One round; None if nothing can go."""
    walked, facts, plan, ignored = planned.walked, planned.facts, planned.plan, planned.ignored
    folder.mkdir()
    for attempt in range(2):
        if not (plan.kept or plan.crops or plan.regrouped or plan.dropped):
            return None
        spill = Spill(folder / f"weights{attempt}")
        try:
            made = rewritten(walked, facts, plan, spill, ignored)
        except CannotRewriteError as error:
            spill.remove()
            if attempt:
                raise ExecutionError(f"{walked.network.source}: {error}; nothing is written") from None
            plan = _without_refused(walked, facts, plan, ignored, folder, refused)
            continue
        return made, spill
    return None


def _of_negligible(claims: tuple[Claim, ...], selected: _Selected) -> _Selected:
    """What is selected, with the claims that stand for findings of negligible channels."""
    wanted: dict[str, set[int]] = {}
    for rule, layer, channels in selected:
        if rule == "CA103":
            wanted.setdefault(layer, set()).update(channels or ())
    more = [claim.key for claim in claims if wanted.get(claim.layer, set()) & set(claim.channels or ())]
    return selected | frozenset(more)


def _without_refused(
    walked: Walked,
    facts: Facts,
    plan: Plan,
    ignored: Mapping[str, Mask],
    folder: Path,
    refused: dict[ClaimKey, str],
) -> Plan:
    """A plan of what can be rewritten by itself."""
    able = set()
    for claim in plan.claims:
        if not claim.fixable:
            continue
        spill = Spill(folder / "tried")
        try:
            alone = make_plan(walked, facts, frozenset([claim.key]))
            rewritten(walked, facts, alone, spill, ignored)
            able.add(claim.key)
        except CannotRewriteError as error:
            refused[claim.key] = str(error)
        finally:
            spill.remove()
    return make_plan(walked, facts, frozenset(able))


def _why_left(
    claim: Claim, refused: Mapping[ClaimKey, str], how: FixRequest, selected: _Selected | None
) -> str | None:
    """Why what was found stays; None: it was taken out."""
    key = claim.key
    if key in refused:
        return refused[key]
    if not claim.fixable:
        return claim.reason or "there is no fix"
    if claim.certainty != "exact" and not how.within_rounding:
        return "it holds within rounding: --within-rounding takes it"
    if selected is not None and key not in selected:
        return "it was not selected"
    return None
