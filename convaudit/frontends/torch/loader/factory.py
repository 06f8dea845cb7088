"""Builds a model from the user's own code, named by its module or by its file."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

from convaudit.errors import ConvauditError, DependencyError, LoadError, did_you_mean
from convaudit.files import open_regular
from convaudit.frontends.torch.loader.source import ARCHITECTURES

if TYPE_CHECKING:
    from convaudit.frontends.torch.loader import TorchModel


def build_model(name: str, kwargs: dict[str, Any], *, weights: bool = True) -> TorchModel:
    """What ``package.module:factory``, ``nets.py:factory``, ``torchvision:NAME`` or ``timm:NAME`` makes.

    Args:
        name: Which of them.
        kwargs: The factory's or the architecture's arguments.
        weights: False: a library's architecture gets no memory for its weights (device ``meta``).

    Raises:
        LoadError: There is no such factory, or it fails.
        UsageError: The arguments ask for weights, which would be downloaded.
        DependencyError: torchvision or timm is missing.
    """
    package, _, inner = name.rpartition(":")
    if package in ARCHITECTURES:
        from convaudit.frontends.torch.loader.architectures import build_architecture

        return build_architecture(name, kwargs, weights=weights)
    return build(name, _find(name, package, inner), kwargs)


def _find(text: str, package: str, name: str) -> Any:
    is_file = package.endswith(".py")
    with _users_code(Path(package).resolve() if is_file else None):
        found = _of_file(text, package) if is_file else _imported(text, package)
    for part in name.split("."):
        if not hasattr(found, part):
            raise LoadError(f"{text}: {package} has no {part!r}{did_you_mean(part, dir(found))}")
        found = getattr(found, part)
    return found


def _imported(text: str, package: str) -> Any:
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise LoadError(
            f"{text}: no module named {error.name!r}; it is looked for in the current directory "
            "and among the installed packages"
        ) from error
    except Exception as error:
        raise LoadError(f"{text}: importing {package} raised {raised_words(error)}") from error


def _of_file(text: str, file: str) -> Any:
    """The module in a file: as part of its package, if it is in one, so that relative imports work."""
    path = Path(file).resolve()
    open_regular(Path(file), text).close()
    if (path.parent / "__init__.py").exists():
        name = ".".join(_package_parts(path))
        module = _imported(text, name)
        if Path(getattr(module, "__file__", None) or "").resolve() != path:
            raise LoadError(f"{text}: another module is called {name}; give it as {name}:factory")
        return module
    name = f"{path.stem}_{crc32(str(path).encode()):08x}"  # another file may have the same name
    specification = importlib.util.spec_from_file_location(name, path)
    if specification is None or specification.loader is None:
        raise LoadError(f"{text}: {file} is not a file that Python can import")
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module  # as its classes expect
    try:
        specification.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise LoadError(f"{text}: running {file} raised {raised_words(error)}") from error
    return module


def _package_parts(path: Path) -> list[str]:
    """``["nets", "blocks"]`` of nets/blocks.py, if nets is a package."""
    parts = [] if path.stem == "__init__" else [path.stem]
    folder = path.parent
    while (folder / "__init__.py").exists() and folder != folder.parent:
        parts.insert(0, folder.name)
        folder = folder.parent
    return parts


def build(text: str, factory: Any, kwargs: dict[str, Any]) -> TorchModel:
    """The model that a factory makes, or is.

    Raises:
        LoadError: It fails, or makes something else.
    """
    import torch

    models = torch.nn.Module | torch.export.ExportedProgram
    if isinstance(factory, models) and not kwargs:
        return factory
    if not callable(factory):
        raise LoadError(f"{text}: it is a {type(factory).__name__}, neither a module nor a function")
    try:
        with _users_code():
            model = factory(**kwargs)
    except ConvauditError:
        raise
    except Exception as error:
        raise LoadError(f"{text}: the factory raised {raised_words(error)}") from error
    if not isinstance(model, models):
        raise LoadError(
            f"{text}: the factory returned a {type(model).__name__}, not a torch.nn.Module; "
            "name a function or class that returns the module itself"
        )
    return model


@contextlib.contextmanager
def _users_code(file: Path | None = None) -> Iterator[None]:
    """The current directory can be imported from, and what the user's code prints goes to stderr.

    Args:
        file: Of the code; what stands beside it, or beside the package that it is in, can be imported too.
    """
    folders = [] if "" in sys.path else [os.getcwd()]
    if file is not None:
        parts = len(_package_parts(file)) + (file.stem == "__init__")
        folders.insert(0, str(file.parents[max(1, parts) - 1]))
    added = [folder for folder in dict.fromkeys(folders) if folder not in sys.path]
    sys.path[:0] = added
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        for folder in added:
            if folder in sys.path:
                sys.path.remove(folder)


@contextlib.contextmanager
def needs(package: str, text: str, extra: str = "torch") -> Iterator[None]:
    """Say how to install ``package`` where the body finds that it is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise DependencyError(
            f"{text}: {package} is not installed; pip install 'convaudit[{extra}]' brings it"
        ) from error


def raised_words(error: Exception) -> str:
    """What foreign code raised, in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
