"""From a template to a page: every text escaped, and a policy that lets in only its own style and script."""

from __future__ import annotations

from base64 import b64encode
from functools import cache
from hashlib import sha256
from importlib import resources
from typing import TYPE_CHECKING, Any

from convaudit.errors import DependencyError
from convaudit.reporters.colours import KIND_COLOURS
from convaudit.reporters.text import printable
from convaudit.version import __version__

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = "convaudit.reporters.page.templates"


def written(template: str, context: dict[str, Any]) -> str:
    """The page that a template makes.

    Args:
        template: Its file.
        context: What it shows; text is escaped unless the template calls it safe.

    Raises:
        DependencyError: Jinja2 is not installed.
    """
    style, script = _asset("page.css") + _kinds(), _asset("page.js")
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; "
        f"style-src {_hash(style)}; script-src {_hash(script)}"
    )
    page: str = (
        _environment()
        .get_template(template)
        .render(
            **context,
            policy=policy,
            style=style,
            script=script,
            version=__version__,
        )
    )
    return page


def _kinds() -> str:
    """The colour of each kind, the same as in the charts."""
    return "".join(
        f".k-{kind} {{ background: {colour}; fill: {colour}; }}\n" for kind, colour in KIND_COLOURS.items()
    )


def _asset(name: str) -> str:
    return resources.files(TEMPLATES).joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    digest = b64encode(sha256(text.encode("utf-8")).digest()).decode("ascii")
    return f"'sha256-{digest}'"


@cache
def _environment() -> Environment:
    try:
        from jinja2 import DictLoader, Environment, StrictUndefined
    except ImportError as error:
        raise DependencyError("an HTML page needs jinja2: pip install 'convaudit[html]'") from error
    files = [file for file in resources.files(TEMPLATES).iterdir() if file.name.endswith(".html")]
    environment = Environment(
        loader=DictLoader({file.name: file.read_text(encoding="utf-8") for file in files}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["safe_text"] = printable
    environment.filters["rows"] = lambda columns: list(zip(*columns, strict=True))
    return environment
