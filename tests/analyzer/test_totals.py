from __future__ import annotations

import pytest

from convaudit.analyzer import analyze, unknowns
from convaudit.formulas import parse, symbol
from convaudit.records import Branch, OtherOp
from tests.networks import conv_layer, mixed_network, network


def arm(*path: tuple[str, str]) -> tuple[Branch, ...]:
    return tuple(Branch(choice=choice, arm=name) for choice, name in path)


def test_sums_equal_the_columns():
    report = analyze(
        network(*(conv_layer(f"c{i}", 6, 6, groups=g, calls=i) for i, g in enumerate((1, 2, 3))))
    )
    assert report.totals.macs == sum(row.macs * row.calls for row in report.layers) == 0 * 36 + 18 + 2 * 12
    assert report.totals.params == sum(row.params for row in report.layers)
    assert report.totals.dense_macs == 3 * 36
    assert report.totals.macs_saved == report.totals.dense_macs - report.totals.macs
    assert report.totals.macs_at_least == report.totals.macs
    assert report.totals.weight_bytes == 4 * report.totals.params
    assert report.totals.layers == 3
    assert report.warnings == ()
    assert unknowns(report) == ()


def test_tied_tensors_count_once_and_calls_count_each():
    tied = {"weight_name": "shared", "bias": True, "bias_name": "shared_bias"}
    report = analyze(network(conv_layer("a", **tied), conv_layer("b", size=(2, 2), **tied)))
    assert report.totals.params == 36 + 6
    assert report.totals.weight_bytes == 42 * 4
    assert report.totals.macs == 36 + 4 * 36


def test_a_tied_weight_may_have_own_biases():
    report = analyze(network(*(conv_layer(name, weight_name="w", bias=True) for name in "ab")))
    assert report.totals.params == 36 + 6 + 6


def test_dynamic_weights_are_left_out_of_the_sum_and_named():
    report = analyze(network(conv_layer("stored"), conv_layer("computed", weight_name=None)))
    assert report.layers[1].params == 36
    assert report.totals.params == 36
    assert report.totals.macs == 72
    assert report.warnings == (
        "computed: the weight is computed at run time, not stored; the total of the parameters leaves it out",
    )


def test_of_exclusive_branches_the_costlier_counts():
    report = analyze(
        network(
            conv_layer("always"),
            conv_layer("then", size=(2, 2), branches=arm(("If_0", "then"))),
            conv_layer("else_1", size=(3, 1), branches=arm(("If_0", "else"))),
            conv_layer("else_2", size=(2, 1), branches=arm(("If_0", "else"))),
        )
    )
    assert report.totals.macs == 36 + max(4 * 36, 3 * 36 + 2 * 36)
    assert report.totals.params == 4 * 36
    assert report.warnings == (
        "If_0: exclusive branches (then 144 MACs, else 180 MACs); the total takes the costlier one",
    )


def test_nested_branches():
    inner = ("inner", "then"), ("inner", "else")
    report = analyze(
        network(
            conv_layer("a", size=(1, 1), branches=arm(("outer", "then"))),
            conv_layer("b", size=(2, 1), branches=arm(("outer", "then"), inner[0])),
            conv_layer("c", size=(5, 1), branches=arm(("outer", "then"), inner[1])),
            conv_layer("d", size=(4, 1), branches=arm(("outer", "else"))),
        )
    )
    assert report.totals.macs == 36 * max(1 + max(2, 5), 4)


def test_symbolic_branches_keep_both():
    report = analyze(
        network(
            conv_layer("then", size=(symbol("H"), 1), branches=arm(("If", "then"))),
            conv_layer("else", size=(symbol("W"), 1), branches=arm(("If", "else"))),
        )
    )
    assert report.totals.macs == parse("max(36*H, 36*W)")


def test_a_loop_of_unknown_length_makes_the_total_unknown_and_says_what_it_is_at_least():
    report = analyze(network(conv_layer("a"), conv_layer("looped", size=(2, 2), calls=None)))
    assert (report.totals.macs, report.totals.macs_at_least) == (None, 36)
    assert report.totals.params == 72
    assert report.warnings == (
        "looped: in a loop of unknown length, 144 MACs per iteration; the total without it is at least 36",
    )
    assert unknowns(report) == ("looped: calls unknown",)


def test_symbolic_trip_counts_multiply():
    assert analyze(network(conv_layer(calls=symbol("steps")))).totals.macs == parse("36*steps")


def test_unknown_macs_give_a_lower_bound():
    report = analyze(
        network(
            conv_layer("a"),
            conv_layer("b", output_shape=None, notes=("its input has no shape",)),
            conv_layer("c", size=(2, 2), branches=arm(("If", "then"))),
            conv_layer("d", output_shape=None, branches=arm(("If", "else"))),
        )
    )
    assert report.totals.macs is None
    assert report.totals.macs_at_least == 36 + 144
    assert "b, d: MACs unknown; the total is at least 180" in report.warnings
    assert len(unknowns(report)) == 2


def test_other_ops_add_to_the_model():
    report = analyze(network(conv_layer(), other_ops=(OtherOp(op="Gemm", count=2, macs=64),)))
    assert (report.totals.macs, report.totals.model_macs) == (36, 100)


def test_an_unknown_other_op_makes_the_model_unknown_but_not_the_convolutions():
    report = analyze(network(conv_layer(), other_ops=(OtherOp(op="my.Op", count=2, macs=None, reason="r"),)))
    assert (report.totals.macs, report.totals.model_macs) == (36, None)
    assert report.warnings == ("2 my.Op: MACs unknown (r)",)
    assert unknowns(report) == ("2 my.Op: macs unknown",)


@pytest.mark.parametrize("layers", [(), (conv_layer(),)], ids=["none-seen", "one-seen"])
def test_what_may_run_convolutions_unseen_makes_all_their_totals_unknown(layers):
    hidden = OtherOp(op="my.op", count=1, macs=None, reason="a custom operator", opaque=True)
    report = analyze(network(*layers, other_ops=(hidden,)))
    totals = report.totals
    assert (totals.layers, totals.macs_at_least) == (len(layers), 36 * len(layers))
    assert {
        *(totals.params, totals.macs, totals.dense_params, totals.dense_macs, totals.weight_bytes),
        *(totals.peak_activation_bytes, totals.model_macs, totals.macs_saved, totals.params_saved),
    } == {None}
    assert report.warnings == (
        "1 my.op: convolutions may run in it unseen, so their totals are unknown (a custom operator)",
    )
    assert unknowns(report) == ("1 my.op: macs unknown, and what convolutions run in it",)


def test_equal_unknown_ops_are_one_warning():
    arms = (arm(("If", "then")), arm(("If", "else")))
    lstm = [
        OtherOp(op="LSTM", count=n, macs=None, reason="r", branches=a) for n, a in enumerate(arms, start=1)
    ]
    assert analyze(network(conv_layer(), other_ops=tuple(lstm))).warnings == ("3 LSTM: MACs unknown (r)",)


def test_a_model_without_convolutions_says_so():
    report = analyze(network())
    assert (report.totals.macs, report.totals.params, report.totals.layers) == (0, 0, 0)
    assert report.warnings == ("the model contains no convolution",)


def test_peak_activation_is_the_largest_layers():
    report = analyze(network(conv_layer("a", 3, 8, size=(9, 9)), conv_layer("b", 8, 8, size=(3, 3))))
    assert report.totals.peak_activation_bytes == 4 * 81 * 11


def test_the_walkers_warnings_come_first():
    assert analyze(mixed_network()).warnings[0] == "a walker's warning"


@pytest.mark.parametrize("count", [4, 10])
def test_many_layers_are_named_by_the_first_three(count):
    report = analyze(network(*(conv_layer(f"c{i}", weight_name=None) for i in range(count))))
    assert report.warnings[0].startswith(f"c0, c1, c2 and {count - 3} more: the weight")


def test_the_file_s_size_is_carried_through():
    assert analyze(network(conv_layer(), file_bytes=1234)).file_bytes == 1234
    assert analyze(network(conv_layer())).file_bytes is None
