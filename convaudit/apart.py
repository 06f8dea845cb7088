"""Runs what deals with foreign code in a process of its own, so that nothing it does becomes our doing.

A helper process imports once what its calls need, such as torch. For each call it forks a child, which sends
its answer and ends: by itself, by ``os._exit``, by a crash, or because it took more time or memory than it
was given. Whatever way, the caller gets the answer or a ``ConvauditError``. Where there is no fork, each
call has a helper to itself, without limits.
"""

from __future__ import annotations

import atexit
import importlib
import io
import os
import pickle
import select
import signal
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, BinaryIO

from convaudit import errors
from convaudit.errors import ConvauditError, ExecutionError, LoadError, UsageError

_LENGTH = struct.Struct("<Q")
_ANSWERS = ("convaudit.records", "convaudit.formulas", "convaudit.shapes")
_NUMBERS = {("numpy", "dtype"), ("numpy._core.multiarray", "scalar"), ("numpy.core.multiarray", "scalar")}
IDLE_SECONDS = 60.0
"""How long a helper waits for another call before it ends."""
SECONDS_VARIABLE = "CONVAUDIT_FILE_SECONDS"
MEMORY_VARIABLE = "CONVAUDIT_FILE_MEMORY"
_USER_CODE_APART: ContextVar[bool] = ContextVar("user_code_apart", default=False)


@contextmanager
def user_code_apart() -> Iterator[None]:
    """Run the code that a source names in a process of its own: its ``sys.exit`` must not end the program."""
    token = _USER_CODE_APART.set(True)
    try:
        yield
    finally:
        _USER_CODE_APART.reset(token)


def user_code_runs_apart() -> bool:
    """Whether the caller is inside ``user_code_apart``."""
    return _USER_CODE_APART.get()


@dataclass(frozen=True, slots=True)
class CodeLimits:
    """What code out of a file may take; on systems that can say so."""

    seconds: int  # of the clock
    memory_bytes: int  # beyond what the libraries themselves take
    file_bytes: int = 0  # of each file that it writes


def file_limits(size: int, *, computes: bool) -> CodeLimits:
    """For the code of a file of ``size`` bytes: a walk needs shapes only, a verification ``computes``."""
    from convaudit.units import parse_bytes

    seconds, memory = os.environ.get(SECONDS_VARIABLE, ""), os.environ.get(MEMORY_VARIABLE, "")
    return CodeLimits(
        seconds=int(seconds) if seconds.isdigit() and int(seconds) else 3600 if computes else 120,
        memory_bytes=parse_bytes(memory) if memory else (2**34 if computes else 2**32) + 4 * size,
    )


def call_apart(
    function: str,
    *arguments: Any,
    who: str,
    prepared: tuple[str, ...],
    limits: CodeLimits | None = None,
    progress: Callable[[int], None] | None = None,
) -> Any:
    """Call ``module:function`` in a child process, which also gets a function to report progress with.

    Args:
        function: Named, since the child imports it.
        arguments: What can be pickled.
        who: The source that it is about, for messages.
        prepared: Modules that the helper imports before it forks. Calls that name the same share one.
        limits: For code out of a file; what it prints is dropped. None: for the user's own, whose prints go
            to stderr.
        progress: Is told what the child reports.

    Returns:
        What the function returns: records, counts, and nests of them.

    Raises:
        ConvauditError: Which the function raised, or which says how the child ended without an answer.
    """
    surroundings = (os.getcwd(), sys.path, sys.argv, dict(os.environ))
    try:
        request = pickle.dumps((surroundings, limits, function, pickle.dumps(arguments)))
    except Exception as error:
        raise UsageError(
            f"{who}: it is audited in a process of its own, to which these inputs cannot be handed "
            f"({errors.first_line(error)}); load it yourself and pass the module"
        ) from error
    with _LOCK:
        kind, *answer = _exchange(prepared, request, progress)
    match kind, answer:
        case "value", [value]:
            return value
        case "error", [name, text]:
            raise getattr(errors, name)(text)
        case "memory", [text]:
            raise _out_of_memory(who, limits, text)
    raise _ended(who, limits, answer[0] if answer else None)


def _ended(who: str, limits: CodeLimits | None, status: int | None) -> ConvauditError:
    if limits is not None and status == -signal.SIGALRM:
        return LoadError(
            f"{who}: its code ran for more than {limits.seconds} s and was stopped; "
            f"{SECONDS_VARIABLE} allows it more"
        )
    how = "ended" if status is None else f"left with exit code {status}"
    if status is not None and status < 0:
        how = f"was ended by signal {-status} ({signal.strsignal(-status)})"
    kind = ExecutionError if limits is None else LoadError
    return kind(f"{who}: the process of its code {how} before the audit was done")


def _out_of_memory(who: str, limits: CodeLimits | None, text: str) -> ConvauditError:
    if limits is None:
        return ExecutionError(f"{who}: out of memory: {text}")
    return LoadError(
        f"{who}: needs more than the {limits.memory_bytes // 2**20} MiB of memory that a file's code "
        f"is given; {MEMORY_VARIABLE} allows it more"
    )


# --- the caller's side ----------------------------------------------------------------------------------


_LOCK = threading.Lock()
_Key = tuple[int, tuple[str, ...]]
_helpers: dict[_Key, subprocess.Popen[bytes]] = {}  # by the process that started it: a fork has none


def _exchange(prepared: tuple[str, ...], request: bytes, progress: Callable[[int], None] | None) -> Any:
    """The last message that the helper sends on a request; a helper that has gone is replaced once."""
    for _ in range(2):
        key = (os.getpid(), prepared)
        helper = _running_helper(key)
        try:
            answer = _answer(helper, request, progress)
        except BaseException:  # Ctrl-C too: nobody waits for the child any more
            _stop(key)
            raise
        if answer is not None:
            return answer
        _stop(key)
    return ("ended", None)


def _answer(helper: subprocess.Popen[bytes], request: bytes, progress: Callable[[int], None] | None) -> Any:
    assert helper.stdin is not None
    assert helper.stdout is not None
    try:
        _send(helper.stdin, request)
    except OSError:
        return None
    answer: Any = None
    while True:
        message = _receive(helper.stdout)
        if message is None:
            return answer and ("ended", None)
        kind, *values = _Answers(io.BytesIO(message)).load()
        if kind == "progress":
            if progress is not None:
                progress(values[0])
        elif kind == "ended":
            return ("ended", *values) if answer in (None, "begun") else answer
        elif answer in (None, "begun"):
            answer = "begun" if kind == "begun" else (kind, *values)


class _Answers(pickle.Unpickler):
    """Builds records and numbers, and nothing else: the child has dealt with who knows what."""

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith(_ANSWERS) or (module, name) in _NUMBERS:
            found = super().find_class(module, name)
            if isinstance(found, type) or (module, name) in _NUMBERS:
                return found
        raise ExecutionError(f"an answer must not contain {module}.{name}")


def _running_helper(key: _Key) -> subprocess.Popen[bytes]:
    helper = _helpers.get(key)
    if helper is None or helper.poll() is not None:
        # its path is ours: a module in the current directory must not take the place of an installed one
        code = f"import sys; sys.path[:] = {sys.path!r}; from convaudit.apart import serve; "
        code += f"serve({key[1]!r}, {IDLE_SECONDS})"
        helper = _helpers[key] = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        atexit.register(_stop, key)
    return helper


def _stop(key: _Key) -> None:
    """End the helper and the child that it may have."""
    helper = _helpers.pop(key, None)
    if helper is None or key[0] != os.getpid():
        return
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError):
            os.killpg(helper.pid, signal.SIGKILL)
    else:
        helper.kill()
    helper.wait()
    for stream in (helper.stdin, helper.stdout):
        if stream is not None:
            with suppress(OSError):  # of what it had not read yet
                stream.close()


# --- the helper's side ----------------------------------------------------------------------------------


def serve(prepared: Sequence[str], idle_seconds: float) -> None:
    """Answer requests on stdin until there are no more, or none has come for a while."""
    requests, answers = os.fdopen(os.dup(0), "rb", buffering=0), os.fdopen(os.dup(1), "wb", buffering=0)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    tempfile.gettempdir()  # finds out by writing, which a child may not
    with suppress(Exception):  # the child will find the reason again, and say it
        for module in map(importlib.import_module, prepared):
            getattr(module, "warm_up", int)()
    while select.select([requests], [], [], idle_seconds)[0] if os.name == "posix" else True:
        request = _receive(requests)
        if request is None:
            return
        if not hasattr(os, "fork"):
            _serve_one(request, answers)
            _send(answers, pickle.dumps(("ended", 0)))
            return
        child = os.fork()
        if child == 0:
            try:
                _serve_one(request, answers)
            finally:
                os._exit(0)
        _send(answers, pickle.dumps(("ended", os.waitstatus_to_exitcode(_waited(child, requests)))))


def _waited(child: int, requests: BinaryIO) -> int:
    """The child's exit status. If the caller goes away before its end, the child has no reason to go on."""
    with suppress(OSError, AttributeError):  # where there are no such descriptors it runs to its end
        ended = os.pidfd_open(child)
        waited: list[Any] = [ended, requests]
        if ended not in select.select(waited, [], [])[0]:
            os.kill(child, signal.SIGKILL)
        os.close(ended)
    return os.waitpid(child, 0)[1]


def _serve_one(request: bytes, answers: BinaryIO) -> None:
    (folder, path, argv, environ), limits, function, arguments = pickle.loads(request)
    _send(answers, pickle.dumps(("begun",)))
    os.chdir(folder)
    sys.path[:], sys.argv[:] = path, argv
    os.environ.clear()
    os.environ.update(environ)

    def report(steps: int) -> None:
        _send(answers, pickle.dumps(("progress", steps)))

    try:
        if limits is not None:
            _confine(limits)
        module, _, name = function.partition(":")
        answer = ("value", getattr(importlib.import_module(module), name)(*pickle.loads(arguments), report))
        message = pickle.dumps(answer)
    except BaseException as error:  # foreign code raises what it likes
        if environ.get("CONVAUDIT_DEBUG"):
            import traceback

            traceback.print_exc()
        message = pickle.dumps(_failure(error))
    with suppress(Exception):  # they may be anything by now
        sys.stdout.flush()
        sys.stderr.flush()
    _send(answers, message)


def _failure(error: BaseException) -> tuple[str, ...]:
    words = " ".join(f"{type(error).__name__}: {error}".split())[:400]
    if _is_of_memory(error):
        return "memory", words
    if isinstance(error, ConvauditError):
        return "error", type(error).__name__, str(error)
    return "error", "ExecutionError", f"its code raised {words}"


def _is_of_memory(error: BaseException | None) -> bool:
    """Whether an allocation failed, here or in C++, which says so in words only."""
    if error is None:
        return False
    text = str(error)
    words = ("bad_alloc", "allocate memory", "not enough memory", "std::length_error")
    return isinstance(error, MemoryError) or any(w in text for w in words) or _is_of_memory(error.__cause__)


def _confine(limits: CodeLimits) -> None:
    """Bound this process. What libraries and the file's code say is dropped."""
    if not os.environ.get("CONVAUDIT_DEBUG"):
        os.dup2(0, 1)
        os.dup2(0, 2)
    if os.name != "posix":
        return
    import resource

    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, limits.seconds)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limits.file_bytes, limits.file_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _bound_memory(resource.RLIMIT_DATA, limits.memory_bytes + _data_bytes())


def _bound_memory(which: int, size: int) -> None:
    import resource

    _, hard = resource.getrlimit(which)
    if hard == resource.RLIM_INFINITY or size < hard:
        resource.setrlimit(which, (size, size))


def _data_bytes() -> int:
    """What this process has for itself already, by the kernel's count where there is one."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[5]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 2**32


# --- messages -------------------------------------------------------------------------------------------


def _send(file: Any, message: bytes) -> None:
    rest = memoryview(_LENGTH.pack(len(message)) + message)
    while rest:
        rest = rest[file.write(rest) :]
    file.flush()


def _receive(file: Any) -> bytes | None:
    header = _read(file, _LENGTH.size)
    return None if header is None else _read(file, *_LENGTH.unpack(header))


def _read(file: Any, length: int) -> bytes | None:
    content = bytearray()
    while len(content) < length:
        piece = file.read(length - len(content))
        if not piece:
            return None
        content += piece
    return bytes(content)
