"""How options' values are read: shapes, dimensions, sizes, times, lists."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import click

from convaudit.arguments import read_input
from convaudit.cli.words import (
    column_words,
    completed_model,
    dim_words,
    input_words,
    kind_words,
    layer_words,
    model_words,
    offered,
    provider_words,
    sort_words,
    style_words,
)
from convaudit.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from convaudit.report import Report


class Value(click.ParamType):  # type: ignore[type-arg]  # generic only since click 8.4
    """An option's value read by one of convaudit's own parsers, whose UsageError becomes click's.

    Args:
        name: What kind of value it is, for ``--help``.
        read: Makes the value of its text.
        words: Tells which words the shell may complete it to; asked when it does.
        of_model: Tells which of a model's words it may, where MODEL stands before it.
    """

    def __init__(
        self,
        name: str,
        read: Callable[[str], Any] = str,
        words: Callable[[], Iterable[str]] = tuple,
        of_model: Callable[[Report], Iterable[str]] | None = None,
    ) -> None:
        self.name = name
        self.read = read
        self.words = words
        self.of_model = of_model

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self.read(value)
        except UsageError as error:
            self.fail(str(error), param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The words that begin so; of a list, those for its last item that are not in it yet."""
        before, comma, _ = incomplete.rpartition(",")
        report = completed_model(ctx) if self.of_model is not None else None
        words = self.words() if self.of_model is None or report is None else self.of_model(report)
        there = set(before.split(","))
        return offered((before + comma + word for word in words if word not in there), incomplete)


class ModelSource(click.ParamType):  # type: ignore[type-arg]
    """A file, what names a model otherwise, or ``-``: the one on standard input."""

    name = "MODEL"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value != "-" or ctx is None or ctx.resilient_parsing:
            return value
        from convaudit.cli.standard_input import piped_model

        return piped_model(ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Files, and architectures by name."""
        from click.shell_completion import CompletionItem

        names = offered(model_words(incomplete), incomplete)
        return names if ":" in incomplete and names else [*names, CompletionItem(incomplete, type="file")]


class Choice(click.Choice):  # type: ignore[type-arg]  # generic only since click 8.2
    """One of several words; of others it names the nearest."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value not in self.choices:
            near = did_you_mean(str(value).lower(), self.choices)
            self.fail(f"{value!r:.100} is none of {', '.join(self.choices)}{near}", param, ctx)
        return value


def read_dim(text: str) -> tuple[str, int]:
    """``batch=1`` as (``"batch"``, 1)."""
    name, _, size = text.rpartition("=")
    if not name or not re.fullmatch(r"\d{1,18}", size, re.A):
        raise UsageError(f"{text!r} fixes no dimension; write it as NAME=VALUE, for instance batch=1")
    return name, int(size)


def read_list(text: str) -> tuple[str, ...]:
    """``name,groups,macs`` as a tuple."""
    return tuple(item.strip() for item in text.split(",") if item.strip())


def read_words(text: str) -> tuple[str, ...]:
    """``grouped,depthwise`` as a tuple; an empty word is one that nothing is called."""
    return tuple(item.strip() for item in text.split(","))


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


def read_seconds(text: str) -> float:
    """``500ms`` in seconds."""
    from convaudit.units import parse_seconds  # imported late, as above

    return parse_seconds(text)


def read_groups(text: str) -> list[int]:
    """``1,2,4`` as numbers."""
    items = read_list(text)
    wrong = next((item for item in items if not re.fullmatch(r"[1-9]\d{0,8}", item, re.A)), None)
    if wrong is not None or not items:
        raise UsageError(f"{wrong or text!r:.100} is not a number of groups; write a list such as 1,2,4")
    return sorted(set(map(int, items)))


def read_keywords(text: str) -> dict[str, Any]:
    """``{"width_mult": 0.5}`` as keyword arguments."""
    try:
        keywords = json.loads(text)
    except ValueError:
        keywords = None
    if not isinstance(keywords, dict):
        raise UsageError(f"{text!r} is not a JSON object; write it as '{{\"width_mult\": 0.5}}'")
    return keywords


MODEL = ModelSource()
INPUT = Value("[NAME=]SHAPE", read_input, of_model=input_words)
DIM = Value("NAME=VALUE", read_dim, of_model=dim_words)
LAYER = Value("NAME", of_model=layer_words)
PROVIDER = Value("NAME", words=provider_words)
STYLE = Value("STYLE", words=style_words)
KEYWORDS = Value("JSON", read_keywords)
KIND = Value("KIND", read_words, kind_words)
SORT_KEY = Value("KEY", words=sort_words)
COLUMN_LIST = Value("LIST", read_list, column_words)
SEED = Value("INTEGER", read_seed)
SIZE = Value("SIZE", read_size)
SECONDS = Value("TIME", read_seconds)
FILE = click.Path(dir_okay=False)
