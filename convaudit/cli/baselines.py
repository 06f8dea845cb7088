"""The baseline files that one run compares with, or writes."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from convaudit.checks.baseline import check_baseline, new_model, not_written
from convaudit.checks.baseline_file import dumps, loads
from convaudit.checks.outcome import Outcome
from convaudit.checks.settings import CheckSettings
from convaudit.cli.output import write_result
from convaudit.errors import LoadError, UsageError
from convaudit.files import STDIN, read_text
from convaudit.frontends import names_code
from convaudit.records import AuditReport
from convaudit.reporters.text import listed


class Baselines:
    """Each file is read once; what is to be written is written at the end, models not checked staying."""

    def __init__(self) -> None:
        self._read: dict[Path, dict[str, AuditReport]] = {}
        self._new: dict[Path, dict[str, AuditReport]] = defaultdict(dict)
        self._compared: dict[Path, set[str]] = defaultdict(set)

    def compare(self, report: AuditReport, settings: CheckSettings) -> list[Outcome]:
        """The outcomes of ``report`` against its baseline; of a model that is not in it, that it is new.

        Raises:
            UsageError: The file does not exist, or is not a baseline.
        """
        path = settings.baseline
        assert path is not None, "what has no baseline is not compared"
        if not path.exists():
            raise UsageError(f"the baseline {str(path)!r} does not exist; make it with --write-baseline")
        name, models = _name(report.source, path), self._models(path)
        self._compared[path].add(name)
        if name not in models:
            return [new_model(name, str(path), required=settings.require_baseline)]
        return check_baseline(models[name], report, settings.tolerance)

    def keep(self, path: Path, report: AuditReport) -> list[Outcome]:
        """Remember to write ``report`` into the file; what of it cannot be written."""
        self._new[path][_name(report.source, path)] = report
        return not_written(report)

    def missing(self) -> Iterator[str]:
        """Lines on the models of the files compared with that were not checked."""
        for path, compared in self._compared.items():
            rest = [name for name in self._models(path) if name not in compared]
            gone = [name for name in rest if _is_gone(name, path)]
            there = [name for name in rest if name not in gone]
            if there:
                number = f"{len(there)} of its {len(self._models(path))} models"
                yield f"note: {path}: {number} {_were(there)} not checked: {listed(there)}"
            if gone:
                yield f"note: {path}: {listed(gone)} {_were(gone)} not found; --write-baseline drops that"

    def save(self) -> Iterator[str]:
        """Write the files, without models whose files are gone; lines on what was written and dropped."""
        known = {path: self._models(path) if path.exists() else {} for path in self._new}
        for path, old in known.items():  # all of them could be read
            reports = self._new[path]
            gone = [name for name in old if name not in reports and _is_gone(name, path)]
            kept = {name: report for name, report in old.items() if name not in gone}
            write_result(dumps({**kept, **reports}), str(path))
            yield f"wrote {path}"
            if gone:
                yield f"note: {path}: dropped {listed(gone)}, which {_were(gone)} not found"

    def _models(self, path: Path) -> dict[str, AuditReport]:
        if path not in self._read:
            try:
                text = read_text(path)
            except LoadError as error:
                raise UsageError(f"the baseline {error}") from error
            self._read[path] = loads(text, str(path))
        return self._read[path]


def _were(names: list[str]) -> str:
    return "was" if len(names) == 1 else "were"


def _is_gone(name: str, path: Path) -> bool:
    """Whether a model of a baseline was a file that is no longer there.

    Code, and what was piped in, is nowhere to be looked for.
    """
    return name != STDIN and not names_code(name) and not os.path.exists(path.parent / name)


def _name(source: str, path: Path) -> str:
    """What a model is called in the file: a path relative to the file, so that it holds on every machine."""
    if not Path(source).exists():
        return source
    return Path(os.path.relpath(os.path.realpath(source), os.path.realpath(path.parent))).as_posix()
