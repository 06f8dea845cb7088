"""The baseline files that one run compares with, or writes."""

from __future__ import annotations

import os
from collections import defaultdict
from fractions import Fraction
from pathlib import Path

from convaudit.checks.baseline import check_baseline
from convaudit.checks.baseline_file import dumps, loads
from convaudit.checks.outcome import Outcome
from convaudit.cli.output import write_result
from convaudit.errors import LoadError, UsageError
from convaudit.files import read_text
from convaudit.records import AuditReport


class Baselines:
    """Each file is read once; what is to be written is written at the end, models not checked staying."""

    def __init__(self) -> None:
        self._read: dict[Path, dict[str, AuditReport]] = {}
        self._new: dict[Path, dict[str, AuditReport]] = defaultdict(dict)

    def compare(self, path: Path, report: AuditReport, tolerance: Fraction) -> list[Outcome]:
        """The outcomes of ``report`` against its baseline.

        Raises:
            UsageError: The file, or the model in it, does not exist.
        """
        name = _name(report.source, path)
        if not path.exists():
            raise UsageError(f"the baseline {str(path)!r} does not exist; make it with --write-baseline")
        if name not in self._models(path):
            raise UsageError(f"{name!r} is not in the baseline {str(path)!r}; add it with --write-baseline")
        return check_baseline(self._models(path)[name], report, tolerance)

    def keep(self, path: Path, report: AuditReport) -> None:
        """Remember to write ``report`` into the file.

        Raises:
            UsageError: A baseline cannot hold it, said while the model is still known.
        """
        entry = {_name(report.source, path): report}
        dumps(entry)
        self._new[path].update(entry)

    def save(self) -> list[Path]:
        """Write the files; which were written."""
        for path, reports in self._new.items():
            old = self._models(path) if path.exists() else {}
            write_result(dumps({**old, **reports}), str(path))
        return list(self._new)

    def _models(self, path: Path) -> dict[str, AuditReport]:
        if path not in self._read:
            try:
                text = read_text(path)
            except LoadError as error:
                raise UsageError(f"the baseline {error}") from error
            self._read[path] = loads(text, str(path))
        return self._read[path]


def _name(source: str, path: Path) -> str:
    """What a model is called in the file: a path relative to the file, so that it holds on every machine."""
    if not Path(source).exists():
        return source
    return Path(os.path.relpath(os.path.realpath(source), os.path.realpath(path.parent))).as_posix()
