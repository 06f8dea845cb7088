"""Round after round, until nothing is left that can be fixed: what goes may let more go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from convaudit.errors import ExecutionError
from convaudit.frontends import FixRequest
from convaudit.frontends.onnx.channels.analysis import analyse
from convaudit.frontends.onnx.channels.facts import Facts, Mask
from convaudit.frontends.onnx.channels.linted import lint_model
from convaudit.frontends.onnx.channels.negligible import certified
from convaudit.frontends.onnx.channels.own_vectors import rejoin, with_own_vectors
from convaudit.frontends.onnx.channels.plan import Plan, make_plan
from convaudit.frontends.onnx.fixer.edit import CannotRewriteError
from convaudit.frontends.onnx.fixer.rewriting import Rewritten, rewritten
from convaudit.frontends.onnx.loader.onnx_file import load_onnx
from convaudit.frontends.onnx.variant.spill import Spill
from convaudit.frontends.onnx.variant.writing import write_model
from convaudit.frontends.onnx.walker import Walked, walk_onnx
from convaudit.records.findings import Claim

_MOST_ROUNDS = 8
_Key = tuple[str, str, tuple[int, ...] | None]
_Selected = frozenset[_Key]


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
    refused: dict[_Key, str] = {}
    notes: dict[str, None] = {}
    written: list[Path] = []
    copies: Mapping[str, str] = {}
    for number in range(_MOST_ROUNDS):
        now, copies = with_own_vectors(now, copies)
        done = _round(now, how, selected, aside.parent / str(number), refused)
        if done is None:
            break
        folder, made, spill = done
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
        notes=tuple(notes),
    )


def _selection(claims: tuple[Claim, ...], how: FixRequest) -> _Selected | None:
    """What alone is to go; None: all that can."""
    if how.selected is None:
        return None
    able = {_key(claim) for claim in claims if claim.fixable and claim.certainty == "exact"}
    return None if able <= how.selected else how.selected


def _round(
    walked: Walked,
    how: FixRequest,
    selected: _Selected | None,
    folder: Path,
    refused: dict[_Key, str],
) -> tuple[Path, Rewritten, Spill] | None:
    """One round; None if nothing can go."""
    facts = analyse(walked)
    ignored: Mapping[str, Mask] = certified(walked, facts).kernels if how.within_rounding else {}
    if ignored:
        facts = analyse(walked, ignored)
    folder.mkdir()
    if ignored and selected is not None:
        selected = _of_negligible(make_plan(walked, facts).claims, selected)
    plan = make_plan(walked, facts, selected)
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
        return folder, made, spill
    return None


def _of_negligible(claims: tuple[Claim, ...], selected: _Selected) -> _Selected:
    """What is selected, with the claims that stand for findings of negligible channels."""
    wanted: dict[str, set[int]] = {}
    for rule, layer, channels in selected:
        if rule == "CA103":
            wanted.setdefault(layer, set()).update(channels or ())
    more = [_key(claim) for claim in claims if wanted.get(claim.layer, set()) & set(claim.channels or ())]
    return selected | frozenset(more)


def _without_refused(
    walked: Walked,
    facts: Facts,
    plan: Plan,
    ignored: Mapping[str, Mask],
    folder: Path,
    refused: dict[_Key, str],
) -> Plan:
    """A plan of what can be rewritten by itself."""
    able = set()
    for claim in plan.claims:
        if not claim.fixable:
            continue
        spill = Spill(folder / "tried")
        try:
            alone = make_plan(walked, facts, frozenset([_key(claim)]))
            rewritten(walked, facts, alone, spill, ignored)
            able.add(_key(claim))
        except CannotRewriteError as error:
            refused[_key(claim)] = str(error)
        finally:
            spill.remove()
    return make_plan(walked, facts, frozenset(able))


def _why_left(
    claim: Claim, refused: Mapping[_Key, str], how: FixRequest, selected: _Selected | None
) -> str | None:
    """Why what was found stays; None: it was taken out."""
    key = _key(claim)
    if key in refused:
        return refused[key]
    if not claim.fixable:
        return claim.reason or "there is no fix"
    if claim.certainty != "exact" and not how.within_rounding:
        return "it holds within rounding: --within-rounding takes it"
    if selected is not None and key not in selected:
        return "it was not selected"
    return None


def _key(claim: Claim) -> _Key:
    return claim.rule, claim.layer, claim.channels
