"""TorchScript that does more than compute is refused before any of it runs."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from convaudit.errors import LoadError
from convaudit.frontends.torch.loader.file import load_torch_file
from convaudit.frontends.torch.loader.operators import is_operator, is_target, refused_names


class Saves(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        torch.save("overwritten", "victim")
        return x


class Reads(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.from_file("victim", False, 4).sum()


class Prints(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        print("::error::hello")
        return x


class SavesWhileLoading(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x

    @torch.jit.export
    def __getstate__(self) -> tuple[bool, bool]:
        return self.training, True

    @torch.jit.export
    def __setstate__(self, state: tuple[bool, bool]) -> None:
        self.training = state[0]
        torch.save("overwritten", "victim")


class Nested(nn.Module):
    """In a loop of a submodule's other method."""

    class Inner(nn.Module):
        def deep(self, x: Tensor) -> Tensor:
            for _ in range(2):
                if x.sum() > 0:
                    torch.save(x, "victim")
            return x

        def forward(self, x: Tensor) -> Tensor:
            return self.deep(x)

    def __init__(self) -> None:
        super().__init__()
        self.inner = self.Inner()

    def forward(self, x: Tensor) -> Tensor:
        return torch.jit.wait(torch.jit.fork(self.inner, x))


class Harmless(nn.Module):
    """Words of all sorts in texts, warnings, names of attributes, packed weights."""

    def __init__(self) -> None:
        super().__init__()
        self.classes = 3
        self.conv = torch.ao.nn.quantized.Conv2d(2, 4, 3)
        self.plain = nn.Sequential(nn.Conv2d(2, 4, 3), nn.TransformerEncoderLayer(8, 2))

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[0] > self.classes:
            raise ValueError("please \"save\" or 'print' # C++ ops. This is a text, __torch__ too\n\\")
        assert x.dim() == 4, f"a text {x.shape[0]}"
        return self.plain[0](x) + self.conv(torch.quantize_per_tensor(x, 1.0, 0, torch.quint8)).dequantize()


def saved(module: nn.Module, path: Path) -> Path:
    torch.jit.save(torch.jit.script(module), path)
    return path


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("module", "name"),
    [
        pytest.param(Saves, "save", id="save"),
        pytest.param(Reads, "from_file", id="from_file"),
        pytest.param(Prints, "print", id="print"),
        pytest.param(SavesWhileLoading, "save", id="while-loading"),
        pytest.param(Nested, "save", id="nested"),
    ],
)
def test_what_touches_the_world_is_refused_before_anything_runs(
    module: type[nn.Module], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = saved(module(), tmp_path / "model.pt")
    (tmp_path / "victim").write_text("as before, and long enough")
    with pytest.raises(LoadError, match=f"its code calls {name}, which may do more than compute"):
        load_torch_file(path)
    assert (tmp_path / "victim").read_text() == "as before, and long enough"


def test_harmless_code_is_loaded(tmp_path: Path) -> None:
    assert isinstance(load_torch_file(saved(Harmless(), tmp_path / "model.pt")), torch.jit.ScriptModule)


def edited(path: Path, change: Callable[[str], str]) -> Path:
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    (name,) = (name for name, content in contents.items() if b"relu(x)" in content and name.endswith(".py"))
    contents[name] = change(contents[name].decode()).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for key, value in contents.items():
            archive.writestr(key, value)
    return path


class Plain(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x)


CALLS = [
    pytest.param("ops.image.write_file(x, 0)", r"calls image::write_file", id="namespace"),
    pytest.param("ops.prim.rpc_sync(0)", r"calls prim::rpc_sync", id="prim"),
    pytest.param("ops .image.write_file(x)", r"a way that torch never writes", id="blank"),
    pytest.param("(ops).image.write_file(x)", r"a way that torch never writes", id="brackets"),
    pytest.param("x.save('victim')", r"a way that torch never writes", id="single-quotes"),
    pytest.param('x.save("victim")', r"calls save", id="as-a-method"),
    pytest.param('getattr(x, "s\\141ve")(0)', r"calls save", id="by-a-text"),
    pytest.param("torch.relu(x) # hidden", r"a way that torch never writes", id="comment"),
    pytest.param("torch.\\\nsave(x)", r"a way that torch never writes", id="continued"),
    pytest.param('("""a"b""", torch.save(x, "f"), """a"b""")', r"torch never writes", id="three-quotes"),
    pytest.param('getattr(torch, "sa" "ve")(x, "f")', r"torch never writes", id="joined-texts"),
    pytest.param('getattr(torch, "sa"\n      "ve")(x, "f")', r"torch never writes", id="joined-lines"),
    pytest.param('("\0", x)', r"torch never writes", id="nul"),
    pytest.param("__torch__.torch.classes.dist_c10d.TCPStore()", r"classes.dist_c10d", id="class"),
    pytest.param("__torch__.torch. classes.profiling._ScriptProfile()", r"classes.prof", id="blank-class"),
    pytest.param("__torch__.torch.\tclasses.profiling._ScriptProfile()", r"classes.prof", id="tab-class"),
    pytest.param("__torch__.torch .classes.dist_c10d.TCPStore()", r"torch never writes", id="split-class"),
]


@pytest.mark.parametrize(("call", "message"), CALLS)
def test_other_ways_to_write_it(call: str, message: str, tmp_path: Path) -> None:
    path = edited(
        saved(Plain(), tmp_path / "model.pt"), lambda code: code.replace("torch.relu(x)", f"{call}\n")
    )
    with pytest.raises(LoadError, match=message):
        load_torch_file(path)


def test_classes_are_refused_in_the_data_too(tmp_path: Path) -> None:
    path = saved(Plain(), tmp_path / "model.pt")
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for key, value in contents.items():
            data = b"c__torch__.torch.classes.dist_c10d\nTCPStore\n" + value
            archive.writestr(key, data if key.endswith("/data.pkl") else value)
    with pytest.raises(LoadError, match="a class that is not known to be harmless"):
        load_torch_file(path)


def test_old_archives_whose_code_is_elsewhere_are_refused(tmp_path: Path) -> None:
    path = saved(Plain(), tmp_path / "model.pt")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("model/model.json", "{}")
    with pytest.raises(LoadError, match=r"TorchScript of before torch 1\.4"):
        load_torch_file(path)


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("aten::conv2d", True), ("aten::warn", True), ("aten::wait", True), ("aten::einsum", True),
        ("quantized::conv2d_prepack", True), ("prim::NumToTensor", True), ("torchvision::nms", True),
        ("prim::mkldnn_convolution", True), ("aten::save", False), ("aten::from_file", False),
        ("aten::_print", False), ("prim::Print", False), ("prim::PythonOp", False), ("aten::nothing", False),
        ("image::write_file", False), ("c10d::send", False), ("symm_mem::_rendezvous", False),
        ("debugprims::load_tensor", False), ("profiler::_record_function_enter", False),
    ],
)  # fmt: skip
def test_operators_by_list(name: str, known: bool) -> None:
    namespace, _, base = name.partition("::")
    assert is_operator(namespace, base) is known


@pytest.mark.parametrize(
    ("target", "known"),
    [
        ("torch.ops.aten.relu.default", True), ("torch.ops.aten.add.Tensor", True), ("_operator.add", True),
        ("torch.ops.higher_order.cond", True), ("torch.sym_max", True),
        ("torch.ops.load_library.__call__", False), ("_operator.methodcaller", False),
        ("_operator.attrgetter", False), ("torch.ops.aten.relu.__init__", False), ("math.nan", False),
        ("torch.ops.higher_order.print", False), ("#ext:anything", False), ("relu", False),
    ],
)  # fmt: skip
def test_targets_by_list(target: str, known: bool) -> None:
    assert is_target(target) is known


def test_nearly_all_that_torch_computes_with_is_allowed() -> None:
    assert {"save", "from_file", "print"} <= refused_names()
    assert len(refused_names()) < 12
