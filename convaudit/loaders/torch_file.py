"""Loads TorchScript archives and exported programs, and refuses whatever would have to be unpickled.

A ``.pt`` or ``.pth`` is only a zip by convention, so the contents decide, not the name.
"""

from __future__ import annotations

import pickletools
import warnings
import zipfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import torch

from convaudit.errors import LoadError
from convaudit.loaders.torch_export import check_program

if TYPE_CHECKING:
    from convaudit.loaders.torch_source import TorchModel

_INSTEAD = (
    "pass the module itself (package.module:factory on the command line, convaudit.audit(module, ...) in "
    "Python) or a file that torch.export.save or torch.jit.save wrote"
)


def load_torch_file(path: Path) -> TorchModel:
    """Read a TorchScript archive or an exported program; tensors go to the CPU.

    Raises  LoadError if the file is missing, truncated, unsafe, or holds no architecture.
    """
    if path.is_dir():
        raise LoadError(f"{path}: is a directory, not a model file")
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            kind = _kind(names)
            if kind == "program":
                check_program(path, archive)
            elif kind == "pickle":
                raise LoadError(f"{path}: {_pickled(archive, names)}; {_INSTEAD}")
    except FileNotFoundError as error:
        raise LoadError(f"{path}: no such file") from error
    except zipfile.BadZipFile as error:
        raise LoadError(f"{path}: {_not_an_archive(path)}; {_INSTEAD}") from error
    except OSError as error:
        raise LoadError(f"{path}: cannot be read: {error.strerror}") from error
    if kind == "unknown":
        raise LoadError(f"{path}: a zip archive, but no model that torch wrote; {_INSTEAD}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that TorchScript is deprecated helps nobody here
            return torch.export.load(path) if kind == "program" else torch.jit.load(path, map_location="cpu")
    except Exception as error:
        words = " ".join(str(error).split())[:300]
        raise LoadError(f"{path}: torch {torch.__version__} cannot load it: {words}") from error


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
    try:
        opcodes = [(code.name, str(value)) for code, value, _ in pickletools.genops(stream)]
    except Exception:
        return "a damaged pickle, which convaudit would not open anyway"
    if any(name in {"STACK_GLOBAL", "INST"} for name, _ in opcodes):  # not as torch.save pickles tensors
        return "a pickled object, and unpickling it would run code from the file"
    classes = [value for name, value in opcodes if name == "GLOBAL"]
    foreign = [name.replace(" ", ".") for name in classes if name.split(" ")[0] not in _TENSOR_MODULES]
    if foreign:
        return f"a pickled {foreign[0]}, and unpickling it would run code from the file"
    return "a state dict: weights without an architecture, so groups and shapes are unknown"


_TENSOR_MODULES = {"collections", "torch", "torch._utils", "torch.storage"}


def _not_an_archive(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(2)
    if not start:
        return "the file is empty"
    if start[0] == 0x80:
        return "a pickle in torch's old format, and unpickling it would run code from the file"
    return "not a file that torch.export or torch.jit wrote, or a truncated one"
