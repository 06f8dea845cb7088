"""ONNX Runtime: the only module that imports it, and that starts a session of it."""

from __future__ import annotations

import os
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from convaudit.errors import DependencyError, ExecutionError, first_line
from convaudit.frontends.onnx.loader.mapped_weights import ROOTED
from convaudit.frontends.onnx.runtime import CPU, Arrays, Placement, Settings, short_name, usable_threads
from convaudit.records import Optimization

if TYPE_CHECKING:
    import onnxruntime

_LEVELS: dict[Optimization, str] = {
    "all": "ORT_ENABLE_ALL",
    "extended": "ORT_ENABLE_EXTENDED",
    "basic": "ORT_ENABLE_BASIC",
    "disabled": "ORT_DISABLE_ALL",
}
_ON_THE_HOST = (CPU, "AzureExecutionProvider", "DnnlExecutionProvider", "XnnpackExecutionProvider")
_OPENVINO = "OpenVINOExecutionProvider"
_CUDA = ("CUDAExecutionProvider", "TensorrtExecutionProvider", "NvTensorRTRTXExecutionProvider")
_NOWHERE = "/dev/null"
_ADDRESS = re.compile(r"^(\[ONNXRuntimeError\] : \d+ : \w+ : )?(/\S+:\d+ .*?\) (const )?(?=[A-Z]))?")


class OnnxRuntime:
    """ONNX Runtime, with the execution providers of the installed build."""

    name = "onnxruntime"
    profiles = True

    @property
    def version(self) -> str:
        """Version of the installed build."""
        import onnxruntime

        return str(onnxruntime.__version__)

    def providers(self) -> Sequence[str]:
        """Those that this build has."""
        import onnxruntime

        found: Sequence[str] = onnxruntime.get_available_providers()
        return found

    def device(self, provider: str) -> str:
        """``cpu``, ``cuda:0``; of other accelerators the provider's short name."""
        if provider in (*_ON_THE_HOST, _OPENVINO):  # OpenVINO is asked for its CPU
            return "cpu"
        return "cuda:0" if provider in _CUDA else short_name(provider)

    def load(self, model: bytes, settings: Settings) -> OnnxSession:
        """As ``Runtime.load``; nodes that the provider does not take fall to the CPU's."""
        return OnnxSession(model, settings)


RUNTIME = OnnxRuntime()


class OnnxSession:
    """A model that ONNX Runtime has loaded."""

    def __init__(self, model: bytes, settings: Settings) -> None:
        """Load ``model``.

        Raises:
            ExecutionError: onnxruntime refuses it.
            DependencyError: The provider does not start on this machine.
        """
        import onnxruntime

        self._provider = settings.provider
        providers = [(settings.provider, _provider_options(settings))]
        if settings.provider != CPU:
            providers.append((CPU, {}))
        try:
            self._session = onnxruntime.InferenceSession(
                model, _session_options(settings), providers=providers, enable_fallback=0
            )
        except Exception as error:  # onnxruntime raises many types, none of them documented
            raise _refusal(error) from None
        if settings.provider not in self._session.get_providers():  # onnxruntime goes on without it
            raise DependencyError(
                f"onnxruntime cannot start {settings.provider}: it needs a library or a device that this "
                "machine lacks; verify on another --provider"
            )

    def run(
        self, feeds: Arrays, outputs: Sequence[str] | None, *, seconds: float | None = None
    ) -> dict[str, NDArray[Any]]:
        """Run the model.

        Args:
            feeds: By input name; others are ignored.
            outputs: Names; None: all that the model has, none of which are returned.
            seconds: After which the run is to stop; it does so between two nodes.

        Returns:
            Values of the outputs by name.

        Raises:
            ExecutionError: The run fails, or is stopped.
        """
        import onnxruntime

        options = onnxruntime.RunOptions()
        options.log_severity_level = 4
        wanted = {item.name for item in self._session.get_inputs()}
        given = {name: array for name, array in feeds.items() if name in wanted}
        try:
            with _terminated_after(seconds, options):
                values = self._session.run(None if outputs is None else list(outputs), given, options)
        except Exception as error:
            raise _refusal(error) from None
        return {} if outputs is None else dict(zip(outputs, values, strict=True))

    def bound(self, feeds: Arrays) -> Callable[[], None]:
        """As ``Session.bound``."""
        import onnxruntime

        binding = self._session.io_binding()
        try:
            for item in self._session.get_inputs():
                array = feeds[item.name]  # of the host: memory is shared, and must outlive the binding
                binding.bind_ortvalue_input(item.name, onnxruntime.OrtValue.ortvalue_from_numpy(array))
            for item in self._session.get_outputs():
                binding.bind_output(item.name)
        except Exception as error:
            raise _refusal(error) from None

        def run(_kept: Arrays = feeds) -> None:
            try:
                self._session.run_with_iobinding(binding)
            except Exception as error:
                raise _refusal(error) from None

        return run

    def placement(self, node: str) -> Placement | None:
        """As ``Session.placement``; onnxruntime tells it from version 1.24 on."""
        return Placement(CPU) if self._provider == CPU else self._placements.get(node)

    @cached_property
    def _placements(self) -> dict[str, Placement]:
        if not hasattr(self._session, "get_provider_graph_assignment_info"):
            return {}
        parts = [
            (part.ep_name, part.get_nodes()) for part in self._session.get_provider_graph_assignment_info()
        ]
        found = [(node.name, Placement(provider, len(nodes))) for provider, nodes in parts for node in nodes]
        times = Counter(name for name, _ in found)
        return {name: placement for name, placement in found if times[name] == 1}

    def end_profiling(self) -> Path:
        """The file with the profile of all runs so far: one event a line, in JSON."""
        return Path(self._session.end_profiling())


def _session_options(settings: Settings) -> onnxruntime.SessionOptions:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = settings.threads
    options.enable_cpu_mem_arena = settings.arena  # of one run it keeps what is free, and takes longer
    if not _spins(settings):
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    level = getattr(onnxruntime.GraphOptimizationLevel, _LEVELS[settings.optimization])
    options.graph_optimization_level = level
    options.add_session_config_entry(*ROOTED)
    if not settings.copy_weights:
        options.add_session_config_entry("session.disable_prepacking", "1")
    if settings.provider != CPU:
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    if settings.profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(settings.profile / "onnxruntime")
    if settings.optimized_model is not None:
        _write_optimized(options, settings.optimized_model)
    return options


def _spins(settings: Settings) -> bool:
    if settings.spinning is None:
        return settings.threads <= usable_threads()  # while one waits busily, another cannot start
    return settings.spinning


def _write_optimized(options: onnxruntime.SessionOptions, path: Path) -> None:
    """Have the optimised graph written, its weights to nowhere; not where the system has no such place."""
    if not os.path.exists(_NOWHERE):
        return
    weights = path.with_suffix(".weights")
    weights.symlink_to(_NOWHERE)  # a path that leads out of the folder itself is refused
    options.optimized_model_filepath = str(path)
    entry = "session.optimized_model_external_initializers"
    options.add_session_config_entry(f"{entry}_file_name", weights.name)
    options.add_session_config_entry(f"{entry}_min_size_in_bytes", "128")


def _provider_options(settings: Settings) -> dict[str, str]:
    """What a provider must be told beside the session's options."""
    if settings.provider == _OPENVINO:
        return {"device_type": "CPU", "num_of_threads": str(settings.threads)}
    return {}


@contextmanager
def _terminated_after(seconds: float | None, options: onnxruntime.RunOptions) -> Iterator[None]:
    """Have a run with these options end with an error if it takes longer."""
    if seconds is None:
        yield
        return
    watchdog = threading.Timer(seconds, setattr, (options, "terminate", True))
    watchdog.daemon = True
    watchdog.start()
    try:
        yield
    finally:
        watchdog.cancel()


def _refusal(error: Exception) -> ExecutionError:
    """The innermost of the messages that onnxruntime wraps around each other, without its C++ address."""
    message = str(error).rpartition("Status Message: ")[2]
    message = _ADDRESS.sub("", message)
    return ExecutionError(f"onnxruntime: {first_line(ExecutionError(message))}")
