"""Settings in a file: ``convaudit.toml``, or ``[tool.convaudit]`` in ``pyproject.toml``.

Keys at the top hold for every model. A table ``models."GLOB"`` names models, relative to the file's folder,
and overrides keys for them; where several globs match one model, the later table overrides the earlier.
A table ``lint`` names the rules that ``convaudit lint`` looks for.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from convaudit.checks.settings import CheckSettings, GivenSettings, make_settings, read_values
from convaudit.checks.values import texts
from convaudit.errors import LoadError, UsageError, did_you_mean
from convaudit.files import read_text
from convaudit.frontends import names_code

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILES = ("convaudit.toml", "pyproject.toml")
"""Where settings are looked for in a folder; the first one wins."""
_LINT_KEYS = ("select", "ignore")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The settings of one file; without a path, of none."""

    path: Path | None = None
    values: GivenSettings = field(default_factory=dict)
    models: Mapping[str, GivenSettings] = field(default_factory=dict)  # by glob, or by a source
    lint: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # "select" and "ignore"
    unread: tuple[Path, ...] = ()  # files beside it that hold settings too
    found: dict[str, frozenset[str]] = field(default_factory=dict, compare=False, repr=False)

    def sources(self) -> list[str]:
        """Every model that the file names, once; paths as seen from the current folder.

        Raises:
            UsageError: A glob matches nothing.
        """
        found: dict[str, None] = {}
        for pattern in self.models:
            matches = self._expand(pattern)
            if not matches:
                raise UsageError(f"{self.path}: models: {pattern!r} matches no file")
            found |= dict.fromkeys(matches)
        return list(found)

    def settings(self, source: str, command_line: GivenSettings) -> CheckSettings:
        """What ``source`` is checked by: the command line over the tables that match it over the top."""
        own = [values for pattern, values in self.models.items() if self._matches(pattern, source)]
        return make_settings(self.values, *own, command_line)

    def _matches(self, pattern: str, source: str) -> bool:
        if pattern not in self.found:
            self.found[pattern] = frozenset(map(os.path.realpath, self._expand(pattern)))
        return os.path.realpath(source) in self.found[pattern]

    def _expand(self, pattern: str) -> list[str]:
        if names_code(pattern):
            return [pattern]
        folder = self.path.parent if self.path else Path()
        try:
            return sorted(os.path.relpath(path) for path in folder.glob(pattern) if path.is_file())
        except (ValueError, NotImplementedError) as error:
            raise UsageError(
                f"{self.path}: models: {pattern!r} is not a path or glob relative to the file's folder"
            ) from error


def find_config(folder: Path) -> Config:
    """The settings that hold in ``folder``: of the nearest file in it or above it, if there is one."""
    for place in (folder, *folder.parents):
        if config := _config_in(place):
            return config
    return Config()


def nested_configs(base: Config, sources: Sequence[str]) -> list[Config]:
    """The settings that hold for each model: of the file that is nearest to it.

    A file in a folder of the project counts there instead of the project's. Outside of the project, whose
    folder is that of ``base``, its settings hold, and where there is no project those nearest to the model.
    """
    top = Path(os.path.abspath(base.path)).parent if base.path else None
    known: dict[Path, Config | None] = {}

    def holding(source: str) -> Config:
        folder = Path(os.path.abspath(source)).parent
        places = [folder, *folder.parents]
        if names_code(source) or (top is not None and top not in places):
            return base
        for place in places[: places.index(top)] if top is not None else places:
            if place not in known:
                known[place] = _config_in(place)
            if config := known[place]:
                return config
        return base

    return [holding(source) for source in sources]


def _config_in(folder: Path) -> Config | None:
    """The settings of a folder's own file: of the first one that holds any."""
    paths = [Path(os.path.relpath(folder / name)) for name in FILES if (folder / name).is_file()]
    for index, path in enumerate(paths):
        if config := _config(path):
            return replace(config, unread=tuple(filter(_holds_settings, paths[index + 1 :])))
    return None


def _holds_settings(path: Path) -> bool:
    try:
        return _table(path) is not None
    except UsageError:  # it is not ours to complain of
        return False


def nearest_config() -> Config:
    """The settings that hold in the current folder; none where it is gone, which models need not be."""
    try:
        return find_config(Path.cwd())
    except FileNotFoundError:
        return Config()


def load_config(path: Path) -> Config:
    """The settings of one file.

    Raises:
        UsageError: The file cannot be read or holds no settings, or a key or value is not known.
    """
    config = _config(path)
    if config is None:
        raise UsageError(f"{path}: has no table [tool.convaudit]")
    return config


def _config(path: Path) -> Config | None:
    table = _table(path)
    if table is None:
        return None
    models, lint = table.pop("models", {}), table.pop("lint", {})
    if not isinstance(models, dict) or not all(isinstance(model, dict) for model in models.values()):
        raise UsageError(f'{path}: models: write a table for each glob, such as [models."nets/*.onnx"]')
    return Config(
        path=path,
        values=_read(table, str(path), path.parent),
        models={
            glob: _read(model, f"{path}: models: {glob!r}", path.parent) for glob, model in models.items()
        },
        lint=_read_lint(lint, f"{path}: lint"),
    )


def _read_lint(table: object, where: str) -> dict[str, tuple[str, ...]]:
    from convaudit.linting.selection import rules_of

    if not isinstance(table, dict):
        raise UsageError(f'{where}: write a table, such as lint = {{ ignore = ["CA301"] }}')
    for key, value in table.items():
        if key not in _LINT_KEYS:
            near = did_you_mean(key, _LINT_KEYS) or f"; choose from {', '.join(_LINT_KEYS)}"
            raise UsageError(f"{where}: unknown key {key!r}{near}")
        try:
            for word in texts(value):
                rules_of(word)
        except UsageError as error:
            raise UsageError(f"{where}: {key}: {error}") from error
    return {key: texts(value) for key, value in table.items()}


def _read(table: Mapping[str, object], where: str, folder: Path) -> dict[str, Any]:
    values = read_values(table, where)
    if "baseline" in values:
        values["baseline"] = Path(os.path.normpath(folder / values["baseline"]))  # one file has one name
    return values


def _table(path: Path) -> dict[str, Any] | None:
    """The file's settings as TOML has them; None if it is a pyproject.toml that has none."""
    try:
        document = tomllib.loads(read_text(path))
    except LoadError as error:
        raise UsageError(str(error)) from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not TOML: {error}") from error
    if path.name != "pyproject.toml":
        return document
    tool = document.get("tool", {})
    table = tool.get("convaudit") if isinstance(tool, dict) else None
    return table if isinstance(table, dict) else None
