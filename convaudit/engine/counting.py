"""The multiply-adds that the engine really executes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class MacCounter:
    """Pass one as ``counter=`` and read ``macs`` afterwards; it sums over the calls it is given to.

    Each kernel adds what its own loops cover (rows times columns times depth of every matrix product), so
    the number is evidence about the execution and not the accounting's formula again. Taps that lie on
    padding are multiplied by zeros and count, as in the accounting.
    """

    macs: int = 0
