"""Where a model lies in its repository: what CI systems call the file that a message is about."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path


def repository_path(source: str) -> str | None:
    """A model's path from the top of the git repository that it lies in, with slashes; None if in none.

    It is the same from whichever folder of the repository the program is run. Symbolic links are not
    followed: the name that the repository has for the model is meant.
    """
    path = Path(os.path.abspath(source))
    try:
        if not path.exists():
            return None
    except (OSError, ValueError):  # no name that a file can have
        return None
    top = _repository(path.parent)
    return None if top is None else path.relative_to(top).as_posix()


@lru_cache
def _repository(folder: Path) -> Path | None:
    """The nearest folder that git works in: ``.git`` is a folder there, or a file in a worktree."""
    return next((place for place in (folder, *folder.parents) if (place / ".git").exists()), None)
