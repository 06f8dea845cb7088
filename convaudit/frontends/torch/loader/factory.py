"""Builds a model from the user's own code, or from one of torchvision's architectures."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import os
import sys
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from convaudit.errors import ConvauditError, DependencyError, LoadError, UsageError, did_you_mean

if TYPE_CHECKING:
    from convaudit.frontends.torch.loader import TorchModel


def build_model(name: str, kwargs: dict[str, Any], *, weights: bool = True) -> TorchModel:
    """What ``package.module:factory`` or ``torchvision:NAME`` makes.

    Args:
        name: Which of both.
        kwargs: The factory's or the architecture's arguments.
        weights: False: a torchvision architecture gets no memory for its weights (device ``meta``).

    Raises:
        LoadError: There is no such factory, or it fails.
        UsageError: The arguments ask for weights, which would be downloaded.
        DependencyError: torchvision is missing.
    """
    package, _, inner = name.partition(":")
    if package == "torchvision":
        return _torchvision_model(name, inner, kwargs, weights)
    return _build(name, _find(name, package, inner), kwargs)


def _find(text: str, package: str, name: str) -> Any:
    with _users_code():
        try:
            found = importlib.import_module(package)
        except ModuleNotFoundError as error:
            raise LoadError(
                f"{text}: no module named {error.name!r}; it is looked for in the current directory "
                "and among the installed packages"
            ) from error
        except Exception as error:
            raise LoadError(f"{text}: importing {package} raised {_in_words(error)}") from error
    for part in name.split("."):
        if not hasattr(found, part):
            raise LoadError(f"{text}: {package} has no {part!r}{did_you_mean(part, dir(found))}")
        found = getattr(found, part)
    return found


def _build(text: str, factory: Any, kwargs: dict[str, Any]) -> TorchModel:
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
        raise LoadError(f"{text}: the factory raised {_in_words(error)}") from error
    if not isinstance(model, models):
        raise LoadError(
            f"{text}: the factory returned a {type(model).__name__}, not a torch.nn.Module; "
            "name a function or class that returns the module itself"
        )
    return model


def _torchvision_model(text: str, name: str, kwargs: dict[str, Any], weights: bool) -> TorchModel:
    import torch

    models = _import_torchvision(text).models
    if name not in models.list_models():
        raise LoadError(f"{text}: torchvision has no such model{did_you_mean(name, models.list_models())}")
    builder = models.get_model_builder(name)
    for parameter in ("weights", "weights_backbone"):  # detection models load a backbone by default
        if parameter in inspect.signature(builder).parameters:
            kwargs.setdefault(parameter, None)
    if any(kwargs.get(parameter) is not None for parameter in ("weights", "weights_backbone")):
        raise UsageError(f"{text}: weights would be downloaded, which convaudit never does; leave them out")
    with warnings.catch_warnings(), torch.random.fork_rng(devices=()):
        warnings.simplefilter("ignore", FutureWarning)  # on how weights will be initialised one day
        torch.manual_seed(0)
        if not weights and "detection" not in builder.__module__:  # which need values to run
            with contextlib.suppress(LoadError), torch.device("meta"):
                return _build(text, builder, kwargs)
        return _build(text, builder, kwargs)  # some, as regnet, compute with tensors while they are built


def declare_torchvision(text: str) -> None:
    """Have torch know torchvision's operators, which a file names.

    Raises:
        DependencyError: torchvision is not installed.
    """
    _import_torchvision(text)


def _import_torchvision(text: str) -> Any:
    """torchvision; without its compiled operators too, which no architecture needs to be built.

    They are missing where torch and torchvision come from different builds, and importing it then raises.
    """
    import torch

    with needs("torchvision", text):
        try:
            import torchvision
        except RuntimeError as error:
            if "torchvision::nms does not exist" not in str(error):
                raise LoadError(f"{text}: importing torchvision raised {_in_words(error)}") from error
            operators = torch.library.Library("torchvision", "DEF")
            for operator in ("nms", "qnms"):
                operators.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            _DECLARED.append(operators)
            import torchvision
    return torchvision


_DECLARED: list[Any] = []
"""Operator declarations, which last as long as the object that made them."""


@contextlib.contextmanager
def _users_code() -> Iterator[None]:
    """The current directory can be imported from, and what the user's code prints goes to stderr."""
    directory = os.getcwd()
    added = directory not in sys.path and "" not in sys.path
    if added:
        sys.path.insert(0, directory)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        if added and directory in sys.path:
            sys.path.remove(directory)


@contextlib.contextmanager
def needs(package: str, text: str) -> Iterator[None]:
    """Say how to install ``package`` where the body finds that it is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise DependencyError(
            f"{text}: {package} is not installed; pip install 'convaudit[torch]' brings it"
        ) from error


def _in_words(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
