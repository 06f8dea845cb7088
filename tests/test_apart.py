"""Foreign code in a process of its own: whatever it does, there is an answer or a ``ConvauditError``."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from convaudit.apart import CodeLimits, call_apart
from convaudit.errors import ConvauditError, ExecutionError, LoadError, UsageError
from convaudit.records import Branch

LIMITS = CodeLimits(seconds=60, memory_bytes=2**28)


def echo(value: Any, _progress: Any) -> Any:
    return value


def steps(number: int, progress: Callable[[int], None]) -> int:
    for step in range(number):
        progress(step)
    return number


def raise_error(kind: type[BaseException], _progress: Any) -> None:
    raise kind("with\nwords")


def leave(code: int, _progress: Any) -> None:
    os._exit(code)


def leave_threads(_progress: Any) -> str:
    import atexit
    import threading

    atexit.register(os._exit, 5)
    threading.Thread(target=time.sleep, args=(1000,)).start()
    return "done"


def kill_parent(_progress: Any) -> None:
    os.kill(os.getppid(), signal.SIGKILL)


def run_for_ever(_progress: Any) -> None:
    while True:
        pass


def allocate(_progress: Any) -> int:
    return len(bytearray(2**30))


def write(path: str, _progress: Any) -> None:
    Path(path).write_text("more than nothing")


def surroundings(_progress: Any) -> tuple[str, str, str]:
    print("this is not an answer")
    os.system("echo neither is this")
    return os.getcwd(), sys.argv[0], os.environ["A_VARIABLE"]


def a_function(_progress: Any) -> Any:
    return os.system


def apart(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
    """In a helper that imports no torch, which takes seconds, and which these tests do not need."""
    prepared = ("convaudit.records",)
    name = f"{__name__}:{function.__name__}"
    return call_apart(name, *arguments, who="model", prepared=prepared, **keywords)


@pytest.mark.parametrize("limits", [None, LIMITS])
@pytest.mark.parametrize("value", [1, "text", (1.5, None), Branch(choice="c", arm="a"), {"n": [2**100]}])
def test_values_come_back(value: Any, limits: CodeLimits | None) -> None:
    assert apart(echo, value, limits=limits) == value


def test_progress_is_reported() -> None:
    seen: list[int] = []
    assert apart(steps, 3, progress=seen.append) == 3
    assert seen == [0, 1, 2]


def test_it_runs_where_the_caller_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("A_VARIABLE", "its value")
    monkeypatch.setattr(sys, "argv", ["program"])
    assert apart(surroundings) == (str(tmp_path), "program", "its value")
    assert capfd.readouterr().out == ""


ENDS = [
    pytest.param(raise_error, (ValueError,), r"its code raised ValueError: with words", id="error"),
    pytest.param(raise_error, (SystemExit,), r"its code raised SystemExit", id="sys.exit"),
    pytest.param(raise_error, (KeyboardInterrupt,), r"its code raised KeyboardInterrupt", id="interrupt"),
    pytest.param(raise_error, (BaseException,), r"its code raised BaseException", id="base"),
    pytest.param(leave, (0,), r"model: the process of its code left with exit code 0", id="os._exit(0)"),
    pytest.param(leave, (3,), r"model: the process of its code left with exit code 3", id="os._exit(3)"),
    pytest.param(kill_parent, (), r"model: the process of its code ended before", id="killed-helper"),
]


@pytest.mark.parametrize(("function", "arguments", "message"), ENDS)
def test_every_end_is_an_error(function: Any, arguments: Any, message: str) -> None:
    with pytest.raises(ExecutionError, match=message):
        apart(function, *arguments)
    assert apart(echo, "still there") == "still there"


def test_own_errors_keep_their_kind() -> None:
    with pytest.raises(UsageError, match="with\nwords"):
        apart(raise_error, UsageError)


def test_what_is_left_running_changes_nothing() -> None:
    assert apart(leave_threads) == "done"


LIMITED = [
    pytest.param(run_for_ever, (), CodeLimits(1, 2**28), r"ran for more than 1 s and was stopped", id="time"),
    pytest.param(allocate, (), LIMITS, r"needs more than the 256 MiB of memory", id="memory"),
    pytest.param(leave, (0,), LIMITS, r"left with exit code 0", id="exit"),
]


@pytest.mark.parametrize(("function", "arguments", "limits", "message"), LIMITED)
def test_a_files_code_is_limited(function: Any, arguments: Any, limits: CodeLimits, message: str) -> None:
    with pytest.raises(LoadError, match=message):
        apart(function, *arguments, limits=limits)


def test_a_files_code_writes_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConvauditError, match="File too large"):
        apart(write, str(tmp_path / "written"), limits=LIMITS)
    assert not (tmp_path / "written").exists() or (tmp_path / "written").read_bytes() == b""


def test_an_answer_is_data() -> None:
    with pytest.raises(ExecutionError, match=r"must not contain posix\.system"):
        apart(a_function)


def test_inputs_that_cannot_be_handed_over() -> None:
    with pytest.raises(UsageError, match="load it yourself and pass the module"):
        apart(echo, lambda: None)
