"""Where a variant of a model is written: aside, checked there, then moved; never over what is read."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import onnx
from onnx import ModelProto

from convaudit.errors import ExecutionError, UsageError, first_line
from convaudit.frontends.onnx.loader.external_data import reference
from convaudit.frontends.onnx.loader.memory import IN_MEMORY
from convaudit.frontends.onnx.loader.onnx_file import OnnxModel
from convaudit.frontends.onnx.loader.tensors import model_tensors
from convaudit.frontends.onnx.loader.text import text_format
from convaudit.frontends.onnx.variant.spill import Spill
from convaudit.frontends.onnx.variant.writing import write_model


def check_target(model: OnnxModel, target: str, what: str) -> None:
    """Refuse to write over what is read, and what is no file.

    Args:
        model: What is read.
        target: Where the variant is to go.
        what: What error messages call the variant.

    Raises:
        UsageError: The target is part of the model, or cannot be one.
    """
    if target in ("", "-") or (os.path.exists(target) and not os.path.isfile(target)):
        raise UsageError(f"a {what} is a file; name one with --output")
    text = text_format(Path(target))
    if text is not None:
        raise UsageError(f"a {what} is a binary file, and {target!r} would be read as {text}; name it .onnx")
    if model.path is None:
        return
    read = {model.path}
    for tensor in model_tensors(model.proto):
        where = reference(tensor, model.source)
        if where is not None and where.location != IN_MEMORY:
            read.add(model.data_path(where.location))
    files = {os.path.realpath(path) for path in read}
    for path in (target, f"{target}.data"):
        if os.path.realpath(path) in files:
            raise UsageError(f"{path!r} is part of the model that is read; name another file with --output")


@contextmanager
def scratch_folder(target: str | None, name: str) -> Iterator[Path]:
    """The file to write first: in a folder beside the target, which is gone afterwards.

    Args:
        target: Where the variant is to go; None: it stays in memory.
        name: The file's name then.

    Raises:
        UsageError: Nothing can be written there.
    """
    real = None if target is None else Path(os.path.realpath(target))
    try:
        scratch = tempfile.TemporaryDirectory(prefix=".convaudit-", dir=real and real.parent)
    except OSError as error:
        raise UsageError(f"cannot write {target!r}: {error.strerror or error}") from error
    with scratch as folder:
        yield Path(folder) / (name if real is None else real.name)


def put_in_place(written: Sequence[Path], target: str | None) -> list[str]:
    """Move files to where they belong, the one that refers to the others last; their names for people.

    Args:
        written: They lie in a scratch folder, the model first.
        target: Where the model goes; None: nothing is moved.

    Raises:
        UsageError: One cannot be written.
    """
    if target is None:
        return [path.name for path in written]
    folder = Path(os.path.realpath(target)).parent
    for path in reversed(written):
        try:
            os.replace(path, folder / path.name)
        except OSError as error:
            raise UsageError(
                f"cannot write {str(folder / path.name)!r}: {error.strerror or error}"
            ) from error
    return [str(Path(target).with_name(path.name)) for path in written]


def check_form(model: OnnxModel, path: Path, what: str) -> None:
    """Refuse a variant that onnx's checker refuses, unless it refuses the original too.

    Args:
        model: The original.
        path: The variant, written.
        what: What error messages call it.

    Raises:
        ExecutionError: It is refused.
    """
    problem = _complaint(path)
    if problem is None:
        return
    proto = ModelProto()
    proto.CopyFrom(model.proto)
    original = path.with_name("original")
    try:
        write_model(model, proto, Spill(original), original)
        if _complaint(original) is not None:
            return
    finally:
        original.unlink(missing_ok=True)
        original.with_name("original.data").unlink(missing_ok=True)
    raise ExecutionError(f"{model.source}: onnx.checker refuses the {what}: {problem}; nothing is written")


def _complaint(path: Path) -> str | None:
    try:
        onnx.checker.check_model(str(path))
    except Exception as error:  # of several types, from C++
        return first_line(error)
    return None
