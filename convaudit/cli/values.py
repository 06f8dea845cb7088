"""Values of options that need reading: shapes, dimensions, sizes, lists."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import click

from convaudit.arguments import read_input
from convaudit.errors import UsageError


class Value(click.ParamType):  # type: ignore[type-arg]  # generic only since click 8.4
    """An option's value read by one of convaudit's own parsers, whose UsageError becomes click's."""

    def __init__(self, name: str, read: Callable[[str], Any]) -> None:
        self.name = name
        self.read = read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self.read(value)
        except UsageError as error:
            self.fail(str(error), param, ctx)


def read_dim(text: str) -> tuple[str, int]:
    """``batch=1`` as (``"batch"``, 1)."""
    name, _, size = text.rpartition("=")
    if not name or not re.fullmatch(r"\d{1,18}", size, re.A):
        raise UsageError(f"{text!r} fixes no dimension; write it as NAME=VALUE, for instance batch=1")
    return name, int(size)


def read_list(text: str) -> tuple[str, ...]:
    """``name,groups,macs`` as a tuple."""
    return tuple(item.strip() for item in text.split(",") if item.strip())


def read_seed(text: str) -> int:
    """``7``; negative ones are not seeds for NumPy."""
    if not re.fullmatch(r"\d{1,20}", text, re.A) or int(text) >= 2**64:
        raise UsageError(f"{text!r:.200} is not a seed; write an integer from 0 to 2**64 - 1")
    return int(text)


def read_size(text: str) -> int:
    """``1GiB`` in bytes."""
    from convaudit.units import parse_bytes  # imported late: --help need not wait for arithmetic

    size = parse_bytes(text)
    if size < 1:
        raise UsageError(f"{text!r} is not memory at all; write a size such as 512MiB or 1GiB")
    return size


def read_keywords(text: str) -> dict[str, Any]:
    """``{"width_mult": 0.5}`` as keyword arguments."""
    try:
        keywords = json.loads(text)
    except ValueError:
        keywords = None
    if not isinstance(keywords, dict):
        raise UsageError(f"{text!r} is not a JSON object; write it as '{{\"width_mult\": 0.5}}'")
    return keywords


INPUT = Value("[NAME=]SHAPE", read_input)
DIM = Value("NAME=VALUE", read_dim)
KEYWORDS = Value("JSON", read_keywords)
LIST = Value("LIST", read_list)
SEED = Value("INTEGER", read_seed)
SIZE = Value("SIZE", read_size)
