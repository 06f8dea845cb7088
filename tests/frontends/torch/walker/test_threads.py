"""Convolutions in other threads: counted, or their totals are unknown."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.pool import ThreadPool
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from convaudit.analyzer import analyze
from convaudit.frontends.torch.inputs import Values, make_inputs
from convaudit.frontends.torch.walker.forward import real_forward
from convaudit.frontends.torch.walker.walk import walk_torch

SHAPE = (2, 4, 8, 8)
MACS = 2 * 8 * 8 * 4 * 4 * 9  # of one call of the layer below


class Two(nn.Module):
    """Gives a convolution to ``hand_out`` twice, and another one once."""

    def __init__(self, hand_out: Callable[[nn.Module, list[Tensor]], list[Tensor]]) -> None:
        super().__init__()
        self.a = nn.Conv2d(4, 4, 3, padding=1)
        self.b = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1))
        self.hand_out = hand_out

    def forward(self, x: Tensor) -> Tensor:
        outputs = self.hand_out(self.a, [x, x + 1]) + self.hand_out(self.b, [x])
        return torch.stack(outputs).sum(0)


def in_executor(module: nn.Module, inputs: list[Tensor]) -> list[Tensor]:
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(module, inputs))


def in_thread_pool(module: nn.Module, inputs: list[Tensor]) -> list[Tensor]:
    with ThreadPool(2) as pool:
        return pool.map(module, inputs)


def in_threads(module: nn.Module, inputs: list[Tensor]) -> list[Tensor]:
    results: dict[int, Tensor] = {}

    def work(index: int, x: Tensor) -> None:
        results[index] = module(x)

    threads = [threading.Thread(target=work, args=pair) for pair in enumerate(inputs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [results[index] for index in range(len(inputs))]


def unawaited(module: nn.Module, inputs: list[Tensor]) -> list[Tensor]:
    for x in inputs:
        threading.Thread(target=module, args=(x,)).start()
    return inputs


def nested(module: nn.Module, inputs: list[Tensor]) -> list[Tensor]:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(in_executor, module, inputs).result()


def forked(module: nn.Module, inputs: list[Tensor]) -> list[Tensor]:
    return [torch.jit.wait(future) for future in [torch.jit.fork(module, x) for x in inputs]]


def fake(module: nn.Module) -> list[tuple[str, Any]]:
    network = walk_torch(module, input_shape=SHAPE)
    assert network.warnings == ()
    assert analyze(network).totals.macs == 3 * MACS
    return [(layer.name, layer.calls) for layer in network.layers]


def real(module: nn.Module) -> list[tuple[str, Any]]:
    recorder = real_forward(module, make_inputs(module, SHAPE), Values())
    assert recorder.saw_everything
    return [(layer.name, layer.calls) for layer in recorder.layers.named()]


def wrapped_things() -> list[Any]:
    return [threading.Thread.start, ThreadPoolExecutor.submit, ThreadPool.apply_async, ThreadPool.imap]


@pytest.mark.parametrize("count", [fake, real])
@pytest.mark.parametrize(
    "hand_out", [in_executor, in_thread_pool, in_threads, nested, forked, unawaited], ids=lambda f: f.__name__
)
def test_convolutions_in_other_threads_are_counted(
    hand_out: Callable[..., Any], count: Callable[[nn.Module], list[tuple[str, Any]]]
) -> None:
    before = wrapped_things()
    assert sorted(count(Two(hand_out))) == [("a", 2), ("b.0", 1)]
    assert wrapped_things() == before


class Forks(nn.Module):
    """Has TorchScript run a submodule in a thread of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(4, 4, 3, padding=1)
        self.b = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        first, second = torch.jit.fork(self.a, x), torch.jit.fork(self.b, x)
        return torch.jit.wait(first) + torch.jit.wait(second) + self.a(x)


@pytest.mark.parametrize("count", [fake, real])
@pytest.mark.parametrize("wrap", [lambda m: m, nn.Sequential], ids=["whole", "inside"])
def test_what_torchscript_forks_counts_once(
    wrap: Callable[[nn.Module], nn.Module], count: Callable[[nn.Module], list[tuple[str, Any]]]
) -> None:
    counted = count(wrap(torch.jit.script(Forks())))
    assert sorted((name.removeprefix("0."), calls) for name, calls in counted) == [("a", 2), ("b.0", 1)]


@pytest.fixture
def worker() -> Iterator[queue.Queue[Any]]:
    """A thread that was there before: it takes (module, input, results) from its queue."""
    work: queue.Queue[Any] = queue.Queue()

    def serve() -> None:
        for module, x, results in iter(work.get, None):
            results.put(module(x))
            del module, x, results  # while it waits a thread keeps what it was given

    thread = threading.Thread(target=serve)
    thread.start()
    yield work
    work.put(None)
    thread.join()


def test_a_thread_that_was_there_before_counts_too(worker: queue.Queue[Any]) -> None:
    def hand_out(module: nn.Module, inputs: list[Tensor]) -> list[Tensor]:
        results: queue.Queue[Tensor] = queue.Queue()
        for x in inputs:
            worker.put((module, x, results))
        return [results.get() for _ in inputs]

    assert sorted(fake(Two(hand_out))) == [("a", 2), ("b.0", 1)]


def test_what_other_threads_hand_out_is_not_the_forwards(worker: queue.Queue[Any]) -> None:
    stranger = nn.Conv2d(4, 4, 1)

    def in_a_pool(x: Tensor) -> Tensor:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(stranger, x).result()

    def hand_out(module: nn.Module, inputs: list[Tensor]) -> list[Tensor]:
        results: queue.Queue[Tensor] = queue.Queue()
        worker.put((in_a_pool, REAL, results))
        assert type(results.get()) is Tensor
        return [module(x) for x in inputs]

    assert fake(Two(hand_out)) == [("a", 2), ("b.0", 1)]


REAL = torch.ones(1, 4, 2, 2)


def test_a_thread_that_goes_on_makes_the_totals_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convaudit.frontends.torch.walker.threads._PATIENCE", 0.05)
    stop = threading.Event()
    seen: list[Any] = []

    def work() -> None:
        stop.wait()
        seen.append(torch.ones(2).add(1))

    class Endless(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            threads.append(threading.Thread(target=work))
            threads[-1].start()
            return super().forward(x)

    threads: list[threading.Thread] = []
    report = analyze(walk_torch(Endless(4, 4, 3), input_shape=SHAPE))
    assert (report.totals.macs, report.totals.model_macs) == (None, None)
    assert report.warnings == (
        "1 a thread that goes on after the forward: convolutions may run in it unseen, so their totals are "
        "unknown (what it runs is not seen, in Endless)",
    )
    stop.set()
    threads[0].join()
    assert type(seen[0]) is Tensor  # the forward is over, and so is the fake mode
