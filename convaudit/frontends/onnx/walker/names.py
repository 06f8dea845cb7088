"""Names of layers for people, each given once."""

from __future__ import annotations

from convaudit.frontends.onnx.functions import Origin


class Names:
    """Names for people: the node's own where it is one, readable, and none of them given twice."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}  # and the last number that was added to it

    def unique(self, *candidates: str) -> str:
        """The first candidate that is free, else the last one with a number."""
        name = next((name for name in candidates if name not in self._taken), None)
        while name is None:
            self._taken[candidates[-1]] += 1
            numbered = f"{candidates[-1]}#{self._taken[candidates[-1]]}"
            name = None if numbered in self._taken else numbered
        self._taken[name] = 1
        return name

    def of_layer(self, origin: Origin) -> str:
        """A node's label; its path where that is taken, or repeats with every call of a function."""
        if "function" in origin.address:
            return self.unique(origin.path)
        return self.unique(origin.label, origin.path)
