"""Which words the shell completes a value to: columns, rules, architectures, what a model names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from convaudit.report import Report

_PLAIN = re.compile(r"[\w./:=,+@%-]+")
"""What no shell reads otherwise; names come from files that nobody vouches for."""


def kind_words() -> Iterable[str]:
    """The kinds of convolutions."""
    from convaudit.records import KINDS

    return KINDS


def column_words() -> Iterable[str]:
    """The columns of the tables."""
    from convaudit.reporters.columns import COLUMNS

    return COLUMNS


def sort_words() -> Iterable[str]:
    """The columns that layers can be sorted by."""
    from convaudit.reporters.columns import COLUMNS

    return [name for name, column in COLUMNS.items() if column.order is not None]


def style_words() -> Iterable[str]:
    """The styles of tables."""
    import tabulate

    from convaudit.reporters.grid import COMPACT

    return [COMPACT, *sorted(tabulate.tabulate_formats)]


def provider_words() -> Iterable[str]:
    """What the runtimes of this machine run on."""
    from convaudit.frontends import providers

    return providers()


def lint_words() -> Iterable[str]:
    """What selects rules of ``lint``."""
    from convaudit.linting.selection import rule_words

    return rule_words()


def layer_words(report: Report) -> Iterable[str]:
    """The layers of a model."""
    return (layer.name for layer in report.layers)


def dim_words(report: Report) -> Iterable[str]:
    """The dimensions that a model leaves open, each with what stands before its value."""
    return (f"{name}=" for name in report.symbols)


def input_words(report: Report) -> Iterable[str]:
    """The inputs of a model, likewise."""
    return (f"{one.name}=" for one in report.inputs)


def model_words(incomplete: str) -> Iterable[str]:
    """Architectures by name, once it is said whose; before that, whose there are."""
    package, colon, _ = incomplete.partition(":")
    if not colon:
        return [f"{name}:" for name in PACKAGES if find_spec(name) is not None]
    return [f"{package}:{name}" for name in architectures(package)] if package in PACKAGES else ()


PACKAGES = ("torchvision", "timm")
"""Whose architectures are models by their names."""
_REGISTERED = re.compile(r'^@register_model\b(?:\((?:name=)?"?(\w*)"?\))?.*?^def (\w+)', re.M | re.S)


def architectures(package: str) -> list[str]:
    """The names that a package registers, read off its files: importing it takes seconds."""
    spec = find_spec(package)
    folders = (spec.submodule_search_locations if spec else None) or ()
    files = (path for folder in folders for path in Path(folder, "models").rglob("*.py"))
    texts = (path.read_text(encoding="utf-8", errors="replace") for path in files)
    return sorted(name or function for text in texts for name, function in _REGISTERED.findall(text))


def completed_model(ctx: click.Context) -> Report | None:
    """The report of the ONNX model that stands on the command line already, if there is one.

    Others would run code, or take seconds.
    """
    from convaudit.api import audit

    given = [ctx.params.get(name) for name in ("models", "model", "before", "after")]
    named = [one for some in given if some for one in ([some] if isinstance(some, str) else some)]
    for source in named:
        if source.lower().endswith(".onnx") and os.path.isfile(source):
            try:
                return audit(source, allow_run=False)
            except Exception:  # whoever runs the command is told
                continue
    return None


def offered(words: Iterable[str], incomplete: str) -> list[CompletionItem]:
    """The words that begin so, if every shell takes them as they are; half a word is told to be one."""
    from click.shell_completion import CompletionItem

    fitting = (word for word in words if word.startswith(incomplete) and _PLAIN.fullmatch(word))
    items = (CompletionItem(word, part=word.endswith((":", "="))) for word in fitting)
    return [item for item in items if not (item.part and item.value == incomplete)]
