"""Set-up that the engine's tests share."""

from __future__ import annotations

import pytest

from convaudit.engine import tiles


@pytest.fixture(scope="package", autouse=True)
def threads_for_small_work():
    """Small convolutions run on one thread; here they shall use as many as the test asks for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiles, "THREAD_WORK", 1)
        yield
