"""Files of torch: loaded where that runs no code from them, refused otherwise."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from convaudit.errors import LoadError
from convaudit.frontends.torch.loader.file import load_torch_file

PLANTED = "planted-by-the-file"


class Exploit:
    """Creates a directory when unpickled."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, (PLANTED,)


def module() -> nn.Module:
    return nn.Sequential(nn.Conv2d(2, 4, 3, groups=2), nn.ReLU())


def program(path: Path) -> Path:
    dynamic = ({0: torch.export.Dim("batch")},)
    exported = torch.export.export(module(), (torch.zeros(2, 2, 5, 5),), dynamic_shapes=dynamic)
    torch.export.save(exported, path)
    return path


def rewritten(path: Path, member: str, change: Callable[[bytes], bytes]) -> Path:
    """The archive at ``path`` with one member changed, or added."""
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    (root,) = {name.split("/")[0] for name in contents}
    name = f"{root}/{member}"
    contents[name] = change(contents.get(name, b""))
    with zipfile.ZipFile(path, "w") as archive:
        for key, value in contents.items():
            archive.writestr(key, value)
    return path


def test_loads_an_exported_program(tmp_path: Path) -> None:
    loaded = load_torch_file(program(tmp_path / "model.pt2"))
    assert isinstance(loaded, torch.export.ExportedProgram)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(torch.jit.script, id="scripted"),
        pytest.param(lambda m: torch.jit.trace(m, torch.zeros(1, 2, 5, 5)), id="traced"),
        pytest.param(lambda m: torch.jit.freeze(torch.jit.script(m.eval())), id="frozen"),
    ],
)
def test_loads_torchscript(make: Callable[[nn.Module], nn.Module], tmp_path: Path) -> None:
    path = tmp_path / "model.pth"  # the contents decide, not the name
    torch.jit.save(make(module()), path)
    assert isinstance(load_torch_file(path), torch.jit.ScriptModule)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("not a model")


def truncated(path: Path) -> None:
    content = program(path.with_suffix(".pt2")).read_bytes()
    path.write_bytes(content[: len(content) // 2])


def cut_script(path: Path) -> None:
    torch.jit.save(torch.jit.script(module()), path)
    path.write_bytes(path.read_bytes()[:-30])


def safetensors(path: Path) -> None:
    header = b'{"weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))


def damaged(path: Path) -> None:
    torch.jit.save(torch.jit.script(module()), path)
    rewritten(path, "data.pkl", lambda content: content[: len(content) // 2])


def foreign_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("some/thing", b"else")


REFUSED = [
    pytest.param(empty, r"the file is empty", id="empty"),
    pytest.param(text, r"not a file that torch.export or torch.jit wrote", id="text"),
    pytest.param(truncated, r"cut off, or damaged.*copy or save it again$", id="truncated"),
    pytest.param(cut_script, r"cut off, or damaged.*copy or save it again$", id="truncated-script"),
    pytest.param(safetensors, r"safetensors hold weights without a network.*timm:NAME", id="safetensors"),
    pytest.param(damaged, r"torch 2.* cannot load it", id="damaged"),
    pytest.param(foreign_zip, r"no model that torch wrote", id="zip"),
    pytest.param(lambda path: path.mkdir(), r"is a directory", id="directory"),
    pytest.param(lambda path: None, r"No such file", id="missing"),
    pytest.param(
        lambda path: torch.save(module().state_dict(), path),
        r"a state dict: weights without an architecture.*package.module:factory",
        id="state-dict",
    ),
    pytest.param(
        lambda path: torch.save(module().state_dict(), path, _use_new_zipfile_serialization=False),
        r"a pickle in torch's old format",
        id="old-state-dict",
    ),
    pytest.param(
        lambda path: torch.save(module(), path),
        r"a pickled torch.nn.modules.container.Sequential",
        id="module",
    ),
    pytest.param(
        lambda path: torch.save({"model": Exploit()}, path, pickle_protocol=4),
        r"a pickled object, and unpickling it would run code",
        id="exploit-protocol-4",
    ),
    pytest.param(
        lambda path: torch.save({"model": Exploit()}, path),
        r"a pickled (posix|nt).mkdir, and unpickling it would run code",
        id="exploit",
    ),
]


@pytest.mark.parametrize(("write", "message"), REFUSED)
def test_refuses_in_one_line(
    write: Callable[[Path], None], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "model.pt"
    write(path)
    with pytest.raises(LoadError, match=message) as raised:
        load_torch_file(path)
    assert "\n" not in str(raised.value)
    assert str(raised.value).startswith(str(path))
    assert not Path(PLANTED).exists()


def exploit(_: bytes = b"") -> bytes:
    return pickle.dumps(Exploit())


def torch_exploit(_: bytes) -> bytes:
    buffer = io.BytesIO()
    torch.save((Exploit(),), buffer)
    return buffer.getvalue()


def nested_bomb(_: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model/data.pkl", bytes(2**25))
    return buffer.getvalue()


def replaced(old: str, new: str) -> Callable[[bytes], bytes]:
    def change(content: bytes) -> bytes:
        assert old.encode() in content
        return content.replace(old.encode(), new.encode())

    return change


def with_expression(expression: str) -> Callable[[bytes], bytes]:
    def change(content: bytes) -> bytes:
        document = json.loads(content)

        def visit(item: object) -> None:
            for value in item.values() if isinstance(item, dict) else item if isinstance(item, list) else ():
                visit(value)
            if isinstance(item, dict) and "expr_str" in item:
                item["expr_str"] = expression

        visit(document)
        return json.dumps(document).encode()

    return change


def nested_powers(depth: int) -> str:
    text = "Symbol('s0')"
    for _ in range(depth):
        text = f"Pow(Add({text}, Integer(1)), Integer(16))"
    return text


def with_context(kind: str, context: object) -> Callable[[bytes], bytes]:
    """Say of a program's arguments that they are in a container of this kind."""

    def change(content: bytes) -> bytes:
        document = json.loads(content)
        tree = [1, {"type": kind, "context": context, "children_spec": []}]
        for entry in document["graph_module"]["module_call_graph"]:
            if entry["signature"]:
                entry["signature"]["in_spec"] = json.dumps(tree)
        return json.dumps(document).encode()

    return change


ENUM = json.dumps({"__enum__": True, "fqn": "antigravity:x", "name": "y"})
FACTORY = {"default_factory_module": "antigravity", "default_factory_name": "x", "dict_context": []}
MKDIR = f"__import__('os').mkdir('{PLANTED}')"
UNSAFE_PROGRAMS = [
    pytest.param(
        "data/sample_inputs/model.pt", torch_exploit, r"holds more than tensors", id="sample-inputs"
    ),
    pytest.param("data/weights/model.pt", torch_exploit, r"holds more than tensors", id="legacy-weights"),
    pytest.param("data/constants/custom_obj_0", exploit, r"is a pickled object", id="custom-object"),
    pytest.param(
        "data/weights/model_weights_config.json",
        replaced('"use_pickle": false', '"use_pickle": true'),
        r"has pickled tensors",
        id="pickled-weight",
    ),
    pytest.param("models/model.json", with_expression(MKDIR), r"is not arithmetic", id="expression"),
    pytest.param("models/model.json", with_expression("s0.func"), r"is not arithmetic", id="attribute"),
    pytest.param("models/model.json", with_expression("10**10**10"), r"is not arithmetic", id="huge-power"),
    pytest.param(
        "models/model.json", with_expression("Pow(10, Pow(10, 10))"), r"is not arithmetic", id="huge-pow"
    ),
    pytest.param("models/model.json", with_expression("S('1')"), r"is not arithmetic", id="nested-sympify"),
    pytest.param(
        "models/model.json",
        replaced("torch.ops.aten.relu.default", "torch.hub.load"),
        r"calls 'torch.hub.load', which is not an operator",
        id="target",
    ),
    pytest.param("models/model.json", with_context("builtins.dict", ENUM), r"imports a module", id="enum"),
    pytest.param(
        "models/model.json",
        with_context("builtins.dict", ENUM.replace("__enum__", r"\u005f_enum__")),
        r"imports a module",
        id="enum-in-other-letters",
    ),
    pytest.param(
        "models/model.json",
        with_context("collections.defaultdict", FACTORY),
        r"imports a module",
        id="default-factory",
    ),
    pytest.param("models/model.json", lambda _: b"{", r"model.json is damaged", id="json"),
    pytest.param(
        "models/model.json", with_expression(nested_powers(9)), r"is not arithmetic", id="nested-powers"
    ),
    pytest.param("models/model.json", with_expression("1+" * 20_000 + "1"), r"is not arithmetic", id="long"),
    pytest.param(
        "models/model.json",
        replaced("torch.ops.aten.relu.default", "_operator.methodcaller"),
        r"calls '_operator.methodcaller', which is not an operator",
        id="methodcaller",
    ),
    pytest.param(
        "models/model.json",
        replaced("torch.ops.aten.relu.default", "torch.ops.load_library.__call__"),
        r"calls 'torch.ops.load_library.__call__', which is not an operator",
        id="load_library",
    ),
    pytest.param(
        "models/model.json",
        replaced("torch.ops.aten.relu.default", "torch.ops.aten.from_file.default"),
        r"calls 'torch.ops.aten.from_file.default', which is not an operator",
        id="from_file",
    ),
    pytest.param(
        "data/aotinductor/model/model.so", lambda _: b"\x7fELF", r"a compiled model: machine code", id="so"
    ),
    pytest.param("data/sample_inputs/model.pt", nested_bomb, r"model.pt: .*a zip bomb", id="nested-bomb"),
    pytest.param("serialized.bin", lambda _: b"", r"torch.export.save writes no such member", id="member"),
]


@pytest.mark.parametrize(("member", "change", "message"), UNSAFE_PROGRAMS)
def test_refuses_programs_that_would_run_code(
    member: str,
    change: Callable[[bytes], bytes],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    path = rewritten(program(tmp_path / "model.pt2"), member, change)
    with pytest.raises(LoadError, match=message):
        load_torch_file(path)
    assert not Path(PLANTED).exists()


def test_torch_itself_would_run_that_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Why the check is there; if this fails, torch has become safe and the check can go."""
    monkeypatch.chdir(tmp_path)
    path = rewritten(program(tmp_path / "model.pt2"), "data/sample_inputs/model.pt", torch_exploit)
    logging.disable()  # of what torch has to say about it
    try:
        torch.export.load(path)
    finally:
        logging.disable(logging.NOTSET)
    assert Path(PLANTED).exists()


def test_an_archive_in_torchs_older_layout_is_refused(tmp_path: Path) -> None:
    """torch falls back to it, and unpickles, when the newer layout beside it cannot be loaded."""
    path = program(tmp_path / "model.pt2")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("serialized_constants.pt", torch_exploit(b""))
    with pytest.raises(LoadError, match=r"'serialized_constants.pt' is not inside the archive's folder"):
        load_torch_file(path)


@pytest.mark.parametrize("name", ["model.pt", "model.pt2", "model.pth"])
def test_a_pipe_is_no_file(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(LoadError, match="it is a pipe or device, not a file"):
        load_torch_file(tmp_path / name)


def test_the_file_is_opened_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another file that takes its place after the check is not what is loaded."""
    path = program(tmp_path / "model.pt2")
    load = torch.export.load

    def replaced_meanwhile(file: object) -> object:
        path.unlink()
        path.write_bytes(b"another one")
        return load(file)  # type: ignore[arg-type]

    monkeypatch.setattr(torch.export, "load", replaced_meanwhile)
    assert isinstance(load_torch_file(path), torch.export.ExportedProgram)


@pytest.mark.parametrize("suffix", [".pt", ".pt2"])
def test_whatever_loading_raises_is_refused_in_one_line(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"model{suffix}"
    if suffix == ".pt":
        torch.jit.save(torch.jit.script(module()), path)
    else:
        program(path)
    content = path.read_bytes()
    for place in range(0, len(content), max(1, len(content) // 60)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xA5]) + content[place + 1 :])
        with contextlib.suppress(LoadError):
            load_torch_file(path)
