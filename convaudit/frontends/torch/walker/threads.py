"""Takes a forward's dispatch modes along into the threads that it starts or gives work to.

torch keeps modes, and with them whoever watches a forward, to the thread that entered them. For as long as a
forward is followed, whatever starts a thread or hands work to a pool is wrapped; what other threads of the
process start or hand out passes as it is.
"""

from __future__ import annotations

import _thread
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import wraps
from multiprocessing.pool import Pool, ThreadPool
from multiprocessing.process import BaseProcess
from typing import Any
from weakref import WeakSet

Context = Callable[[], AbstractContextManager[Any]]
Work = Callable[..., Any]

_PATIENCE = 2.0  # seconds for work that the forward did not wait for
_POOLS = ("concurrent.futures.thread", "multiprocessing.pool")  # whose threads outlive a forward
_current = threading.local()  # .threads: who follows the running thread, if anybody


class Threads:
    """Follows one forward through its threads.

    Args:
        surroundings: Is called in a thread that hands work out, and makes the context in which to do it.
        unseen: Is told of what runs where nobody can follow.
    """

    def __init__(self, surroundings: Callable[[], Context], unseen: Callable[[str], None]) -> None:
        self._surroundings = surroundings
        self._unseen = unseen
        self._pending: WeakSet[Work] = WeakSet()

    @contextmanager
    def followed(self) -> Iterator[None]:
        """Follow what the body starts, and wait for it at the end."""
        with _wrapped(), self.here():
            yield
        deadline = time.monotonic() + _PATIENCE
        while self._pending and time.monotonic() < deadline:
            time.sleep(0.001)
        if self._pending:
            self.unseen("a thread that goes on after the forward")

    def away(self) -> bool:
        """Whether the running thread does not belong to the forward, as far as anybody knows."""
        return getattr(_current, "threads", None) is not self

    def unseen(self, what: str) -> None:
        """Note that work is done where nobody can follow."""
        self._unseen(what)

    def here(self) -> AbstractContextManager[None]:
        """Have the body, in whatever thread, belong to the forward."""
        return _followed_by(self)

    def carried(self, work: Work) -> Work:
        """``work``, to be run in another thread as if it were in this one."""
        context = self._surroundings()

        @wraps(work)
        def run(*args: Any, **kwargs: Any) -> Any:
            try:
                with self.here(), context():
                    return work(*args, **kwargs)
            finally:
                self._pending.discard(run)

        self._pending.add(run)
        return run


def unfollowed() -> AbstractContextManager[None]:
    """Have the body not belong to any forward."""
    return _followed_by(None)


@contextmanager
def _followed_by(threads: Threads | None) -> Iterator[None]:
    outer = getattr(_current, "threads", None)
    _current.threads = threads
    try:
        yield
    finally:
        _current.threads = outer


# --- what starts threads --------------------------------------------------------------------------------


def _start(original: Work, thread: threading.Thread) -> Any:
    threads = getattr(_current, "threads", None)
    target = getattr(thread, "_target", None)
    if threads is not None and getattr(target, "__module__", None) not in _POOLS:
        thread.run = threads.carried(thread.run)  # type: ignore[method-assign]
    return original(thread)


def _start_bare(original: Work, work: Work, *args: Any) -> Any:
    threads = getattr(_current, "threads", None)
    return original(work if threads is None else threads.carried(work), *args)


def _hand_out(original: Work, pool: Any, work: Work, *args: Any, **kwargs: Any) -> Any:
    threads = getattr(_current, "threads", None)
    if threads is not None and isinstance(pool, ThreadPoolExecutor | ThreadPool):
        work = threads.carried(work)
    elif threads is not None:
        threads.unseen("another process")
    return original(pool, work, *args, **kwargs)


def _start_process(original: Work, process: BaseProcess) -> Any:
    threads = getattr(_current, "threads", None)
    if threads is not None:
        threads.unseen("another process")
    return original(process)


_WRAPPED: tuple[tuple[Any, str, Work], ...] = (
    (threading.Thread, "start", _start),
    (_thread, "start_new_thread", _start_bare),
    (ThreadPoolExecutor, "submit", _hand_out),
    (ProcessPoolExecutor, "submit", _hand_out),
    *((Pool, name, _hand_out) for name in ("apply_async", "_map_async", "imap", "imap_unordered")),
    (BaseProcess, "start", _start_process),
)
_lock = threading.Lock()
_originals: list[Work] = []
_users: list[None] = []  # one for each forward that is followed


@contextmanager
def _wrapped() -> Iterator[None]:
    """Have everything in ``_WRAPPED`` wrapped while anybody follows a forward."""
    with _lock:
        _users.append(None)
        if len(_users) == 1:
            for owner, name, wrapper in _WRAPPED:
                original = getattr(owner, name)
                _originals.append(original)
                setattr(owner, name, _bound(wrapper, original))
    try:
        yield
    finally:
        with _lock:
            _users.pop()
            if not _users:
                for (owner, name, _), original in zip(_WRAPPED, _originals, strict=True):
                    setattr(owner, name, original)
                _originals.clear()


def _bound(wrapper: Work, original: Work) -> Work:
    return wraps(original)(lambda *args, **kwargs: wrapper(original, *args, **kwargs))
