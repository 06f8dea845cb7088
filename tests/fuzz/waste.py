"""Random networks with planted waste, linted and fixed: each is found, nothing else, and the outputs stay.

    python -m tests.fuzz.waste SEED N [lint|fix]     # N networks; exit code 1 if something is wrong
    python -m tests.fuzz.waste SEED N only BLOCK     # each with one block of ``tests.waste.generator``

What is idle is found by trying as well: a filter is replaced by large random numbers, and its channel is
unread if no output changes by a bit. What ``--fix`` writes is held against the original in onnxruntime.
"""

from __future__ import annotations

import sys
from collections import Counter

import convaudit
from tests.fuzz.children import Child
from tests.waste.compare import missed_by_chance, wrong_findings, wrong_fix
from tests.waste.generator import planted
from tests.waste.network import Planted
from tests.waste.oracle import Oracle, session

PARTS = ("lint", "fix")


def examine(
    seed: int, counts: Counter[str], parts: tuple[str, ...] = PARTS, only: str | None = None
) -> list[str]:
    """What is wrong with what is said of one network."""
    net = made(seed, only)
    findings = convaudit.lint(net.model)
    faults: list[str] = []
    counts["networks"] += 1
    counts["findings"] += len(findings)
    counts["fixable"] += any(finding.fixable for finding in findings)
    if "lint" in parts:
        oracle = Oracle(net)
        truth = oracle.truth()
        counts["constant"] += sum(map(len, truth.constant.values()))
        counts["unread"] += sum(map(len, truth.unread.values()))
        counts["perhaps idle, not found"] += missed_by_chance(net, findings, truth)
        faults += wrong_findings(net, findings, oracle, truth)
    if "fix" in parts:
        faults += wrong_fix(net, findings)
    return faults


def fuzz(
    seed: int, number: int, parts: tuple[str, ...] = PARTS, only: str | None = None
) -> tuple[Counter[str], list[str]]:
    """Counts of what was seen, and faults with the seed that makes each again."""
    counts: Counter[str] = Counter()
    faults: list[str] = []
    for one in range(seed, seed + number):
        try:
            found = examine(one, counts, parts, only)
        except Exception as error:  # a crash is a fault
            found = [f"{type(error).__name__}: {error!s:.300}"]
        faults += [f"{one}: {fault}" for fault in found]
    return counts, faults


def counted(seed: int, parts: tuple[str, ...], only: str | None) -> tuple[Counter[str], list[str]]:
    """``examine`` for a child process."""
    counts: Counter[str] = Counter()
    return counts, examine(seed, counts, parts, only)


def fuzz_apart(
    seed: int, number: int, parts: tuple[str, ...] = PARTS, only: str | None = None
) -> tuple[Counter[str], list[str]]:
    """As ``fuzz``, apart: onnxruntime's optimiser aborts on a few of the networks themselves."""
    counts: Counter[str] = Counter()
    faults: list[str] = []
    with Child(counted, seconds=120) as child:
        for one in range(seed, seed + number):
            outcome = child(one, parts, only)
            if outcome.crash is not None and not runs(one, only):
                counts["that abort onnxruntime"] += 1
                continue
            told, found = outcome.value or (Counter(), [f"{outcome.crash or outcome.error}"])
            counts += told
            faults += [f"{one}: {fault}" for fault in found]
    return counts, faults


def runs(seed: int, only: str | None) -> bool:
    """Whether onnxruntime optimises and runs the network itself."""
    with Child(run_optimised, seconds=60) as child:
        return child(seed, only).crash is None


def run_optimised(seed: int, only: str | None) -> None:
    """As the name says; it may take the process with it."""
    net = made(seed, only)
    session(net.model, optimise=True).run(None, net.feeds())


def made(seed: int, only: str | None) -> Planted:
    """The network of a seed."""
    return planted(seed, waste=(1.0, 1.0, 1.0, 2.0, 0.0)[seed % 5], only=only)


def main() -> None:
    """Print what was seen, and what is wrong."""
    seed, number, *rest = sys.argv[1:]
    only = rest[1] if rest[:1] == ["only"] else None
    parts = PARTS if only or not rest else (rest[0],)
    counts, faults = fuzz_apart(int(seed), int(number), parts, only)
    for fault in faults:
        print(fault)
    print(", ".join(f"{count} {name}" for name, count in counts.items()), f"{len(faults)} faults", sep="; ")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
