"""The one place that decides which front end a source belongs to."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal, TypeAlias

FrontEnd: TypeAlias = Literal["onnx", "torch"]

TORCH_SUFFIXES = (".pt2", ".pt", ".pth", ".ts", ".jit")
_FACTORY = re.compile(r"[A-Za-z_]\w*(\.\w+)*:[A-Za-z_]\w*(\.\w+)*")


def front_end(source: Any) -> FrontEnd:
    """``torch`` for torch's objects, its files, ``package.module:factory`` and ``torchvision:NAME``.

    Everything else is ONNX's: a ModelProto or a path. A file that exists is never taken for a factory.

    >>> front_end("model.onnx"), front_end("model.pt2"), front_end("torchvision:resnet50")
    ('onnx', 'torch', 'torch')
    """
    if not isinstance(source, str | Path):
        is_proto = any(base.__module__.startswith("google.") for base in type(source).__mro__)
        return "onnx" if is_proto else "torch"
    path = Path(source)
    if path.suffix.lower() in TORCH_SUFFIXES:
        return "torch"
    return "torch" if _FACTORY.fullmatch(str(source)) and not path.exists() else "onnx"
