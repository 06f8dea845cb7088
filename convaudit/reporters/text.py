"""Text that is safe to show: names come from files that nobody vouches for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from json.encoder import encode_basestring_ascii as _quoted
from typing import Any

_MARKDOWN = re.compile(r"([\\`*_\[\]<#|&~])")
_LINK = re.compile(
    r"(?<=@)(?=\w)"  # who would be notified
    r"|(?<=[#!])(?=\d)|(?<=\bGH-)(?=\d)"  # issues and merge requests
    r"|(?<=:)(?=//)|(?<=www)(?=\.)"
    r"|(?<=:)(?=(?:[a-z+-][\w+\\-]*|100|1234|8ball|[123][a-z]{2}\\_[\w\\]+):)",  # :shortcodes:
    re.I,
)
"""Where GitHub or GitLab makes something of plain text, after Markdown: escapes are gone by then."""
_AT_LINE_START = re.compile(r"(?:^|(?<=\s)):(?=:)")
_ANYWHERE = re.compile(r"##(\w*)\[")
_INTEGERS = frozenset({int})
_encode = json.JSONEncoder(allow_nan=False).encode


def printable(text: str) -> str:
    r"""Text that commands neither a terminal nor a CI runner: what could is spelled out.

    Control characters move a cursor or reverse a line. GitHub's runner obeys ``::error::`` at the start of a
    line, which wrapping can make of any blank, and ``##[group]`` wherever it stands, as does Azure's.

    >>> printable("conv\x1b[2J\n"), printable("::error::x"), printable("##[group]x")
    ('conv\\x1b[2J\\n', '\\x3a:error::x', '##\\x5bgroup]x')
    """
    if not text.isprintable():
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
    if "::" in text:
        text = _AT_LINE_START.sub(r"\\x3a", text)
    return _ANYWHERE.sub(r"##\1\\x5b", text) if "##" in text else text


def json_text(document: Any) -> str:
    """A document as JSON, exact, in which no runner finds a command: JSON can spell any character.

    Args:
        document: Dictionaries with text as keys, lists or ``map`` objects, text, finite numbers and None.

    Returns:
        The text that ``json.dumps(document, indent=2)`` makes, in half of the time.
    """
    return _ANYWHERE.sub(r"##\1\\u005b", _json_value(document, "\n")) + "\n"


def _json_value(value: Any, line: str) -> str:
    """``line`` is a line break and the blanks that the line of the value begins with."""
    kind = type(value)
    if kind is str:
        return _quoted(value)
    if kind is dict and value:
        inner = line + "  "
        # text and integers are most of a report: each function call that they do without counts
        texts = [
            _quoted(item)
            if type(item) is str
            else repr(item)
            if type(item) is int
            else _json_value(item, inner)
            for item in value.values()
        ]
        return _json_object(tuple(value), line) % tuple(texts)
    if kind is list and _INTEGERS.issuperset(map(type, value)):
        return _json_integers(tuple(value), line)
    if kind is list or kind is map:
        inner = line + "  "
        texts = [_json_value(item, inner) for item in value]
        return f"[{inner}{f',{inner}'.join(texts)}{line}]" if texts else "[]"
    return "null" if value is None else _encode(value)


@lru_cache(4096)
def _json_integers(values: tuple[int, ...], line: str) -> str:
    """A list's text; the sizes of many layers are the same."""
    return f"[{line}  {f',{line}  '.join(map(repr, values))}{line}]" if values else "[]"


@lru_cache
def _json_object(keys: tuple[str, ...], line: str) -> str:
    """An object's text, ``%s`` for each value: most objects of a document have the same keys."""
    items = (f"{line}  {_quoted(key).replace('%', '%%')}: %s" for key in keys)
    return f"{{{','.join(items)}{line}}}"


def shorten(text: str, width: int, tail: float = 0.5) -> str:
    """Text of at most ``width`` characters, its middle left out: both ends of a layer's name tell most.

    >>> shorten("/backbone/stage3/block7/conv/Conv", 20)
    '/backbone..conv/Conv'
    """
    if len(text) <= width:
        return text
    kept = max(0, width - 2)
    end = int(kept * tail)
    return text[: kept - end] + ".." + text[len(text) - end :]


def display_width(text: str) -> int:
    """How many cells of a terminal a printable text takes: letters of East Asia take two, accents none."""
    from unicodedata import category, east_asian_width

    if text.isascii():
        return len(text)
    return sum(
        0 if category(letter) in ("Mn", "Me", "Cf") else 1 + (east_asian_width(letter) in "WF")
        for letter in text
    )


def cut(text: str, cells: int) -> str:
    """The text without its middle, in at most so many cells."""
    kept = min(len(text), cells)
    while display_width(short := shorten(text, kept)) > cells and kept > 2:
        kept -= 1
    return short


def shorten_all(texts: Sequence[str], width: int) -> list[str]:
    """All texts shortened, in the middle, or later or earlier where only that keeps them distinct.

    >>> shorten_all(["/encoder/0/convolution/Conv", "/encoder/1/convolution/Conv"], 16)
    ['/encoder/0/..onv', '/encoder/1/..onv']
    """
    distinct = len(set(texts))
    texts = [text if len(text) <= width else without_repetition(text) for text in texts]
    for tail in (0.5, 0.75, 0.25):
        shortened = [shorten(text, width, tail) for text in texts]
        if len(set(shortened)) == distinct:
            return shortened
    return [shorten(text, width) for text in texts]


def without_repetition(path: str) -> str:
    """A path without the parts that the next part says again, as torch's exporter writes them.

    >>> without_repetition("/features/features.10/conv/conv.0/conv.0.1/Conv")
    '/..features.10/..conv.0.1/Conv'
    """
    kept: list[str] = []
    parts = path.split("/")
    for part, following in zip(parts, [*parts[1:], ""], strict=True):
        if part and following.startswith(f"{part}."):
            if not kept or kept[-1] != "..":
                kept.append("..")
        else:
            kept.append(part)
    return "/".join(kept).replace("../", "..")


def markdown_text(text: str) -> str:
    r"""Text in which Markdown finds no markup, no link, and nobody to notify.

    >>> markdown_text("a|b_c")
    'a\\|b\\_c'
    """
    return _LINK.sub("&#8203;", _MARKDOWN.sub(r"\\\1", printable(text)))


def markdown_code(text: str, *, in_table: bool = True) -> str:
    r"""Text as a code span; inside a table cell a pipe has to be escaped even in code.

    >>> markdown_code("a|b`c"), markdown_code("a|b", in_table=False)
    ('``a\\|b`c``', '`a|b`')
    """
    text = printable(text)
    if in_table:
        # GitHub takes the backslash before an escaped pipe for an escaped backslash, which ends the cell
        text = text.replace("\\|", r"\x7c").replace("|", "\\|")
    fence = "`"
    while fence in text:
        fence += "`"
    blank = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{blank}{text}{blank}{fence}"


def listed(names: Sequence[str], most: int = 3) -> str:
    """The first names and how many more there are."""
    text = ", ".join(names[:most])
    return text if len(names) <= most else f"{text} and {len(names) - most} more"


def counted(numbers: Iterable[tuple[str, int]]) -> str:
    """``("Relu", 49), ("Add", 16)`` as ``49 Relu, 16 Add``."""
    return ", ".join(f"{number} {name}" for name, number in numbers)
