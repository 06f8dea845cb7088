from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convaudit.analyzer import analyze
from convaudit.checks.budgets import Budgets, check_budgets
from convaudit.errors import UsageError
from convaudit.formulas import symbol
from convaudit.records import OtherLayer, OtherOp
from convaudit.reporters import FORMATS, View
from convaudit.reporters.cells import kernel_text
from convaudit.reporters.columns import COLUMNS, filled_columns
from convaudit.reporters.filling import text_column
from convaudit.reporters.lines import verified_text
from convaudit.reporters.selection import select
from convaudit.reporters.table import render_audit as render_table
from convaudit.reporters.table import render_models as render_models_table
from convaudit.reporters.text import display_width
from convaudit.reporters.time_cells import TIME_COLUMNS
from tests.networks import VERDICTS, conv_layer, mixed_network, network, symbolic_network, timed, verified

MIXED = analyze(mixed_network())

KERNELS = [
    ({}, "3x3"),
    ({"stride": (2, 2), "padding": ((1, 1), (1, 1))}, "3x3 s2 p1"),
    ({"stride": (2, 1), "dilation": (1, 2)}, "3x3 s2x1 d1x2"),
    ({"padding": ((1, 1), (2, 2))}, "3x3 p1x2"),
    ({"padding": ((0, 1), (0, 1))}, "3x3 p0:1"),
    ({"padding": ((0, 1), (2, 2))}, "3x3 p0:1x2"),
    ({"padding": None, "output_shape": None}, "3x3 p?"),
    ({"output_padding": (1, 1)}, "3x3 o1"),
]


@pytest.mark.parametrize(("changes", "text"), KERNELS, ids=[text for _, text in KERNELS])
def test_kernel_text(changes, text):
    layer = conv_layer("c", 4, 4, (3, 3), (8, 8))
    fields = {name: getattr(layer, name) for name in layer.__dataclass_fields__} | changes
    assert kernel_text(type(layer)(**fields)) == text


def test_an_unknown_kernel_is_a_question_mark():
    layer = conv_layer("c", 4, 4, (3, 3), (8, 8))
    fields = {name: getattr(layer, name) for name in layer.__dataclass_fields__} | {"kernel_size": None}
    assert kernel_text(type(layer)(**fields)) == "?"


@given(
    width=st.integers(80, 200),
    names=st.lists(st.text("abc/.0", min_size=1, max_size=90), min_size=1, max_size=5, unique=True),
    groups=st.sampled_from([1, 32]),
    style=st.sampled_from(["compact", "simple", "grid", "github"]),
)
def test_no_line_is_wider_than_the_terminal(width, names, groups, style):
    layers = [conv_layer(name, 32, 64, (3, 3), (56, 56), groups=groups, stride=(2, 2)) for name in names]
    text = render_table(verified(analyze(network(*layers))), View(width=width, style=style))
    assert max(map(len, text.splitlines())) <= width


def test_letters_of_east_asia_take_two_cells():
    layers = [conv_layer(name, 32, 64, (3, 3), (56, 56)) for name in ("積" * 30, "b" * 60, "e\u0301" * 20)]
    text = render_table(analyze(network(*layers)), View(width=80))
    (width,) = {display_width(row) for row in text.splitlines()[2:8]}
    assert width <= 80


def test_the_least_useful_columns_go_first():
    headers = {
        width: render_table(MIXED, View(width=width))
        .split("\n\n")[1]
        .split("\n")[0]
        .replace("of convs", "")
        .split()
        for width in (200, 100, 80, 50)
    }
    everything = [
        "kind",
        "channels",
        "kernel",
        "output",
        "groups",
        "calls",
        "params",
        "MACs",
        "saved",
        "share",
    ]
    assert headers[200] == ["layer", *everything]
    assert "output" not in headers[100]
    for wide, narrow in ((200, 100), (100, 80), (80, 50)):
        assert [header for header in headers[wide] if header in headers[narrow]] == headers[narrow]
    assert headers[50][0] == "layer"
    assert headers[50][-3:] == ["params", "MACs", "saved"]


def test_names_give_up_their_middle_only_where_they_must():
    name = "features/stage3/block12/expand/conv/Conv_quantized_weights_" + "x" * 40
    report = analyze(network(conv_layer(name)))
    assert name in render_table(report)
    narrow = render_table(report, View(width=80))
    assert name not in narrow
    assert re.search(r"^featu\S*\.\.\S*xxx ", narrow, re.M)


def test_shortened_names_still_differ():
    names = [f"If_0_then_branch__Inline_0__/encoder/{i}/reparam_conv/Conv" for i in range(3)]
    report = analyze(network(*(conv_layer(name, 32, 64, groups=32) for name in names)))
    lines = render_table(report, View(width=60)).split("\n\n")[1].split("\n")[2:5]
    assert len({line.split()[0] for line in lines}) == 3


def test_numbers_are_not_torn_from_their_units():
    for width in range(40, 80):
        text = render_table(MIXED, View(width=width))
        assert not re.search(r"\d\n +[kMG]B?\b", text)


def test_many_notes_and_verdicts_are_cut_with_a_pointer():
    layers = [conv_layer(f"c{i}", notes=(f"note {i}",)) for i in range(30)]
    report = analyze(network(*layers))
    mismatch = VERDICTS[3]
    text = render_table(
        replace(report, layers=tuple(replace(x, verification=mismatch) for x in report.layers))
    )
    assert text.count("note: ") == text.count("mismatch: ") == 10
    assert "and 20 more notes: see --format json" in text
    assert "and 20 more mismatch verdicts: see --format json" in text


@pytest.mark.parametrize("style", ["html", "latex", "tsv"])
def test_markup_has_all_columns_at_any_width(style):
    text = render_table(MIXED, View(width=40, style=style))
    assert all(header in text for header in ("kind", "channels", "kernel", "output", "saved"))


def test_chosen_columns_stay_however_narrow_it_gets():
    columns = ("name", "input", "weight", "intensity")
    text = render_table(MIXED, View(width=20, columns=columns))
    assert text.split("\n\n")[1].split("\n")[0].split() == ["layer", "input", "weight", "FLOPs/byte"]


@pytest.mark.parametrize("key", COLUMNS)
@pytest.mark.parametrize(
    "report",
    [MIXED, analyze(symbolic_network()), verified(MIXED), timed(MIXED)],
    ids=["mixed", "symbolic", "verified", "timed"],
)
def test_every_column_has_a_cell_for_every_layer(key, report):
    column = filled_columns(report, report.layers, [key])[key]
    assert len(column.cells) == len(report.layers)
    unasked = (key in TIME_COLUMNS and report.timing is None) or (
        key in ("verified", "bits", "error") and report.layers[0].verification is None
    )
    if unasked:
        assert set(column.cells) == {""}
    elif key not in ("bits", "error"):
        assert all(column.cells), "what a layer does not have is said, not left empty"


def test_common_dimensions_move_into_the_header():
    columns = filled_columns(
        analyze(symbolic_network()), analyze(symbolic_network()).layers, ["macs", "params"]
    )
    assert columns["macs"].header == "MACs"
    assert columns["macs"].cells == ["10.8 M", "3.61 M"]
    assert columns["macs"].total == "14.5 M"
    assert columns["params"].header == "params"


def test_unknown_totals_say_what_they_are_at_least():
    column = filled_columns(MIXED, MIXED.layers, ["macs"])["macs"]
    assert column.total == ">=95.4 M"


def test_columns_that_say_the_same_in_every_row_go_unsaid():
    headers = set(filled_columns(analyze(network(conv_layer())), ()))
    assert headers.isdisjoint({"calls", "macs_saved", "verified", "bits"})
    assert "share" not in filled_columns(analyze(network()), ())


def test_a_column_that_is_added_is_shown_and_sorted_by(monkeypatch):
    letters = text_column("letters", lambda layer: str(len(layer.name)), number=lambda layer: len(layer.name))
    monkeypatch.setitem(COLUMNS, "letters", letters)
    view = View(columns=("letters",), sort="letters", top=2)
    for name, style in (("table", "pipe"), ("markdown", None)):
        text = FORMATS[name].render("audit", MIXED, replace(view, style=style))
        rows = [line.strip("| ") for line in text.splitlines() if line.startswith("|")]
        assert (rows[0], rows[2:]) == ("letters", ["15", "13"])


SELECTIONS = [
    pytest.param(View(only=("depthwise",)), ["block/depthwise"], id="depthwise"),
    pytest.param(View(only=("grouped",)), ["grouped", "up"], id="transposed-and-grouped"),
    pytest.param(View(only=("pointwise",), top=1, sort="params"), ["then"], id="pointwise-top"),
    pytest.param(View(top=2), ["asymmetric", "stem"], id="top-by-macs"),
    pytest.param(View(sort="name", top=3), ["asymmetric", "block/depthwise", "block/project"], id="name"),
    pytest.param(View(sort="groups", top=1), ["block/depthwise"], id="groups"),
    pytest.param(View(sort="macs_saved", top=1), ["block/depthwise"], id="saved"),
    pytest.param(View(sort="calls", top=1), ["stem"], id="ties-keep-the-graphs-order"),
]


@pytest.mark.parametrize(("selection", "names"), SELECTIONS)
def test_select(selection, names):
    assert [layer.name for layer in select(MIXED, selection)] == names


def test_formulas_sort_by_their_values_at_the_example():
    report = analyze(symbolic_network())
    assert [layer.name for layer in select(report, View(sort="macs"))] == ["stem", "depthwise"]
    assert [layer.name for layer in select(report, View(sort="macs_saved"))] == ["depthwise", "stem"]


def test_bits_sort_the_least_accurate_first():
    layers = select(verified(MIXED), View(sort="bits", top=3))
    assert [layer.verification.bits for layer in layers] == [3.1, 11.7, 11.7]


def test_a_selection_says_how_much_it_shows():
    text = render_table(MIXED, View(top=2))
    assert "2 of 10 layers shown; the totals are those of all" in text
    assert "total of 10" in text
    assert "layers shown" not in render_table(MIXED)


BAD = [
    (
        lambda: select(MIXED, View(only=("depthwize",))),
        r"unknown kind 'depthwize'; did you mean 'depthwise'\?",
    ),
    (lambda: select(MIXED, View(sort="mac")), r"unknown sort key 'mac'; did you mean 'macs'\?.*params"),
    (lambda: render_table(MIXED, View(columns=("nam",))), r"unknown column 'nam'.*'name'.*kernel"),
    (lambda: render_table(MIXED, View(style="fancy")), r"unknown table style 'fancy'.*fancy_grid"),
]


@pytest.mark.parametrize(("action", "message"), BAD, ids=["only", "sort", "columns", "style"])
def test_unknown_names_are_refused_with_the_nearest(action, message):
    with pytest.raises(UsageError, match=message):
        action()


def test_the_last_line_counts_the_verdicts():
    text = render_table(verified(MIXED))
    assert text.splitlines()[-1] == (
        "10 layers: 2 exact, 2 within rounding, 2 low accuracy, 1 mismatch, 1 miscounted, "
        "1 vacuous, 1 not executed (its branch was not taken)"
    )
    assert "mismatch: grouped: concentrated in output channels 3, 7" in text
    assert "miscounted: asymmetric: the accounting claims 8 MACs, but 4 MACs ran" in text
    assert "vacuous: then: all activations are NaN; try --data" in text
    assert "exact: stem" not in text


@pytest.mark.parametrize(("index", "verdict"), list(enumerate(VERDICTS)), ids=[v.status for v in VERDICTS])
def test_the_summary_of_a_model_counts_as_verified_what_the_check_takes_for_verified(index, verdict):
    report = replace(MIXED, layers=tuple(replace(x, verification=verdict) for x in MIXED.layers[:1]))
    (outcome,) = check_budgets(report, Budgets(require_verified=True))
    number = 1 if outcome.status == "passed" else 0
    assert number == (index < 3)
    failed = f", 1 {verdict.words}" if verdict.failed else ""
    assert verified_text(report) == f"{number} of 1{failed}"
    assert f"{number} of 1{failed}" in render_models_table([report, report], View())


HOSTILE = "conv\x1b[2J\r\n|<script>`*_\u202e="


def test_names_reach_the_terminal_without_control_characters():
    text = render_table(analyze(network(conv_layer(HOSTILE, weight_name=None))))
    assert "conv\\x1b[2J\\r\\n|<script>" in text
    assert all(line.isprintable() for line in text.split("\n"))


def test_dimensions_reach_the_terminal_without_control_characters():
    size = symbol("\x1b[2J\n")
    layers = [conv_layer("a", batch=size), conv_layer("b", batch=symbol("n"), size=(symbol("\x07"), 2))]
    for report in (analyze(network(*layers[:1])), analyze(network(*layers))):
        for text in (
            render_table(report),
            render_table(report, View(columns=tuple(COLUMNS))),
            render_models_table([report, report], View()),
        ):
            assert all(line.isprintable() for line in text.split("\n"))


def test_totals_over_all_ops_are_multiples_of_the_dimension_that_their_parts_are() -> None:
    layers = [conv_layer(name, 4, 4, size=(2, 2), batch=symbol("N"), groups=2) for name in ("a.x", "a.y")]
    macs = 7 * symbol("N")
    fc = OtherLayer(name="fc", op="Gemm", params=7, macs=macs, weight_name="w")
    ops = (OtherOp(op="Gemm", count=1, macs=macs),)
    report = analyze(replace(network(*layers), other_layers=(fc,), other_ops=ops, model_params=200))
    total = report.totals.model_macs.substitute({"N": 1})
    for view in (View(all_ops=True, columns=("name", "macs")), View(depth=1)):
        lines = render_table(report, view).splitlines()
        header = next(at for at, line in enumerate(lines) if "MACs" in line)
        last = next(line for line in lines if line.startswith("total"))
        assert "*N" in lines[header + 1]
        assert "*N" not in last
        assert str(total) in last
    assert lines[header + 1].count("*N") == lines[header].count("MACs") + lines[header].count("saved")
