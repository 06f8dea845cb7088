"""Names of layers: the node's own where it is one, readable and unique in any case."""

from __future__ import annotations

from convaudit.walkers.onnx.functions import Origin


class Names:
    """Gives out names, none of them twice."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def of(self, origin: Origin) -> str:
        """A node's label; its path where that is taken, or repeats with every call of a function."""
        candidates = [origin.path] if "function" in origin.address else [origin.label, origin.path]
        name = next((name for name in candidates if name not in self._taken), None)
        number = 2
        while name is None:
            numbered = f"{origin.path}#{number}"
            name = None if numbered in self._taken else numbered
            number += 1
        self._taken.add(name)
        return name
