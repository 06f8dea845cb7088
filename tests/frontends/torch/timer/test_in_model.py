"""Events of runs, joined to the layers in the order of their calls."""

from __future__ import annotations

from convaudit.frontends.torch.timer.events import Event
from convaudit.frontends.torch.timer.in_model import joined

CONV, RELU = "aten::convolution", "aten::relu"


def run(*names: str, seconds: float = 10.0) -> Event:
    """Operators of 1, 2, 3 and more seconds."""
    inside = [Event(name, float(index), 1.0 + index) for index, name in enumerate(names)]
    return Event("run", 0.0, seconds, inside)


def test_calls_are_the_layers_in_their_order():
    found = joined([10.0], [run(CONV, RELU, CONV, CONV)], [1, 0, 1])
    assert found.layers == {1: (5.0,), 0: (3.0,)}
    assert [(part.name, part.kind, part.count, part.seconds) for part in found.parts] == [
        ("relu", "other_op", 1, (2.0,)),
        ("between operators", "between", 0, (0.0,)),
    ]


def test_a_convolution_that_is_no_layer_is_unattributed():
    found = joined([10.0], [run(CONV, CONV)], [0, None])
    assert found.layers == {0: (1.0,)}
    first = found.parts[0]
    assert (first.name, first.kind, first.seconds) == (CONV, "unattributed", (2.0,))


def test_where_other_convolutions_ran_none_is_attributed_and_all_are_listed():
    found = joined([10.0, 10.0], [run(CONV, CONV), run(CONV, CONV)], [0])
    assert found.layers == {}
    assert "saw 2 convolutions in it, the audit 1" in found.reason
    assert next((part.kind, part.count, part.seconds) for part in found.parts) == (
        "unattributed",
        2,
        (3.0, 3.0),
    )


def test_an_operator_that_only_some_runs_have_takes_no_time_in_the_others():
    found = joined([10.0] * 2, [run(CONV), run(CONV, RELU)], [0])
    assert next(part.seconds for part in found.parts if part.name == "relu") == (0.0, 2.0)


def test_runs_without_the_profiler_are_told_beside_those_with_it():
    found = joined([5.0, 5.1], [run(CONV), run(CONV, seconds=11.0)], [0])
    assert (found.runs, found.plain) == ((10.0, 11.0), (5.0, 5.1))
