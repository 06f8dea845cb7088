"""Runs of variants of a model, within a bound on memory, and the record of what they ran on."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from onnx import ModelProto

from convaudit.analyzer import costs
from convaudit.engine.operands import Array
from convaudit.errors import ExecutionError
from convaudit.feeds import known_shape
from convaudit.frontends.onnx.loader.mapped_weights import with_mapped_weights
from convaudit.frontends.onnx.loader.onnx_file import OnnxModel
from convaudit.frontends.onnx.runtime import CPU, Placement, Settings
from convaudit.frontends.onnx.verifier.exposure import prune, unvarying
from convaudit.judge.problem import JUDGE_BYTES
from convaudit.records import ConvLayer, Network, Optimization, Shape, Verification, Verified

LEAST_WORKSPACE = 2**23
"""Below it, judging in ever smaller parts takes ever longer."""
_GUESSED_BYTES = 16 * 2**20  # of a layer whose size the accounting does not know


@dataclass(frozen=True, slots=True)
class Memory:
    """What verifying may hold beside what the runtime itself needs, and how that is shared out."""

    bytes: int = 2**30

    @property
    def workspace(self) -> int:
        """Bytes for the judge."""
        return max(LEAST_WORKSPACE, self._share)

    @property
    def activations(self) -> int:
        """Bytes of inputs and outputs at a time: half the rest, as the runtime may keep a second layout."""
        return (self.bytes - self._share) // 2

    @property
    def _share(self) -> int:
        return min(JUDGE_BYTES, self.bytes // 8)


def captured_bytes(layer: ConvLayer, sizes: Mapping[str, int]) -> int:
    """Bytes of a layer's input and output."""
    shaped = replace(
        layer,
        input_shape=known_shape(layer.input_shape, sizes),
        output_shape=known_shape(layer.output_shape, sizes),
    )
    count = costs.activation_bytes(shaped)
    return count if isinstance(count, int) else _GUESSED_BYTES


@dataclass(frozen=True, slots=True)
class Run:
    """What one run gave, and where it ran otherwise than was asked for."""

    values: Mapping[str, Array]
    placements: Mapping[str, Placement | None] = field(default_factory=dict)  # by layer; None: not told
    notes: Mapping[str, str] = field(default_factory=dict)  # by layer, to end a reason with

    def judged(self, layer: ConvLayer, verdict: Verification) -> Verification:
        """The verdict on a layer that ran in it, which says how it ran."""
        placement = self.placements[layer.name]
        return replace(
            verdict,
            reason=verdict.reason + self.notes[layer.name],
            provider=None if placement is None else placement.provider,
            compiled_nodes=None if placement is None else placement.compiled_nodes,
        )


def _keep_outputs(proto: ModelProto, names: Container[str]) -> None:
    kept = [output for output in proto.graph.output if output.name in names]
    del proto.graph.output[:]
    proto.graph.output.extend(kept)
    prune(proto.graph)


class Runs:
    """Runs variants of one model."""

    def __init__(
        self,
        model: OnnxModel,
        settings: Settings,
        *,
        memory: Memory,
        sizes: Mapping[str, int],
        copy_weights: bool = True,
    ) -> None:
        """Take note of what is asked for.

        Args:
            model: What they are variants of.
            settings: Asked for; a run may differ, and says so.
            memory: Where the activations of what is run leave no room in it, the runtime makes no other
                layout of them: "extended" takes the place of "all".
            sizes: Sizes of the symbolic dimensions.
            copy_weights: False: weights stay on the disk, which "disabled" optimisation ensures.
        """
        self._model = model
        self._asked = settings
        self._memory = memory
        self._sizes = sizes
        self._copy_weights = copy_weights
        self._used: set[Optimization] = set()

    def run(
        self,
        proto: ModelProto,
        feeds: Mapping[str, Array],
        outputs: Sequence[str],
        layers: Sequence[ConvLayer],
    ) -> Run:
        """Run a variant; without optimisation where the runtime refuses it, or fails, with it.

        Args:
            proto: The variant, in which a layer's node has the layer's name; its references are changed.
            feeds: Values of its inputs by name, and perhaps of others.
            outputs: Names of the values that are wanted.
            layers: What it is run for.

        Raises:
            ExecutionError: The runtime does not run it.
            LoadError: Weights are missing.
        """
        settings = self._affordable(layers)
        made = self._made_of_constants(proto, feeds, outputs, layers)
        outputs = [name for name in outputs if name not in made]
        model = with_mapped_weights(self._model, proto)
        plain = replace(settings, optimization="disabled")
        if settings != plain:
            try:
                return self._attempt(settings, model, feeds, outputs, layers, made)
            except ExecutionError:
                pass  # an optimised kernel may refuse what the plain one computes
        return self._attempt(plain, model, feeds, outputs, layers, made)

    def _made_of_constants(
        self,
        proto: ModelProto,
        feeds: Mapping[str, Array],
        outputs: Sequence[str],
        layers: Sequence[ConvLayer],
    ) -> Mapping[str, Array]:
        """Values that depend on no input, which the variant then no longer hands out.

        The CPU calculates them: OpenVINO folds them into what it compiles, and may hand out memory that it
        never wrote. What a layer gives is left to the provider, which is to be judged by it.
        """
        if self._asked.provider == CPU:
            return {}
        names = {layer.name for layer in layers}
        judged = {name for node in proto.graph.node if node.name in names for name in node.output}
        constants = unvarying(proto.graph, judged | set(feeds)).intersection(outputs)
        if not constants:
            return {}
        aside = ModelProto()
        aside.CopyFrom(proto)
        _keep_outputs(aside, constants)
        _keep_outputs(proto, set(outputs) - constants)
        session = Settings().runtime.load(with_mapped_weights(self._model, aside), Settings())
        return session.run({}, sorted(constants))

    def _affordable(self, layers: Sequence[ConvLayer]) -> Settings:
        """What was asked for, as far as it costs no more memory than is allowed."""
        if not self._copy_weights:
            return replace(self._asked, optimization="disabled", copy_weights=False)
        captured = sum(captured_bytes(layer, self._sizes) for layer in layers)
        if self._asked.optimization == "all" and captured > self._memory.activations:
            return replace(self._asked, optimization="extended")
        return self._asked

    def _attempt(
        self,
        settings: Settings,
        model: bytes,
        feeds: Mapping[str, Array],
        outputs: Sequence[str],
        layers: Sequence[ConvLayer],
        made: Mapping[str, Array],
    ) -> Run:
        session = settings.runtime.load(model, settings)
        values = {**session.run(feeds, outputs), **made}
        self._used.add(settings.optimization)
        placements = {layer.name: session.placement(layer.name) for layer in layers}
        notes = {name: self._note(settings, placement) for name, placement in placements.items()}
        return Run(values, placements, notes)

    def _note(self, used: Settings, placement: Placement | None) -> str:
        """How a layer ran otherwise than was asked for, in words."""
        name, asked = used.runtime.name, self._asked
        note = ""
        if used.optimization != asked.optimization:
            note += f" ({name} ran with optimization {used.optimization}, not {asked.optimization})"
        if placement is None:
            note += f" ({name} {used.runtime.version} does not tell whether {asked.provider} ran it)"
        elif placement.provider != asked.provider:
            note += f" ({asked.provider} handed it back to {placement.provider})"
        elif placement.compiled_nodes > 1:
            note += f" (one of {placement.compiled_nodes} nodes that {asked.provider} compiled into one)"
        return note

    def verified(
        self,
        verdicts: Iterable[Verification],
        network: Network,
        *,
        seed: int | None,
        input_shapes: Mapping[str, Shape | None],
        progress: Callable[[int], None] | None,
    ) -> Verified:
        """All verdicts, with what they were reached on.

        Args:
            verdicts: One for each layer, reached as they are asked for.
            network: The model's.
            seed: Seed of random inputs; None: they were given.
            input_shapes: By input name.
            progress: Is told of each layer that is done.
        """
        found = []
        for verdict in verdicts:
            found.append(verdict)
            if progress is not None:
                progress(1)
        asked = self._asked
        used = replace(asked, optimization=next(iter(self._used))) if len(self._used) == 1 else asked
        runtime = used.runtime_info(network, seed=seed, input_shapes=input_shapes)
        return Verified(verdicts=tuple(found), runtime=runtime)
