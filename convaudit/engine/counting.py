"""The multiply-adds that the engine really executes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class MacCounter:
    """Pass one as ``counter=`` and read ``macs`` afterwards; it sums over the calls it is given to.

    Each method adds what the operands of its own matrix products hold (an element of the weight's matrix
    meets every column of the other), so the number is evidence about the execution and not the accounting's
    formula again. Taps that lie on padding are multiplied by zeros and count, as in the accounting; the zeros
    beside the taps in a matrix of ``bands`` do not.
    """

    macs: int = 0
