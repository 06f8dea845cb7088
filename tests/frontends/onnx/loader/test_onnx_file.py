"""Loading: formats, weights on demand, and everything that must be refused."""

from __future__ import annotations

import os
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from convaudit.errors import LoadError
from convaudit.frontends.onnx.loader.onnx_file import OnnxModel, load_onnx

WEIGHT = np.random.default_rng(0).standard_normal((8, 4, 9, 9)).astype(np.float32)


def conv_model(weight: TensorProto | None = None) -> onnx.ModelProto:
    stored = numpy_helper.from_array(WEIGHT, "w") if weight is None else weight
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="conv")
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 16, 16])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8, 8, 8])
    main = helper.make_graph([node], "g", [x], [y], [stored])
    return helper.make_model(main, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def saved(folder: Path, model: onnx.ModelProto, name: str = "m.onnx") -> Path:
    path = folder / name
    onnx.save(model, path)
    return path


def external(folder: Path, **entries: str) -> Path:
    """A model whose weight has the given external_data entries."""
    stored = TensorProto(name="w", dims=WEIGHT.shape, data_type=TensorProto.FLOAT, data_location=1)
    for key, value in entries.items():
        stored.external_data.add(key=key, value=value)
    path = folder / "m.onnx"
    path.write_bytes(conv_model(stored).SerializeToString())
    return path


def weight_of(model: OnnxModel) -> np.ndarray:
    return model.array(model.proto.graph.initializer[0])


# --- what is read ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["m.onnx", "m.pb", "m.ONNX", "m.json", "m.onnxjson", "m.txtpb", "m.textproto", "m.onnxtxt", "no-suffix"],
)
def test_formats(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path, conv_model(), name)
    if name == "m.onnxtxt":  # onnx's printer leaves the weights out, so write them as text
        path.write_text(TEXT)
    model = load_onnx(path)
    assert model.path == path
    assert model.source == str(path)
    assert model.file_bytes == path.stat().st_size
    assert [node.op_type for node in model.proto.graph.node] == ["Conv"]
    if name != "m.onnxtxt":
        np.testing.assert_array_equal(weight_of(model), WEIGHT)


TEXT = """<ir_version: 10, opset_import: ["" : 20]>
g (float[1,4,16,16] x, float[8,4,9,9] w) => (float[1,8,8,8] y) { y = Conv(x, w) }
"""


def test_weight_of_a_file_is_a_read_only_map(tmp_path: Path) -> None:
    model = load_onnx(saved(tmp_path, conv_model()))
    assert model.proto.ByteSize() < 400 < WEIGHT.nbytes
    weight = weight_of(model)
    np.testing.assert_array_equal(weight, WEIGHT)
    assert isinstance(weight, np.memmap)
    assert not weight.flags.writeable


def test_model_in_memory_is_neither_changed_nor_copied() -> None:
    proto = conv_model()
    before = proto.SerializeToString()
    model = load_onnx(proto)
    assert (model.path, model.file_bytes) == (None, None)
    assert model.proto.ByteSize() < 400
    np.testing.assert_array_equal(weight_of(model), WEIGHT)
    assert proto.SerializeToString() == before
    assert model.in_memory[0] is proto.graph.initializer[0]


def test_stripped_memory_and_skeleton_of_the_file_agree(tmp_path: Path) -> None:
    proto = conv_model()
    parts = [load_onnx(proto).proto, load_onnx(saved(tmp_path, proto)).proto]
    for part in parts:
        del part.graph.initializer[0].external_data[:]
    assert parts[0] == parts[1]


DTYPES = [
    *("float16", "float32", "float64", "bfloat16", "int8", "uint8", "int16", "uint16", "int32", "uint32"),
    *("int64", "uint64", "bool", "complex64", "complex128"),
    *("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "int4", "uint4"),
    *("float4_e2m1fn", "int2", "uint2"),
]


@pytest.mark.parametrize("raw", [True, False], ids=["raw", "typed-field"])
@pytest.mark.parametrize("name", DTYPES)
def test_element_types(tmp_path: Path, name: str, *, raw: bool) -> None:
    dtype = np.dtype(getattr(ml_dtypes, name, name))
    values = (np.arange(15_003) % 2).astype(dtype).reshape(3, 5001)
    data_type = helper.np_dtype_to_tensor_dtype(dtype)
    if raw:
        stored = numpy_helper.from_array(values, "w")
    else:
        stored = helper.make_tensor("w", data_type, values.shape, values.astype(values.dtype).ravel())
    assert stored.HasField("raw_data") is raw
    model = load_onnx(saved(tmp_path, conv_model(stored)))
    assert model.proto.graph.initializer[0].data_location == TensorProto.EXTERNAL or "2" in name
    for kept in (model, load_onnx(conv_model(stored))):
        loaded = weight_of(kept)
        assert loaded.dtype == dtype
        np.testing.assert_array_equal(loaded, values)


def test_external_data_present(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(conv_model(), path, save_as_external_data=True, location="m.onnx.data", size_threshold=0)
    model = load_onnx(path)
    assert model.file_bytes == path.stat().st_size + WEIGHT.nbytes
    np.testing.assert_array_equal(weight_of(model), WEIGHT)


def test_external_data_absent_loads_but_cannot_be_read(tmp_path: Path) -> None:
    model = load_onnx(external(tmp_path, location="gone.bin", length=str(WEIGHT.nbytes)))
    assert model.file_bytes is None, "half of a model is not a size"
    with pytest.raises(LoadError, match=r"tensor 'w'.*cannot be opened: No such file"):
        weight_of(model)


def test_external_data_without_offset_or_length_and_in_a_subfolder(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "w.bin").write_bytes(WEIGHT.tobytes())
    np.testing.assert_array_equal(weight_of(load_onnx(external(tmp_path, location="data/w.bin"))), WEIGHT)


def test_external_data_of_a_model_in_memory_needs_the_path() -> None:
    stored = TensorProto(name="w", dims=[3], data_type=TensorProto.FLOAT, data_location=1)
    stored.external_data.add(key="location", value="w.bin")
    with pytest.raises(LoadError, match=r"tensor 'w'.*pass the model's path"):
        weight_of(load_onnx(conv_model(stored)))


def test_model_of_more_than_2_gb(tmp_path: Path) -> None:
    """A sparse file: 3 GB of weights that take no room on the disk."""
    length = 3 * 2**30
    tail = helper.make_node("Conv", ["x", "last"], ["y"]).SerializeToString()
    last = numpy_helper.from_array(WEIGHT, "last").SerializeToString()
    stored = TensorProto(name="w", dims=[length // 4], data_type=TensorProto.FLOAT).SerializeToString()
    head = stored + b"\x4a" + varint(length)  # raw_data, of which the zeros follow
    graph_head = b"\x2a" + varint(len(head) + length) + head
    graph_tail = b"\x2a" + varint(len(last)) + last + b"\x0a" + varint(len(tail)) + tail
    path = tmp_path / "huge.onnx"
    with path.open("wb") as file:
        file.write(b"\x3a" + varint(len(graph_head) + length + len(graph_tail)) + graph_head)
        file.seek(length, os.SEEK_CUR)
        file.write(graph_tail)
    model = load_onnx(path)
    huge, small = model.proto.graph.initializer
    assert model.file_bytes == path.stat().st_size > length
    assert not model.array(huge)[-5:].any()
    np.testing.assert_array_equal(model.array(small), WEIGHT)


def varint(value: int) -> bytes:
    groups = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])


# --- what is refused ------------------------------------------------------------------------------------

FILES = [
    pytest.param(b"", r"m\.onnx: the file is empty", id="empty"),
    pytest.param(b"\0" * 100, r"not an ONNX model", id="zeros"),
    pytest.param(b"hello world, this is not a model", r"not an ONNX model", id="text"),
    pytest.param(b"\x08\x0a", r"not an ONNX model: it has no graph", id="no-graph"),
    pytest.param(b"PK\x03\x04rest", r"a zip archive; a torch file needs the ending", id="zip"),
    pytest.param(b"version https://git-lfs.github.com/spec/v1\n", r"git lfs pull", id="lfs-pointer"),
    pytest.param(b"\x18\0\0\0ORTM", r"an ONNX Runtime \.ort file", id="ort"),
    pytest.param(b"\x1c\0\0\0TFL3", r"a TensorFlow Lite model", id="tflite"),
    pytest.param(b"\x3a\x02\x12\x09", r"protobuf cannot parse it", id="string-beyond-message"),
]


@pytest.mark.parametrize(("content", "message"), FILES)
def test_no_model(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(LoadError, match=message) as caught:
        load_onnx(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", ["json", "txtpb", "onnxtxt"])
@pytest.mark.parametrize(
    "text",
    [
        pytest.param("{nonsense", id="nonsense"),
        pytest.param("\xff\xfe\x00", id="not-utf8"),
        pytest.param('{"graph": ' * 5000, id="deep-json"),
        pytest.param("graph { node { attribute { g { " * 3000, id="deep-text"),
        pytest.param(
            '<ir_version: 10, opset_import: ["" : 20]> g () => () { y = If <then = ' * 900, id="onnx"
        ),
    ],
)
def test_broken_text(tmp_path: Path, suffix: str, text: str) -> None:
    path = tmp_path / f"m.{suffix}"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(LoadError, match=r"m\.\w+: (cannot be read as \w+: |brackets are nested)") as caught:
        load_onnx(path)
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)


def test_nesting_counts_no_brackets_in_strings_and_comments(tmp_path: Path) -> None:
    path = tmp_path / "m.onnxtxt"
    path.write_text(TEXT.replace("Conv(", f'Conv <note = "{"}" * 999}"> (') + "#" + "(" * 999)
    assert load_onnx(path).proto.graph.node[0].attribute[0].name == "note"
    path.write_text(TEXT.replace("Conv(", f'Conv <note = "{"}" * 999}", g = {"(" * 300}'))
    with pytest.raises(LoadError, match="brackets are nested more than 200 deep"):
        load_onnx(path)


def test_missing_folder_and_pipe(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=r"gone\.onnx: cannot be opened: No such file"):
        load_onnx(tmp_path / "gone.onnx")
    with pytest.raises(LoadError, match="cannot be opened: Is a directory"):
        load_onnx(tmp_path)
    os.mkfifo(tmp_path / "pipe.onnx")
    with pytest.raises(LoadError, match="a pipe or device, not a file"):
        load_onnx(tmp_path / "pipe.onnx")
    with pytest.raises(LoadError, match="cannot be opened: embedded null byte"):
        load_onnx("a\0b.onnx")


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        pytest.param({"location": "/etc/passwd"}, "leaves the model's folder", id="absolute"),
        pytest.param({"location": "../w.bin"}, "leaves the model's folder", id="parent"),
        pytest.param({"location": "a/../../w.bin"}, "leaves the model's folder", id="parent-inside"),
        pytest.param({"location": "..\\w.bin"}, "leaves the model's folder", id="windows-parent"),
        pytest.param({"location": "C:\\w.bin"}, "leaves the model's folder", id="windows-drive"),
        pytest.param({}, "names no file", id="no-location"),
        pytest.param({"location": "w\0.bin"}, "names no file", id="null"),
        pytest.param({"location": "w.bin", "offset": "-1"}, "offset must be a non-negative", id="negative"),
        pytest.param({"location": "w.bin", "length": "9" * 30}, "length must be a non-negative", id="huge"),
        pytest.param({"location": "w.bin", "offset": "x"}, "offset must be a non-negative", id="text"),
        pytest.param(
            {"location": "w.bin", "length": "101"}, "bytes 0 to 101 of w.bin, which has 100", id="long"
        ),
        pytest.param({"location": "w.bin", "offset": "101"}, "w.bin, which has 100; truncated", id="beyond"),
    ],
)
def test_unsafe_external_data(tmp_path: Path, entries: dict[str, str], message: str) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(100))
    with pytest.raises(LoadError, match=message) as caught:
        load_onnx(external(tmp_path, **entries))
    assert "'w'" in str(caught.value)


@pytest.mark.parametrize("via", ["file", "folder"])
def test_link_out_of_the_folder(tmp_path: Path, via: str) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (outside / "w.bin").write_bytes(WEIGHT.tobytes())
    if via == "file":
        (inside / "w.bin").symlink_to(outside / "w.bin")
        path = external(inside, location="w.bin")
    else:
        (inside / "sub").symlink_to(outside)
        path = external(inside, location="sub/w.bin")
    model = load_onnx(path)  # accounting needs no weights
    assert model.file_bytes is None
    with pytest.raises(LoadError, match="is a link out of the model's folder"):
        weight_of(model)


def test_a_cache_that_holds_model_and_data_behind_links(tmp_path: Path) -> None:
    """As the Hugging Face hub's: a snapshot of links to blobs that are named by their contents."""
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "main"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    external(blobs, location="model.onnx_data").rename(blobs / "3f2a")
    (blobs / "77b0").write_bytes(WEIGHT.tobytes())
    (snapshot / "model.onnx").symlink_to("../../blobs/3f2a")
    (snapshot / "model.onnx_data").symlink_to("../../blobs/77b0")
    model = load_onnx(snapshot / "model.onnx")
    assert model.file_bytes == (blobs / "3f2a").stat().st_size + WEIGHT.nbytes
    np.testing.assert_array_equal(weight_of(model), WEIGHT)


def test_link_that_stays_inside_and_linked_model_are_fine(tmp_path: Path) -> None:
    (tmp_path / "real.bin").write_bytes(WEIGHT.tobytes())
    (tmp_path / "w.bin").symlink_to("real.bin")
    np.testing.assert_array_equal(weight_of(load_onnx(external(tmp_path, location="w.bin"))), WEIGHT)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "link.onnx").symlink_to(saved(tmp_path, conv_model()))
    np.testing.assert_array_equal(weight_of(load_onnx(elsewhere / "link.onnx")), WEIGHT)


def test_external_data_that_is_a_pipe_or_folder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(LoadError, match="a pipe or device, not a file"):
        weight_of(load_onnx(external(tmp_path, location="pipe")))
    with pytest.raises(LoadError, match="cannot be opened: Is a directory"):
        weight_of(load_onnx(external(tmp_path, location=".")))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"dims": [8, 4, 9, 10]}, "11520 bytes needed, 10368 stored", id="dims-too-large"),
        pytest.param({"dims": [2**62, 2**62]}, "bytes needed, 10368 stored", id="dims-overflow"),
        pytest.param({"dims": [-8, -4, 9, 9]}, "dims must not be negative", id="dims-negative"),
        pytest.param({"data_type": 99}, "element type 99 is unknown", id="unknown-type"),
        pytest.param({"data_type": 0}, "element type 0 is unknown", id="no-type"),
        pytest.param({"data_type": TensorProto.STRING}, "its data do not fit its type", id="string"),
    ],
)
def test_data_that_do_not_fit(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    kept = numpy_helper.from_array(WEIGHT, "w")
    fields = {"name": "w", "dims": kept.dims, "data_type": kept.data_type, "raw_data": kept.raw_data}
    path = tmp_path / "m.onnx"
    path.write_bytes(conv_model(TensorProto(**(fields | changes))).SerializeToString())
    with pytest.raises(LoadError, match=message) as caught:
        weight_of(load_onnx(path))
    assert "tensor 'w'" in str(caught.value)


def test_packed_field_of_another_type_is_refused(tmp_path: Path) -> None:
    stored = helper.make_tensor("w", TensorProto.FLOAT, [9000], np.zeros(9000))
    assert stored.float_data
    stored.data_type = TensorProto.INT32
    with pytest.raises(LoadError, match="int32 elements cannot be in float_data"):
        weight_of(load_onnx(saved(tmp_path, conv_model(stored))))
