"""Budgets of measured times: kept, broken, and what the spread leaves undecided."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from convaudit.analyzer import analyze
from convaudit.api import check
from convaudit.checks import Budgets, check_budgets
from convaudit.checks.outcome import Outcome
from convaudit.errors import UsageError
from convaudit.formulas import symbol
from convaudit.records.timing import LayerSamples, PartSamples, Timed
from convaudit.timing import with_timing
from tests.networks import conv_layer, network
from tests.timing.made import around, layer_samples
from tests.timing.test_model import RUNTIME

STEM = conv_layer("stem", 8, 8, (1, 1), (4, 4))
FOUR = conv_layer("four", 8, 8, (1, 1), (4, 4), groups=4)
EIGHT = conv_layer("eight", 8, 8, (1, 1), (4, 4), groups=8)
REPORT = analyze(network(STEM, FOUR, EIGHT))
PARTS = (
    PartSamples(name="Relu", kind="other_op", count=3, seconds=around(4e-3)),
    PartSamples(name="Add", kind="other_op", count=1, seconds=around(1e-4)),
)
LAYERS = (
    layer_samples(3e-3),
    layer_samples(2e-3, 2 * 2e-3),
    layer_samples(1e-3, 4 * 1e-3),
)


def outcome_of(budgets: dict[str, Any], layers: tuple[LayerSamples, ...] = LAYERS, **changes: Any) -> Outcome:
    timed = Timed(**({"runs": around(10e-3), "parts": PARTS, "runtime": RUNTIME} | changes), layers=layers)
    (outcome,) = check_budgets(with_timing(REPORT, timed), Budgets(**budgets))
    return outcome


@pytest.mark.parametrize(
    ("limit", "status", "message"),
    [
        pytest.param(
            "12ms",
            "passed",
            "10.0 ms a run (9.96 ms to 10.0 ms; onnxruntime 1, CPUExecutionProvider, 1 thread), "
            "within 12.0 ms",
            id="within",
        ),
        pytest.param(8e-3, "failed", "1 thread), 25.0% over the limit of 8.00 ms", id="over"),
        pytest.param("10ms", "skipped", "undecided, the limit of 10.0 ms lies in the interval", id="at"),
    ],
)
def test_a_run_is_within_a_time_over_it_or_neither(limit, status, message):
    outcome = outcome_of({"max_time": limit})
    assert (outcome.rule, outcome.status) == ("max-time", status)
    assert message in outcome.message


def test_a_run_over_its_time_names_what_takes_it():
    outcome = outcome_of({"max_time": "1ms"})
    assert [(part.name, part.detail, part.is_layer) for part in outcome.contributors] == [
        ("3 Relu", "4.00 ms (40.0%)", False),
        ("stem", "3.00 ms (30.0%)", True),
        ("four", "2.00 ms (20.0%)", True),
        ("eight", "1.00 ms (10.0%)", True),
    ]


def test_few_runs_decide_nothing():
    for rounds, said in ((5, "5 runs do not tell its spread"), (1, "1 run does not tell its spread")):
        outcome = outcome_of({"max_time": "1ms"}, runs=around(10e-3, rounds=rounds))
        assert outcome.status == "skipped"
        assert said in outcome.message


NOISY = (LAYERS[0], *(replace(layer, itself=tuple(2 * x for x in layer.alone)) for layer in LAYERS[1:]))


@pytest.mark.parametrize(
    ("budgets", "status"),
    [
        pytest.param({"max_time": "1ms"}, "skipped", id="over-by-noise-perhaps"),
        pytest.param({"max_time": "20ms"}, "passed", id="within-even-so"),
        pytest.param({"min_realised": "99%"}, "skipped", id="little"),
        pytest.param({"min_realised": "1%"}, "skipped", id="enough"),
    ],
)
def test_a_noisy_machine_fails_nothing(budgets, status):
    outcome = outcome_of(budgets, NOISY)
    assert outcome.status == status
    assert ("the machine is too noisy" in outcome.message) == (status == "skipped")


# promised 2 * 8 * 8 / (2 * 8 + 8) = 5.33, realised (4 + 4) / 3 = 2.67: half of it
@pytest.mark.parametrize(
    ("limit", "status", "message"),
    [
        pytest.param("40%", "passed", "1 thread), at least 40.0%", id="enough"),
        pytest.param("60%", "failed", "1 thread), less than 60.0%", id="little"),
        pytest.param("50%", "skipped", "undecided, the limit of 50.0% lies in the interval", id="at"),
    ],
)
def test_groups_realise_enough_or_too_little_or_neither(limit, status, message):
    outcome = outcome_of({"min_realised": limit})
    assert outcome.status == status
    assert outcome.message.startswith("groups promised 5.33x and realised 2.67x (50.0%) over 2 of 2 layers (")
    assert outcome.message.endswith(message)


def test_groups_that_realise_too_little_name_the_layers_worst_off():
    outcome = outcome_of({"min_realised": "60%"})
    assert [(part.name, part.detail) for part in outcome.contributors] == [
        ("four", "realised 2.00x of 4.00x, 1.00 ms a run lost"),
        ("eight", "realised 4.00x of 8.00x, 500 us a run lost"),
    ]


def test_few_rounds_decide_nothing():
    few = (LAYERS[0], *(LayerSamples(alone=(1.0,) * 3, dense=(1.0,) * 3) for _ in range(2)))
    outcome = outcome_of({"min_realised": "60%"}, few)
    assert outcome.status == "skipped"
    assert "too few rounds" in outcome.message


@pytest.mark.parametrize(
    ("layers", "reason"),
    [
        pytest.param((LAYERS[0], *(LayerSamples(reason="no memory"),) * 2), "four: no memory", id="reason"),
        pytest.param((LayerSamples(),) * 3, "what groups realise is unknown", id="no-reason"),
    ],
)
def test_what_groups_realise_is_not_kept_by_being_unknown(layers, reason):
    outcome = outcome_of({"min_realised": "1%"}, layers)
    assert outcome.status == "failed"
    assert reason in outcome.message


LEFT_OUT = LayerSamples(in_model=around(1e-3), reason="left out", left_out=True)


@pytest.mark.parametrize("limit", [pytest.param("1%", id="kept-so-far"), pytest.param("99%", id="not")])
@pytest.mark.parametrize(
    ("layers", "said"),
    [
        pytest.param(
            (*LAYERS[:2], LEFT_OUT), "undecided, the time budget ended before 1 of the others", id="one"
        ),
        pytest.param((LAYERS[0], LEFT_OUT, LEFT_OUT), "four: left out", id="all"),
    ],
)
def test_a_budget_that_is_too_short_decides_nothing(layers, said, limit):
    outcome = outcome_of({"min_realised": limit}, layers)
    assert outcome.status == "skipped"
    assert said in outcome.message


def test_what_has_no_twin_leaves_the_others_to_be_decided():
    layers = (*LAYERS[:2], LayerSamples(in_model=around(1e-3), reason="no memory"))
    assert outcome_of({"min_realised": "1%"}, layers).status == "passed"
    assert outcome_of({"min_realised": "99%"}, layers).status == "failed"


@pytest.mark.parametrize("budget", [{"max_time": "1min"}, {"min_realised": "1%"}])
def test_times_of_open_sizes_keep_no_limit(budget):
    """Nobody chose the sizes that were run."""
    layer = conv_layer("four", 8, 8, (1, 1), (4, 4), batch=symbol("N"), groups=4)
    timed = Timed(layers=(LAYERS[1],), runs=around(1e-3), runtime=RUNTIME)
    (outcome,) = check_budgets(with_timing(analyze(network(layer)), timed), Budgets(**budget))
    assert outcome.status == "failed"
    assert "times depend on N; fix the size, for instance by --dim N=1" in outcome.message


def test_a_model_without_groups_is_not_held_to_what_they_realise():
    timed = Timed(layers=(LAYERS[0],), runs=around(1))
    (outcome,) = check_budgets(with_timing(analyze(network(STEM)), timed), Budgets(min_realised="50%"))
    assert outcome.status == "skipped"


@pytest.mark.parametrize("budget", [{"max_time": "1min"}, {"min_realised": "0%"}])
def test_a_model_that_was_not_timed_keeps_no_time(budget):
    (outcome,) = check(REPORT, Budgets(**budget))
    assert "the model was not timed; audit it with time=True" in outcome.message


@pytest.mark.parametrize(
    ("budget", "match"),
    [
        pytest.param({"max_time": "12 miles"}, "max_time: '12 miles' is not a .* time", id="text"),
        pytest.param({"max_time": 0}, "max_time: '0' is not a time above 0", id="zero"),
        pytest.param({"max_time": -1.5}, "max_time: '-1.5' is not a ", id="negative"),
        pytest.param({"max_time": float("inf")}, "max_time: 'inf' is not a ", id="infinite"),
        pytest.param({"max_time": True}, "max_time: 'True' is not a ", id="bool"),
        pytest.param({"min_realised": 0.5}, "a percentage such as 40%", id="share"),
    ],
)
def test_values_that_no_time_has(budget, match):
    with pytest.raises(UsageError, match=match):
        Budgets(**budget)


def test_a_time_is_read_as_on_the_command_line():
    assert Budgets(max_time="12ms").max_time == Budgets(max_time=0.012).max_time == 0.012
