"""Network in, AuditReport out: what every convolution costs and what its ``groups`` save.

The counting convention is one for the whole project: multiply-accumulates are nominal (taps on padding
count, bias additions do not), FLOPs are twice that, and a transposed convolution is counted at its input
positions. Whatever cannot be known stays ``None`` and is named in the report's warnings.
"""

from __future__ import annotations

from convaudit.analyzer.analyze import analyze
from convaudit.analyzer.unknowns import unknowns

__all__ = ["analyze", "unknowns"]
