"""ONNX models written as text: protobuf text, JSON, and ONNX's own syntax, through onnx's parsers."""

from __future__ import annotations

import re
import warnings
from itertools import accumulate
from pathlib import Path

from onnx import ModelProto, serialization

from convaudit.errors import LoadError

_MAX_NESTING = 200
"""Most levels of brackets in ONNX's syntax. Its parser recurses, and some ten thousand overflow the stack."""

_STRING_COMMENT_OR_BRACKET = re.compile(r'"(?:\\.|[^"\\])*"|#[^\n]*|([({\[])|([)}\]])')


def text_format(path: Path) -> str | None:
    """Name that onnx gives to the text format of files like ``path``; None for binary ones."""
    name = serialization.registry.get_format_from_file_extension(path.suffix.lower())
    return None if name == "protobuf" else name


def parse_text(data: bytes, format_name: str, source: str) -> ModelProto:
    """Parse a model that is written as text.

    Args:
        data: The text, as a file holds it.
        format_name: What ``text_format`` calls the format.
        source: What error messages call the file.

    Raises:
        LoadError: It does not parse.
    """
    if format_name == "onnxtxt" and _nesting(data.decode(errors="replace")) > _MAX_NESTING:
        raise LoadError(f"{source}: brackets are nested more than {_MAX_NESTING} deep")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # onnx calls its own syntax experimental
        try:
            model: ModelProto = serialization.registry.get(format_name).deserialize_proto(data, ModelProto())
        except Exception as error:  # each of onnx's parsers raises exceptions of its own
            reason = " ".join(str(error).split())[:200]
            raise LoadError(f"{source}: cannot be read as {format_name}: {reason}") from None
    return model


def _nesting(text: str) -> int:
    steps = (bool(match[1]) - bool(match[2]) for match in _STRING_COMMENT_OR_BRACKET.finditer(text))
    return max(accumulate(steps), default=0)
