"""Builds the architectures of libraries: torchvision's and timm's, without weights and without a network."""

from __future__ import annotations

import contextlib
import inspect
import socket
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from convaudit.errors import DependencyError, LoadError, UsageError, did_you_mean
from convaudit.frontends.torch.loader.factory import build, needs, raised_words

if TYPE_CHECKING:
    from convaudit.frontends.torch.loader import TorchModel

_TIMM_WEIGHTS = ("pretrained", "checkpoint_path", "pretrained_cfg", "pretrained_cfg_overlay", "cache_dir")
"""Arguments by which timm loads weights, or takes them from elsewhere."""


def build_architecture(text: str, kwargs: dict[str, Any], *, weights: bool = True) -> TorchModel:
    """What ``torchvision:NAME`` or ``timm:NAME`` names, with random weights.

    Args:
        text: Which.
        kwargs: Its arguments.
        weights: False: it gets no memory for its weights (device ``meta``).

    Raises:
        LoadError: There is no such architecture, it fails, or it would open a connection.
        UsageError: The arguments ask for weights, which would be downloaded.
        DependencyError: The library is missing.
    """
    library, _, name = text.partition(":")
    make = {"torchvision": _torchvision_model, "timm": _timm_model}[library]
    import torch

    with without_network(text), warnings.catch_warnings(), torch.random.fork_rng(devices=()):
        warnings.simplefilter("ignore", FutureWarning)  # on how weights will be initialised one day
        torch.manual_seed(0)
        return make(text, name, kwargs, weights)


def _torchvision_model(text: str, name: str, kwargs: dict[str, Any], weights: bool) -> TorchModel:
    models = _import_torchvision(text).models
    if name not in models.list_models():
        raise LoadError(f"{text}: torchvision has no such model{did_you_mean(name, models.list_models())}")
    builder = models.get_model_builder(name)
    for parameter in ("weights", "weights_backbone"):  # detection models load a backbone by default
        if parameter in inspect.signature(builder).parameters:
            kwargs.setdefault(parameter, None)
    if any(kwargs.get(parameter) is not None for parameter in ("weights", "weights_backbone")):
        raise UsageError(f"{text}: weights would be downloaded, which convaudit never does; leave them out")
    weights = weights or "detection" in builder.__module__  # which need values to run
    return _built(text, builder, kwargs, weights)


def _timm_model(text: str, name: str, kwargs: dict[str, Any], weights: bool) -> TorchModel:
    with contextlib.suppress(DependencyError):
        _import_torchvision(text)  # whose operators may be missing, see there
    with needs("timm", text, "timm"):
        import timm
    architecture = name.partition(".")[0]  # behind the dot stands which weights, of which none are loaded
    if not timm.is_model(architecture):
        raise LoadError(f"{text}: timm has no such model{did_you_mean(architecture, timm.list_models())}")
    for parameter in _TIMM_WEIGHTS:
        if kwargs.get(parameter):
            raise UsageError(
                f"{text}: {parameter} asks for weights, which convaudit never loads for an architecture; "
                "leave it out"
            )
    return _built(text, timm.create_model, {**kwargs, "model_name": name, "pretrained": False}, weights)


def own_input_size(model: Any) -> tuple[int, ...] | None:
    """The size of an image that timm says a model takes, (channels, height, width); None if it does not."""
    settings = getattr(model, "pretrained_cfg", None)
    size = settings.get("input_size") if isinstance(settings, Mapping) else None
    if not isinstance(size, list | tuple) or not all(isinstance(axis, int) for axis in size):
        return None
    return tuple(size)


def _built(text: str, builder: Any, kwargs: dict[str, Any], weights: bool) -> TorchModel:
    """A model on the meta device, unless it is to have weights, or computes while it is built, as regnet."""
    import torch

    if not weights:
        with contextlib.suppress(LoadError), torch.device("meta"):
            return build(text, builder, kwargs)
    return build(text, builder, kwargs)


@contextlib.contextmanager
def without_network(text: str) -> Iterator[None]:
    """Refuse every connection that this thread would open in the body.

    Raises:
        LoadError: One was about to be opened.
    """
    thread, tried = threading.get_ident(), list[str]()

    def refusing(original: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **kwargs: Any) -> Any:
            if threading.get_ident() != thread:
                return original(*args, **kwargs)
            tried.append(original.__name__)
            raise OSError("convaudit opens no connection to build an architecture")

        return called

    places = [(socket, "getaddrinfo"), (socket.socket, "connect"), (socket.socket, "connect_ex")]
    with contextlib.ExitStack() as stack:
        for owner, name in places:
            before = vars(owner).get(name)
            setattr(owner, name, refusing(getattr(owner, name)))
            undo = partial(delattr, owner, name) if before is None else partial(setattr, owner, name, before)
            stack.callback(undo)
        try:
            yield
        except Exception as error:
            if not tried:
                raise
            raise LoadError(
                f"{text}: it would download something to be built, which convaudit never does: "
                f"{raised_words(error)}"
            ) from error


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
                raise LoadError(f"{text}: importing torchvision raised {raised_words(error)}") from error
            operators = torch.library.Library("torchvision", "DEF")
            for operator in ("nms", "qnms"):
                operators.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            _DECLARED.append(operators)
            import torchvision
    return torchvision


_DECLARED: list[Any] = []
"""Operator declarations, which last as long as the object that made them."""
