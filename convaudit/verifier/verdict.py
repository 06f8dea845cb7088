"""The verdict on one executed convolution: did the runtime compute what the accounting claims?"""

from __future__ import annotations

from convaudit.records import Verification
from convaudit.verifier.execution import Execution

WORKSPACE_BYTES = 64 * 2**20


def judge(
    execution: Execution, *, accounted_macs: int | None = None, workspace_bytes: int = WORKSPACE_BYTES
) -> Verification:
    """Re-execute a convolution in float64 with convaudit's own engine and judge the runtime's output by it.

    execution        what the runtime was given and what it returned
    accounted_macs   the multiply-accumulates that the accounting claims; the engine's own count must agree
    workspace_bytes  bounds the engine's temporary memory

    Returns the verdict; a fault of the runtime never raises.
    """
    del execution, accounted_macs, workspace_bytes
    return Verification(status="not_supported", reason="the verdict is not implemented yet")
