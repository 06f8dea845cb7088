"""How much memory activations take at once, at least."""

from __future__ import annotations

import random

import pytest

from convaudit.analyzer.liveness import Step, live_activations
from convaudit.formulas import Count, symbol
from convaudit.records import LiveActivations

SIZES: dict[str, Count] = {"x": 10, "a": 20, "b": 40, "c": 5, "d": 20, "y": 3}


def conv(name: str, reads: str, writes: str) -> Step:
    return Step(name, reads.split(), writes.split(), together=True)


def relu(name: str, reads: str, writes: str) -> Step:
    return Step(name, reads.split(), writes.split())


def whole(name: str, reads: str, writes: str) -> Step:
    return Step(name, reads.split(), writes.split(), view="whole")


def part(name: str, reads: str, writes: str) -> Step:
    return Step(name, reads.split(), writes.split(), view="part")


def live(*steps: Step, inputs: str = "x", outputs: str = "y", **sizes: Count) -> LiveActivations:
    return live_activations(steps, inputs.split(), outputs.split(), (SIZES | sizes).get)


CASES = [
    pytest.param([conv("1", "x", "a"), conv("2", "a", "b"), conv("3", "b", "y")], 60, "2", id="chain"),
    pytest.param([conv("1", "x", "a"), conv("2", "a", "y"), relu("3", "y x", "y2")], 30, "1", id="dead-add"),
    pytest.param([conv("1", "x", "a"), conv("2", "a", "b"), relu("3", "b x", "y")], 70, "2", id="residual"),
    pytest.param([conv("1", "x", "a"), relu("2", "a", "d"), conv("3", "d", "y")], 30, "1", id="in-place"),
    pytest.param([conv("1", "x", "a"), relu("2", "a", "d"), conv("3", "d a", "y")], 43, "3", id="both-read"),
    pytest.param([conv("1", "x", "a"), whole("2", "a", "d"), conv("3", "d a", "y")], 30, "1", id="view"),
    pytest.param([relu("1", "x", "b"), relu("2", "b", "y")], 40, "1", id="joined-in-place"),
    pytest.param([conv("1", "x", "b u"), conv("2", "b", "y")], 50, "1", id="unread-result"),
    pytest.param([conv("0", "x", "b"), conv("1", "x", "y")], 13, "1", id="dead-step"),
    pytest.param(
        [part("1", "b", "p q"), conv("2", "p", "a"), conv("3", "q b", "c"), relu("4", "a c", "y")],
        65,
        "3",
        id="parts-of-what-is-there",
    ),
    pytest.param(
        [part("1", "b", "p q"), conv("2", "p", "a"), conv("3", "q a", "y")],
        60,
        "2",
        id="parts-of-what-is-gone",
    ),
    pytest.param(
        [part("1", "b", "p"), part("2", "b", "q"), conv("3", "p q", "y")],
        40,
        "1",
        id="parts-that-may-overlap",
    ),
    pytest.param(
        [part("1", "b", "p"), part("2", "p", "c"), conv("3", "c", "a y")], 40, "1", id="part-of-part"
    ),
]


@pytest.mark.parametrize(("steps", "most", "step"), CASES)
def test_the_most_at_once(steps: list[Step], most: int, step: str) -> None:
    given = (
        "x b"
        if not any("b" in one.writes for one in steps) and any("b" in one.reads for one in steps)
        else "x"
    )
    found = live(*steps, inputs=given, p=20, q=20, u=1000, y2=1)
    assert (found.bytes, found.step, found.reason) == (most, step, None)


def test_what_a_body_makes_lives_beside_what_is_needed_later() -> None:
    body = LiveActivations(bytes=100, step="inner")
    steps = [conv("1", "x", "a"), Step("If", ("a",), ("c",), inside=body), relu("3", "c x", "y")]
    assert live(*steps) == LiveActivations(bytes=110, step="inner")  # x, not a: the body may free it


def test_a_body_that_is_unknown_makes_all_unknown() -> None:
    body = LiveActivations(bytes=None, reason="why")
    assert live(Step("If", ("x",), ("y",), inside=body)) == body


def test_an_unknown_size_is_named() -> None:
    found = live(conv("1", "x", "?"), conv("2", "?", "y"))
    assert found == LiveActivations(bytes=None, reason="the size of '?' is unknown")


def test_formulas() -> None:
    n, h = symbol("N"), symbol("H")
    steps = [conv("1", "x", "a"), conv("2", "a", "b"), conv("3", "b", "y")]
    found = live(*steps, x=10 * n, a=20 * n, b=40 * n, y=n)
    assert (str(found.bytes), found.step) == ("60*N", "2")
    found = live(*steps, x=10 * n, a=20 * n, b=h, y=h * h)
    assert (str(found.bytes), found.step) == ("max(30*N, H + 20*N, H^2 + H)", None)


def test_many_candidates_are_given_up() -> None:
    names = [f"t{i}" for i in range(9)]
    steps = [conv(str(i), names[i], names[i + 1]) for i in range(8)]
    sizes = {name: symbol(f"S{name}") for name in names}
    found = live_activations(steps, ["t0"], ["t8"], sizes.get)
    assert found == LiveActivations(bytes=None, reason="where it is most depends on the open sizes")


@pytest.mark.parametrize("seed", range(50))
def test_against_counting_each_moment(seed: int) -> None:
    """Without views: the sum over all tensors that are live, anew for each step."""
    draw = random.Random(seed)
    count = draw.randint(1, 12)
    sizes = {f"t{i}": draw.randint(1, 99) for i in range(count + 1)}
    steps = []
    for index in range(count):
        reads = draw.sample([f"t{i}" for i in range(index + 1)], k=min(index + 1, draw.randint(1, 3)))
        steps.append(Step(f"s{index}", reads, [f"t{index + 1}"], together=draw.random() < 0.5))
    outputs = {f"t{count}", *draw.sample(sorted(sizes), k=1)}
    needed, last = set(outputs), dict.fromkeys(outputs, count)
    for index in reversed(range(count)):
        if f"t{index + 1}" in needed:
            needed |= set(steps[index].reads)
            for name in steps[index].reads:
                last.setdefault(name, index)
    born = {name: int(name[1:]) - 1 for name in needed}
    most = 0
    for index in range(count):
        before = {name for name in needed if born[name] < index <= last[name]}
        after = {name for name in needed if born[name] <= index < last[name]}
        together = before | after if steps[index].together else set()
        most = max([most, *(sum(sizes[name] for name in names) for names in (before, after, together))])
    assert live_activations(steps, ["t0"], outputs, sizes.get).bytes == most


def test_ten_thousand_steps_cost_little() -> None:
    """One pass: were it quadratic, this would take minutes."""
    steps = [conv(str(i), f"t{i}", f"t{i + 1}") for i in range(10_000)]
    assert live_activations(steps, ["t0"], ["t10000"], lambda name: 7).bytes == 14
    parts = [part(str(i), f"t{i}", f"t{i + 1}") for i in range(10_000)]
    assert live_activations(parts, ["t0"], ["t10000"], lambda name: 7).bytes == 7
