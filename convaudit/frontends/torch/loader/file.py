"""Loads TorchScript archives and exported programs, and refuses whatever would have to be unpickled.

A ``.pt`` or ``.pth`` is only a zip by convention, so the contents decide, not the name.
"""

from __future__ import annotations

import pickletools
import warnings
import zipfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO

import torch

from convaudit.errors import ConvauditError, LoadError
from convaudit.files import open_regular
from convaudit.frontends.torch.loader.architectures import declare_torchvision
from convaudit.frontends.torch.loader.archive import open_archive
from convaudit.frontends.torch.loader.export import check_program
from convaudit.frontends.torch.loader.script import check_code

if TYPE_CHECKING:
    from convaudit.frontends.torch.loader import TorchModel

_INSTEAD = (
    "pass the module itself (package.module:factory on the command line, convaudit.audit(module, ...) in "
    "Python) or a file that torch.export.save or torch.jit.save wrote"
)


_SAFETENSORS = (
    "safetensors hold weights without a network, so nothing says what is convolved; give what makes the "
    "network (package.module:factory, nets.py:factory, torchvision:NAME, timm:NAME), or export it to .onnx "
    "or .pt2"
)


def load_torch_file(path: Path) -> TorchModel:
    """Read a TorchScript archive or an exported program; tensors go to the CPU.

    The file is opened once: what is loaded is what was checked.

    Raises:
        LoadError: The file is missing, truncated, unsafe, or holds no architecture.
    """
    if path.is_dir():
        raise LoadError(f"{path}: is a directory, not a model file")
    with open_regular(path, str(path)) as file:
        try:
            kind = _checked_kind(file, path)
        except ConvauditError:
            raise
        except zipfile.BadZipFile as error:
            if path.suffix.lower() == ".safetensors" or _is_safetensors(file):
                raise LoadError(f"{path}: {_SAFETENSORS}") from error
            why = _not_an_archive(file)
            raise LoadError(f"{path}: {why}" + ("" if "again" in why else f"; {_INSTEAD}")) from error
        except Exception as error:
            raise LoadError(f"{path}: damaged: {_in_words(error)}") from error
        file.seek(0)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that TorchScript is deprecated helps nobody here
                return (
                    torch.export.load(file) if kind == "program" else torch.jit.load(file, map_location="cpu")
                )
        except Exception as error:
            raise LoadError(
                f"{path}: torch {torch.__version__} cannot load it: {_in_words(error)}"
            ) from error


def _checked_kind(file: BinaryIO, path: Path) -> str:
    """``program`` or ``torchscript``, once nothing in the archive would run code from the file."""
    source = str(path)
    archive = open_archive(file, source)
    names = archive.namelist()
    kind = _kind(names)
    if kind == "pickle":
        raise LoadError(f"{path}: {_pickled(archive, names)}; {_INSTEAD}")
    if kind == "unknown":
        raise LoadError(f"{path}: a zip archive, but no model that torch wrote; {_INSTEAD}")
    uses_torchvision = check_program(source, archive) if kind == "program" else check_code(source, archive)
    if uses_torchvision:
        declare_torchvision(source)
    return kind


def _in_words(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _kind(names: list[str]) -> str:
    inner = {"/".join(PurePosixPath(name).parts[1:]) for name in names}
    if any(name.startswith("models/") and name.endswith(".json") for name in inner):
        return "program"
    if any(name.startswith("code/") for name in inner) and "constants.pkl" in inner:
        return "torchscript"
    return "pickle" if "data.pkl" in inner else "unknown"


def _pickled(archive: zipfile.ZipFile, names: list[str]) -> str:
    """What a pickle holds, read from its instructions without following them."""
    stream = archive.read(next(name for name in names if PurePosixPath(name).name == "data.pkl"))
    named = {"STACK_GLOBAL", "INST", "GLOBAL"}
    try:
        opcodes = [(op.name, str(text)) for op, text, _ in pickletools.genops(stream) if op.name in named]
    except Exception:
        return "a damaged pickle, which convaudit would not open anyway"
    if any(name != "GLOBAL" for name, _ in opcodes):  # not as torch.save pickles tensors
        return "a pickled object, and unpickling it would run code from the file"
    classes = [value for _, value in opcodes]
    foreign = [name.replace(" ", ".") for name in classes if name.split(" ")[0] not in _TENSOR_MODULES]
    if foreign:
        return f"a pickled {foreign[0]}, and unpickling it would run code from the file"
    return "a state dict: weights without an architecture, so groups and shapes are unknown"


_TENSOR_MODULES = {"collections", "torch", "torch._utils", "torch.storage"}


def _is_safetensors(file: BinaryIO) -> bool:
    """Whether it begins as such a file does: the length of a JSON object, and that."""
    end = file.seek(0, 2)
    file.seek(0)
    start = file.read(9)
    return len(start) == 9 and start[8:] == b"{" and int.from_bytes(start[:8], "little") <= end


def _not_an_archive(file: BinaryIO) -> str:
    file.seek(0)
    start = file.read(2)
    if not start:
        return "the file is empty"
    if start[0] == 0x80:
        return "a pickle in torch's old format, and unpickling it would run code from the file"
    if start == b"PK":
        return (
            "cut off, or damaged: it begins as a file of torch does, but the directory that such a file ends "
            "with is not there; copy or save it again"
        )
    return "not a file that torch.export or torch.jit wrote"
