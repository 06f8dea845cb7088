"""Differences: which layer is which, what changed in it, and what the totals say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convaudit.analyzer import analyze
from convaudit.checks import Difference, difference_of
from convaudit.checks.matching import match_layers
from convaudit.formulas import symbol
from convaudit.records import AuditReport, ConvLayer
from tests.networks import conv_layer, mixed_network, network

PADDED = {"padding": ((1, 1), (1, 1))}


def stem(name: str = "stem", **changes: Any) -> ConvLayer:
    return conv_layer(name, 3, 32, (3, 3), (32, 32), **(PADDED | changes))


def expand(name: str) -> ConvLayer:
    return conv_layer(name, 16, 32, (1, 1), (16, 16))


def depthwise(name: str, groups: int = 32, **changes: Any) -> ConvLayer:
    return conv_layer(name, 32, 32, (3, 3), (16, 16), groups=groups, **(PADDED | changes))


def project(name: str) -> ConvLayer:
    return conv_layer(name, 32, 16, (1, 1), (16, 16))


def block(prefix: str, groups: int = 32) -> list[ConvLayer]:
    return [expand(f"{prefix}.expand"), depthwise(f"{prefix}.dw", groups), project(f"{prefix}.project")]


def compare(before: list[ConvLayer], after: list[ConvLayer]) -> Difference:
    return difference_of(analyze(network(*before)), analyze(network(*after)))


def numbered(*layers: ConvLayer) -> list[ConvLayer]:
    """Named as old exporters do: by position."""
    return [replace(layer, name=f"Conv_{i}") for i, layer in enumerate(layers)]


def anonymous(layers: list[ConvLayer]) -> list[ConvLayer]:
    return [replace(layer, name=f"other_{i}", op="aten.convolution") for i, layer in enumerate(layers)]


A, B, C = block("a"), block("b"), block("c")
NET = [stem(), *A, *B, *C]
DENSE_B = [stem(), *A, *block("b", groups=1), *C]


def summary(difference: Difference) -> dict[str, list[Any]]:
    return {
        "added": [layer.name for layer in difference.added],
        "removed": [layer.name for layer in difference.removed],
        "changed": [
            (change.after.name, [(c.field, c.before, c.after) for c in change.changes if c.field == "groups"])
            for change in difference.changed
        ],
    }


def only(**expected: list[Any]) -> dict[str, list[Any]]:
    return {"added": [], "removed": [], "changed": []} | expected


GROUPS = [("groups", 32, 1)]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param(NET, NET, only(), id="equal"),
        pytest.param(NET, anonymous(NET), only(), id="all-renamed"),
        pytest.param(NET, [stem(), *B, *C, *A], only(), id="reordered"),
        pytest.param(NET, DENSE_B, only(changed=[("b.dw", GROUPS)]), id="one-of-three-repeated-blocks"),
        pytest.param(
            NET, anonymous(DENSE_B), only(changed=[("other_5", GROUPS)]), id="changed-and-all-renamed"
        ),
        pytest.param(NET, [stem(), *A, *C], only(removed=["b.expand", "b.dw", "b.project"]), id="block-gone"),
        pytest.param(
            numbered(stem(), *A, *B),
            numbered(stem("first", stride=(2, 2)), *NET[:7]),
            only(added=["Conv_0"]),
            id="inserted-first-shifts-all-numbers",
        ),
        pytest.param(
            numbered(*NET),
            numbered(stem(), *A, *block("b", groups=1), *C, project("last")),
            only(changed=[("Conv_5", GROUPS)], added=["Conv_10"]),
            id="changed-and-its-old-form-added-elsewhere",
        ),
        pytest.param(
            numbered(stem(), expand("e")),
            numbered(expand("e"), project("p")),
            only(removed=["Conv_0"], added=["Conv_1"]),
            id="one-identical-outweighs-two-alike",
        ),
        pytest.param(
            [stem(), depthwise("a")],
            [depthwise("a", transposed=True), stem()],
            only(changed=[("a", [])]),
            id="moved-and-changed-is-found-by-name",
        ),
        pytest.param(
            [stem(), depthwise("a"), project("p")],
            [stem(), conv_layer("b", 40, 40, (3, 3), (16, 16), groups=40, **PADDED), project("p")],
            only(changed=[("b", [("groups", 32, 40)])]),
            id="renamed-and-of-another-width",
        ),
        pytest.param(
            [stem(), depthwise("a"), project("p")],
            [stem(), conv_layer("b", 40, 40, (5, 3), (16, 16), groups=40, **PADDED), project("p")],
            only(removed=["a"], added=["b"]),
            id="renamed-and-unlike",
        ),
        pytest.param(NET, [], only(removed=[layer.name for layer in NET]), id="nothing-left"),
        pytest.param([], NET, only(added=[layer.name for layer in NET]), id="nothing-before"),
        pytest.param([], [], only(), id="nothing-at-all"),
    ],
)
def test_layers_are_matched_by_identity(
    before: list[ConvLayer], after: list[ConvLayer], expected: dict[str, list[Any]]
) -> None:
    difference = compare(before, after)
    assert summary(difference) == expected
    assert difference.equal == (expected == only())


def test_a_dense_layer_for_a_depthwise_one_changes_groups_params_and_macs() -> None:
    (change,) = compare(NET, DENSE_B).changed
    assert [(c.field, c.before, c.after) for c in change.changes] == [
        ("groups", 32, 1),
        ("params", 32 * 9, 32 * 32 * 9),
        ("macs", 32 * 9 * 256, 32 * 32 * 9 * 256),
    ]


def test_totals_carry_their_deltas() -> None:
    difference = compare(NET, DENSE_B)
    totals = {total.name: total for total in difference.totals}
    assert totals["params"].delta == 31 * 32 * 9
    assert totals["macs"].delta == 31 * 32 * 9 * 256
    assert totals["layers"].delta == 0
    assert totals["dense_macs"].delta == 0


def test_totals_differ_though_no_convolution_does() -> None:
    before = analyze(network(*NET))
    after = analyze(network(*NET, model_params=before.totals.model_params + 1))
    difference = difference_of(before, after)
    assert summary(difference) == only()
    assert not difference.equal


@pytest.mark.parametrize(
    ("field", "change"),
    [
        pytest.param("stride", {"stride": (2, 2)}, id="stride"),
        pytest.param("dilation", {"dilation": (2, 2), "padding": ((2, 2), (2, 2))}, id="dilation"),
        pytest.param("padding", {"padding": ((0, 2), (1, 1))}, id="padding"),
        pytest.param("bias", {"bias": True}, id="bias"),
        pytest.param("weight_dtype", {"weight_dtype": "int8"}, id="weight-dtype"),
        pytest.param("dtype", {"dtype": "float16"}, id="dtype"),
        pytest.param("calls", {"calls": 2}, id="calls"),
        pytest.param("input_shape", {"input_shape": (1, 3, 64, 64)}, id="input-shape"),
    ],
)
def test_a_changed_field_is_named(field: str, change: dict[str, Any]) -> None:
    difference = compare([stem(), *A], [stem(**change), *A])
    (changed,) = difference.changed
    assert changed.after.name == "stem"
    assert field in [c.field for c in changed.changes]


@pytest.mark.parametrize(
    "same",
    [
        pytest.param({"op": "aten.convolution"}, id="op-name"),
        pytest.param({"output_padding": (0, 0)}, id="output-padding-of-nothing"),
        pytest.param({"weight_name": "elsewhere"}, id="weight-name"),
        pytest.param({"scope": "body"}, id="place"),
        pytest.param(
            {"layout": "channels_last", "input_shape": (1, 32, 32, 3), "output_shape": (1, 32, 32, 32)},
            id="layout",
        ),
    ],
)
def test_spelling_is_no_difference(same: dict[str, Any]) -> None:
    assert compare([stem(), *A], [stem(**same), *A]).equal


BIASED = [replace(layer, bias=True, bias_name=f"{layer.name}.bias", bias_dtype="float32") for layer in NET]


@pytest.mark.parametrize(
    ("before", "after", "changes", "note"),
    [
        pytest.param(NET, BIASED, {}, "biases gained: 10; exporters fold a BatchNorm", id="folded"),
        pytest.param(BIASED, NET, {}, "biases lost: 10; exporters drop one", id="zero-bias"),
        pytest.param(
            NET,
            NET,
            {"model_params": 5_000},
            "parameters outside of convolutions: 0 -> 200; exporters fold those of BatchNorm",
            id="elsewhere",
        ),
    ],
)
def test_what_an_exporter_does_is_explained(
    before: list[ConvLayer], after: list[ConvLayer], changes: dict[str, Any], note: str
) -> None:
    original = analyze(network(*before, format="torch"))
    difference = difference_of(original, analyze(network(*after, format="onnx", **changes)))
    assert not difference.equal
    assert [line for line in difference.notes if line.startswith(note)]
    same_format = difference_of(original, analyze(network(*after, format="torch", **changes)))
    assert not same_format.notes


def test_an_open_dimension_in_one_model_is_explained() -> None:
    difference = compare([stem()], [stem(batch=symbol("N"))])
    assert not difference.equal
    assert [note for note in difference.notes if "leaves N open" in note and "--dim" in note]


def test_what_is_unknown_in_both_is_said_not_called_equal() -> None:
    report = analyze(mixed_network())
    difference = difference_of(report, report)
    assert [note for note in difference.notes if note.startswith("unknown in both") and "macs" in note]


def report_of(letters: str) -> AuditReport:
    kinds = {"s": stem, "e": expand, "d": depthwise, "p": project}
    return analyze(network(*(kinds[letter](f"{i}{letter}") for i, letter in enumerate(letters))))


@given(before=st.text("sedp", max_size=12), after=st.text("sedp", max_size=12))
def test_a_matching_is_one_to_one_and_complete(before: str, after: str) -> None:
    first, second = report_of(before), report_of(after)
    pairs = match_layers(first.layers, second.layers)
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)
    lonely = sorted(before[i] for i in range(len(before)) if i not in {i for i, _ in pairs})
    lonely_after = sorted(after[j] for j in range(len(after)) if j not in {j for _, j in pairs})
    assert not set(lonely) & set(lonely_after), "layers with the same signature were left apart"


@given(letters=st.text("sedp", min_size=1, max_size=12), data=st.data())
def test_one_removed_layer_is_the_only_difference(letters: str, data: st.DataObject) -> None:
    gone = data.draw(st.integers(0, len(letters) - 1))
    before = report_of(letters)
    after = analyze(network(*(layer for i, layer in enumerate(before.layers) if i != gone)))
    difference = difference_of(before, after)
    assert [layer.name for layer in difference.removed] == [before.layers[gone].name]
    assert not difference.added
    assert not difference.changed
    assert not difference.renamed


def test_a_quantiser_s_names_still_tell_equal_layers_apart() -> None:
    before = [project("left"), project("right")]
    after = [replace(project(f"{name}_quant"), dtype="uint8") for name in ("right", "left")]
    assert [(change.before.name, change.after.name) for change in compare(before, after).changed] == [
        ("right", "right_quant"),
        ("left", "left_quant"),
    ]
