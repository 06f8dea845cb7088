"""Profiles that were written elsewhere, joined to a model's convolutions: nothing is lost, nothing is run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from convaudit.errors import ConvauditError, UsageError
from convaudit.frontends.onnx.onnxruntime import OnnxRuntime
from convaudit.frontends.onnx.timer import times_from_files
from convaudit.records.timing import Timed
from tests.frontends.onnx.models import walked
from tests.frontends.onnx.timer.test_in_model import BLOCKED
from tests.frontends.onnx.verifier import cases

PROFILES = Path(__file__).parent / "profiles"
"""Recorded with onnxruntime 1.31.1 on a CPU with AVX-512: four runs of ``BLOCKED``, at two levels."""


def joined(path: Path | str, twin: Path | str | None = None, *, text: str = BLOCKED) -> Timed:
    model = cases.stored(text, "w1", "w2", "w3")
    return times_from_files(walked(model), str(path), None if twin is None else str(twin))


@pytest.fixture(autouse=True)
def _nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OnnxRuntime, "load", None)


def written(tmp_path: Path, content: Any) -> Path:
    path = tmp_path / "profile.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_a_profile_of_the_blocked_layout() -> None:
    found = joined(PROFILES / "blocked_all.json")
    first, grouped, last = found.layers
    assert [layer.kernel for layer in found.layers] == ["Conv (NCHWc)", "Conv", "Conv (NCHWc)"]
    assert [layer.reorders for layer in found.layers] == [0, 2, 0]
    assert len(found.runs) == len(first.in_model) == 3  # of four the first one does not count
    assert all(whole > part > 0 for whole, part in zip(grouped.in_model, grouped.reordering, strict=True))
    assert {part.name for part in found.parts if part.kind == "other_op"} >= {"ReorderInput", "ReorderOutput"}
    assert [round(layer.step * 1e6) for layer in found.layers] == [1, 3, 1]  # whole microseconds an event
    assert last.reason is None
    assert "give --twin-timings" in (grouped.reason or "")
    assert found.runtime is None
    assert found.files == (str(PROFILES / "blocked_all.json"),)


def test_a_profile_of_named_nodes() -> None:
    found = joined(PROFILES / "blocked_extended.json")
    assert [layer.kernel for layer in found.layers] == ["FusedConv", "Conv", "Conv"]
    assert [(part.name, part.count) for part in found.parts] == [("Add", 1), ("Relu", 1), ("between", 1)]


@pytest.mark.parametrize("name", ["blocked_all", "blocked_extended"])
def test_the_parts_add_up_to_the_runs(name: str) -> None:
    found = joined(PROFILES / f"{name}.json")
    for index, run in enumerate(found.runs):
        layers = sum(layer.in_model[index] for layer in found.layers)
        assert layers + sum(part.seconds[index] for part in found.parts) == pytest.approx(run)


def reshaped(tmp_path: Path, name: str, kernel: str, place: int, shape: list[int]) -> Path:
    """A recorded profile in which one kernel reads something of another shape."""
    events = json.loads((PROFILES / f"{name}.json").read_text(encoding="utf-8"))
    for event in events:
        if event["name"] == f"{kernel}_kernel_time":
            event["args"]["input_type_shape"][place] = {"float": shape}
    path = tmp_path / "reshaped.json"
    path.write_text(json.dumps(events), encoding="utf-8")
    return path


def test_a_profile_of_the_twin_is_no_profile_of_the_model(tmp_path: Path) -> None:
    dense = reshaped(tmp_path, "blocked_extended", "grouped", 1, [32, 32, 3, 3])
    with pytest.raises(
        UsageError, match=r"another model: grouped has 4 channels a group here, and 32 there; .*"
    ):
        joined(dense)


def test_a_layer_that_has_groups_in_the_twins_profile_has_no_twin() -> None:
    found = joined(PROFILES / "blocked_all.json", PROFILES / "blocked_extended.json")
    assert found.layers[1].dense_in_model == ()
    assert "it has groups in" in (found.layers[1].reason or "")


def test_a_profile_at_other_sizes_says_so(tmp_path: Path) -> None:
    (warning,) = joined(reshaped(tmp_path, "blocked_extended", "last", 0, [8, 32, 14, 14])).warnings
    assert "at other sizes: last read 8x32x14x14 there, and has 1x32x14x14 here; the counts" in warning


@pytest.mark.parametrize(
    "shape", [pytest.param([1, 14, 14, 32], id="channels-last"), pytest.param([1, 48, 14, 14], id="a-block")]
)
def test_another_layout_is_not_another_size(tmp_path: Path, shape: list[int]) -> None:
    assert joined(reshaped(tmp_path, "blocked_extended", "last", 0, shape)).warnings == ()


def test_the_twin_of_a_layer_that_is_grouped(tmp_path: Path) -> None:
    dense = reshaped(tmp_path, "blocked_extended", "grouped", 1, [32, 32, 3, 3])
    found = joined(PROFILES / "blocked_all.json", dense)
    assert [bool(layer.dense_in_model) for layer in found.layers] == [False, True, False]
    assert found.layers[1].dense_kernel == "Conv"
    assert len(found.files) == 2


def layer(name: str, milliseconds: float = 1.0) -> dict[str, Any]:
    return {"name": name, "timeMs": 10 * milliseconds, "averageMs": milliseconds, "percentage": 1.0}


def test_a_profile_of_tensorrt(tmp_path: Path) -> None:
    content = [
        {"count": 10},
        layer("Reformatting CopyNode for Input Tensor 0 to grouped", 0.5),
        layer("first + first_relu", 2.0),
        layer("grouped", 4.0),
        layer("Reformatting CopyNode for Network Output y", 0.25),
        layer("{ForeignNode[last...sum]}", 8.0),
        layer("__myl_MulAdd_myl0_3", 1.0),
    ]
    found = joined(written(tmp_path, content))
    first, grouped, last = found.layers
    assert first.in_model == pytest.approx([0.002])
    assert first.kernel == "Conv + Relu on tensorrt"
    assert grouped.in_model == pytest.approx([0.0045])
    assert grouped.reordering == pytest.approx([0.0005])
    assert last.in_model == pytest.approx([0.008])
    assert [(part.name, part.kind) for part in found.parts] == [
        ("Reformatting CopyNode", "other_op"),
        ("__myl_MulAdd_myl0_3", "unattributed"),
    ]
    assert found.runs == pytest.approx([0.01575])
    assert "averages without their spread" in found.warnings[0]


def test_medians_are_told_rather_than_averages(tmp_path: Path) -> None:
    content = [{"count": 2}, {**layer("first", 3.0), "medianMs": 1.0}]
    assert joined(written(tmp_path, content)).layers[0].in_model == pytest.approx([0.001])


def test_a_kernel_of_several_convolutions_is_listed_and_they_say_so(tmp_path: Path) -> None:
    found = joined(written(tmp_path, [layer("first || grouped"), layer("last + PWN(sum, y)")]))
    assert found.layers[0].reason == "first || grouped computes it together with grouped"
    assert [part.name for part in found.parts if part.kind == "unattributed"] == ["first || grouped"]
    assert found.layers[2].in_model


def test_a_compiled_part_computes_what_lies_between_its_ends(tmp_path: Path) -> None:
    part = "{ForeignNode[first...last]}"
    found = joined(written(tmp_path, [layer(part), layer("grouped")]))
    assert [layer.reason for layer in found.layers[::2]] == [
        f"{part} computes it together with {other}" for other in ("last", "first")
    ]
    assert found.layers[1].in_model
    assert [part.name for part in found.parts if part.kind == "unattributed"] == [part]


def test_a_layer_that_no_kernel_names_says_so(tmp_path: Path) -> None:
    path = written(tmp_path, [layer("first")])
    assert joined(path).layers[2].reason == f"no kernel in {path} is named after it"


def test_what_of_the_twin_belongs_to_no_layer_is_warned_of(tmp_path: Path) -> None:
    path = written(tmp_path, [layer("grouped"), layer("elsewhere")])
    assert any("belong to no layer: elsewhere" in text for text in joined(path, path).warnings)


@pytest.mark.parametrize("twin", [False, True])
def test_a_profile_of_another_model(tmp_path: Path, twin: bool) -> None:
    other = written(tmp_path, [layer("elsewhere")])
    files = (PROFILES / "blocked_all.json", other) if twin else (other, None)
    with pytest.raises(UsageError, match=r"profile.json: a profile of another model: none of its 1 kernels"):
        joined(*files)


EVENT = {"cat": "Node", "name": "first_kernel_time", "ts": 1, "dur": 1, "args": {"op_name": "Conv"}}
RUN = {"cat": "Session", "name": "model_run", "ts": 0, "dur": 5}
BAD = [
    pytest.param("", r"not a readable profile", id="empty"),
    pytest.param("[{", r"not a readable profile", id="cut-off"),
    pytest.param("{}", r"not a profile", id="no-list"),
    pytest.param("[]", r"its objects are neither", id="empty-list"),
    pytest.param("[1]", r"not a profile", id="no-objects"),
    pytest.param("[{}]", r"its objects are neither", id="no-profile"),
    pytest.param("[" * 100_000, r"nested too deeply", id="deep"),
    pytest.param('[{"name": "a", "averageMs": NaN}]', r"NaN is not a time", id="nan"),
    pytest.param('[{"name": "a", "averageMs": -Infinity}]', r"-Infinity is not a time", id="infinite"),
    pytest.param('[{"name": "a", "averageMs": 1e999}]', r"averageMs must be a number from 0", id="overflow"),
    pytest.param('[{"name": "a", "averageMs": 1, "averageMs": 2}]', r"'averageMs' twice", id="twice"),
    pytest.param([layer("first", -1.0)], r"layer 0: averageMs must be .*, got -1", id="negative"),
    pytest.param([layer("first") | {"averageMs": True}], r"averageMs must be a number", id="true"),
    pytest.param([layer("first") | {"averageMs": "1"}], r"averageMs must be a number", id="text"),
    pytest.param([layer("first") | {"name": 1}], r"layer 0: name must be a text, got 1", id="no-name"),
    pytest.param([{"count": 3, "timeMs": 1}], r"holds no layer", id="no-layer"),
    pytest.param([{"count": 0}, {"name": "first", "timeMs": 1}], r"neither averageMs nor", id="no-runs"),
    pytest.param([EVENT], r"holds no complete run", id="no-complete-run"),
    pytest.param([RUN], r"holds no complete run", id="no-kernels"),
    pytest.param([EVENT | {"dur": -1}, RUN], r"event 0: dur must be .*, got -1", id="before"),
    pytest.param([EVENT | {"ts": None}, RUN], r"event 0: ts must be a number", id="no-start"),
    pytest.param([EVENT | {"args": 3}, RUN], r"event 0: args must be an object", id="args"),
    pytest.param("[" + "1" * 5000 + "]", r"not a (readable )?profile", id="long-number"),
]


@pytest.mark.parametrize(("content", "words"), BAD)
def test_a_damaged_profile_is_refused_in_one_line(tmp_path: Path, content: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        joined(written(tmp_path, content))
    assert "profile.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    path.write_bytes(b"[\xff\xfe\xfa]")
    with pytest.raises(UsageError, match=r"not a readable profile"):
        joined(path)


def test_a_profile_that_is_too_large(tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    with path.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(UsageError, match=r"has 1099511627776 bytes; a profile is read up to"):
        joined(path)


def test_a_profile_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConvauditError, match=r"cannot be opened"):
        joined(tmp_path / "none.json")


def test_strange_details_of_an_event_cost_only_their_meaning(tmp_path: Path) -> None:
    odd = [{"input_type_shape": value, "op_name": "Conv"} for value in (3, [], [3], [{}], [{"float": ["a"]}])]
    events = [EVENT | {"args": args, "ts": start} for start, args in enumerate(odd)]
    found = joined(written(tmp_path, [RUN, *events]))
    assert found.layers[0].in_model == pytest.approx([5e-6])
