"""Round after round, until nothing is left that can be fixed: what goes may let more go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from convaudit.errors import ExecutionError
from convaudit.frontends import FixRequest
from convaudit.frontends.onnx.channels.analysis import analyse
from convaudit.frontends.onnx.channels.facts import Facts, Mask
from convaudit.frontends.onnx.channels.linted import lint_model
from convaudit.frontends.onnx.channels.negligible import certified
from convaudit.frontends.onnx.channels.plan import Plan, make_plan
from convaudit.frontends.onnx.fixer.edit import CannotRewriteError
from convaudit.frontends.onnx.fixer.rewriting import Rewritten, rewritten
from convaudit.frontends.onnx.loader.onnx_file import load_onnx
from convaudit.frontends.onnx.variant.spill import Spill
from convaudit.frontends.onnx.variant.writing import write_model
from convaudit.frontends.onnx.walker import Walked, walk_onnx
from convaudit.records.findings import Claim

_MOST_ROUNDS = 8
_Selected = frozenset[tuple[str, str, tuple[int, ...] | None]]


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
    claims = lint_model(walked).claims
    selected = _selection(claims, how)
    applied: list[Claim] = []
    refused: dict[tuple[str, str, tuple[int, ...] | None], str] = {}
    notes: dict[str, None] = {}
    now, written = walk_onnx(walked.model, allow_run=False), list[Path]()
    for number in range(_MOST_ROUNDS):
        done = _round(now, how, selected, aside.parent / str(number), refused)
        if done is None:
            break
        folder, made, found, spill = done
        applied += [claim for claim in found if number == 0]
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
    return Worked(
        written=written,
        applied=tuple(applied),
        left=tuple(_left(claims, applied, refused, how, selected)),
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
    refused: dict[tuple[str, str, tuple[int, ...] | None], str],
) -> tuple[Path, Rewritten, tuple[Claim, ...], Spill] | None:
    """One round; None if nothing can go."""
    facts = analyse(walked)
    ignored: Mapping[str, Mask] = certified(walked, facts).kernels if how.within_rounding else {}
    if ignored:
        facts = analyse(walked, ignored)
    folder.mkdir()
    plan = make_plan(walked, facts, selected)
    for attempt in range(2):
        if not (plan.kept or plan.crops or plan.regrouped):
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
        found = tuple(claim for claim in plan.claims if claim.fixable)
        return folder, made, found, spill
    return None


def _without_refused(
    walked: Walked,
    facts: Facts,
    plan: Plan,
    ignored: Mapping[str, Mask],
    folder: Path,
    refused: dict[tuple[str, str, tuple[int, ...] | None], str],
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


def _left(
    claims: tuple[Claim, ...],
    applied: list[Claim],
    refused: Mapping[tuple[str, str, tuple[int, ...] | None], str],
    how: FixRequest,
    selected: _Selected | None,
) -> Iterator[Claim]:
    """What was found and stays, with the reasons."""
    gone = {_key(claim) for claim in applied}
    for claim in claims:
        key = _key(claim)
        if key in refused:
            yield replace(claim, fixable=False, reason=refused[key])
        elif claim.certainty != "exact" and claim.fixable and not how.within_rounding:
            yield replace(claim, fixable=False, reason="it holds within rounding: --within-rounding takes it")
        elif not claim.fixable:
            yield claim
        elif key not in gone and claim.certainty == "exact":
            taken = selected is None or key in selected
            reason = "it holds only for the sizes given" if taken else "it was not selected"
            yield replace(claim, fixable=False, reason=reason)


def _key(claim: Claim) -> tuple[str, str, tuple[int, ...] | None]:
    return claim.rule, claim.layer, claim.channels
