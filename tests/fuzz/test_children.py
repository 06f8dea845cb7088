"""The fuzz's child process: whatever happens in it is an outcome, and the next call works."""

from __future__ import annotations

import os
import time

import pytest

from tests.fuzz.children import Child


def behave(what: str) -> str:
    """Do as told; runs in the child."""
    if what == "raise":
        raise ValueError("on purpose")
    if what == "exit":
        os._exit(7)
    if what == "hang":
        time.sleep(60)
    if what == "eat":
        return str(len(bytearray(2**34)))
    return what.upper()


def test_outcomes() -> None:
    with Child(behave, seconds=4, memory_bytes=2**33) as child:
        assert child("fine").value == "FINE"
        assert child("raise").error == "ValueError: on purpose"
        assert child("exit").crash == "ended with exit code 7"
        assert child("hang").crash == "no answer after 4 s"
        eaten = child("eat")
        assert eaten.error is not None
        assert eaten.error.startswith("MemoryError")
        assert child("again").value == "AGAIN"
        assert child("again").peak_bytes > 2**20


@pytest.mark.parametrize("calls", [1, 2])
def test_a_fresh_child_takes_over(calls: int) -> None:
    with Child(_pid, seconds=10, calls=calls) as child:
        pids = [child().value for _ in range(4)]
    assert len(set(pids)) == 4 // calls


def _pid() -> int:
    return os.getpid()


def test_a_child_does_not_answer_for_its_parents_memory() -> None:
    held = bytearray(b"x") * 2**29
    with Child(behave, seconds=10) as child:
        assert child("fine").peak_bytes < len(held)
