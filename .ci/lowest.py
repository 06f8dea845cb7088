"""The lowest versions that pyproject.toml declares, as constraints for pip: ``name==version``, one a line."""

from __future__ import annotations

import sys
from pathlib import Path

import tomllib
from packaging.requirements import Requirement

PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"


def lowest(dependencies: list[str]) -> list[str]:
    """A pin for each dependency that this Python needs.

    Raises:
        ValueError: One has no lower bound, so that nobody knows what it was tested with.
    """
    pins = []
    for requirement in map(Requirement, dependencies):
        bounds = [part.version for part in requirement.specifier if part.operator == ">="]
        if len(bounds) != 1:
            raise ValueError(f"{requirement} needs one lower bound, such as {requirement.name}>=1.0")
        if requirement.marker is None or requirement.marker.evaluate():
            pins.append(f"{requirement.name}=={bounds[0]}")
    return pins


if __name__ == "__main__":
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    sys.stdout.write("\n".join(lowest(project["dependencies"])) + "\n")
