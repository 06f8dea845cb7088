"""What is noted while a model is verified: how far it is, and what its sessions ran on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from convaudit.arguments import Number
from convaudit.frontends.onnx.verifier.session import PROVIDER, Session, threads
from convaudit.records import Optimization, Runtime, Shape, Verification, Verified


class Log:
    """The log of one verification."""

    def __init__(self, optimization: Optimization, progress: Callable[[int], None] | None) -> None:
        self._wanted: Optimization = optimization
        self._used: set[Optimization] = set()
        self._progress = progress

    def difference(self, session: Session) -> str:
        """Note a session; in words, to end a reason with, how it ran otherwise than was asked for."""
        self._used.add(session.optimization)
        if session.optimization == self._wanted:
            return ""
        return f" (onnxruntime ran with optimization {session.optimization}, not {self._wanted})"

    def verified(
        self,
        verdicts: Iterable[Verification],
        seed: int | None,
        input_shapes: Mapping[str, Shape | None],
        input_values: Mapping[str, Number],
    ) -> Verified:
        """All verdicts, as they are reached, with what they were reached on."""
        found = []
        for verdict in verdicts:
            found.append(verdict)
            if self._progress is not None:
                self._progress(1)
        return Verified(verdicts=tuple(found), runtime=self._runtime(seed, input_shapes, input_values))

    def _runtime(
        self, seed: int | None, input_shapes: Mapping[str, Shape | None], input_values: Mapping[str, Number]
    ) -> Runtime:
        import onnxruntime

        return Runtime(
            name="onnxruntime",
            version=onnxruntime.__version__,
            provider=PROVIDER,
            threads=threads(),
            optimization=next(iter(self._used)) if len(self._used) == 1 else self._wanted,
            device="cpu",
            seed=seed,
            input_shapes=input_shapes,
            input_values=input_values,
        )
