"""Every private name of torch that convaudit uses, and nothing else.

torch may rename or drop any of them. Each is looked up when it is used, so that one that is gone costs what
``NAMES`` says of it, and not all of torch: the audit goes on without it and a warning says so, or what cannot
be done is refused in one clear line.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from types import CodeType
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef

from convaudit.errors import DependencyError

if TYPE_CHECKING:
    from torch._subclasses.fake_tensor import FakeTensorMode as FakeTensorMode  # noqa: PLC0414
    from torch.utils._python_dispatch import TorchDispatchMode as TorchDispatchMode  # noqa: PLC0414

TESTED = "2.13"


@dataclass(frozen=True, slots=True)
class PrivateName:
    """A name that torch does not promise to keep."""

    path: str  # module:name, or Class.attribute of objects that torch hands out
    purpose: str  # what convaudit does by it
    public: str  # what stands nearest in the public API, and why it does not do
    without: str | None = None  # how an audit goes on where torch lacks it; None: it cannot

    def missing(self, instead: str = f"use torch {TESTED}") -> str:
        """One line for where this torch lacks it, and what is done, or to do, instead."""
        name = self.path.replace(":", ".")
        return f"torch {torch.__version__} has no {name}, by which convaudit {self.purpose}: {instead}"


_FAKE = "torch._subclasses.fake_tensor:"
_ROWS = (
    # --- running a forward, and watching it
    PrivateName(
        "torch.utils._python_dispatch:TorchDispatchMode",
        "sees the operators of a forward",
        "torch.overrides.TorchFunctionMode sees what Python calls, not the operators that it is made of",
    ),
    PrivateName(
        _FAKE + "FakeTensorMode",
        "runs a forward without values",
        "torch.device('meta') lets no tensor with values meet one without",
        "forwards are run for real",
    ),
    PrivateName(
        _FAKE + "FakeTensor",
        "tells tensors without values",
        "Tensor.is_meta is true inside of kernels only",
        "none is taken for one",
    ),
    PrivateName(
        _FAKE + "unset_fake_temporarily",
        "reads a stored tensor while the forward has no values",
        "none: a mode can only be left by whoever entered it",
        "such values stay unknown",
    ),
    PrivateName(
        "torch.utils._python_dispatch:_disable_current_modes",
        "computes by itself while a forward is watched",
        "none: a mode can only be left by whoever entered it",
        "that is watched too, which takes longer",
    ),
    PrivateName(
        _FAKE + "DataDependentOutputException",
        "knows an operator that needs values",
        "none: it is a RuntimeError like any other",
        "the forward is run for real where one is met",
    ),
    PrivateName(
        _FAKE + "DynamicOutputShapeException",
        "says which operator needs values",
        "none: it is a RuntimeError like any other",
        "its own words are shown",
    ),
    PrivateName(
        "OpOverload._schema",
        "tells an operator's arguments apart",
        "inspect.signature knows no types and no aliases of operators",
    ),
    PrivateName(
        "UntypedStorage._cdata",
        "knows when two tensors share their memory",
        "StorageWeakRef of torch.multiprocessing makes one of its own each time, which takes longer",
        "that is made",
    ),
    PrivateName(
        "torch._library.custom_ops:OPDEFS",
        "finds the Python function behind a custom operator",
        "torch.library.custom_op hands it to the author of the operator alone",
        "custom operators are not looked into",
    ),
    PrivateName(
        "CustomOpDef._backend_fns",
        "finds the Python function behind a custom operator",
        "torch.library.custom_op hands it to the author of the operator alone",
        "custom operators are not looked into",
    ),
    PrivateName(
        "torch.utils._pytree:tree_leaves",
        "finds tensors in nests of any registered class",
        "none: torch.utils.pytree is not public in 2.13 either",
        "tensors are looked for in lists, tuples and dictionaries",
    ),
    PrivateName(
        "torch.utils._pytree:tree_map",
        "changes tensors in nests of any registered class",
        "none: torch.utils.pytree is not public in 2.13 either",
        "tensors are looked for in lists, tuples and dictionaries",
    ),
    PrivateName(
        "torch._dispatch.python:enable_python_dispatcher",
        "keeps the symbolic sizes of an exported program",
        "none: C++ turns some of them into numbers",
    ),
    PrivateName(
        "torch.fx.experimental.symbolic_shapes:ShapeEnv",
        "follows sizes that have names",
        "torch.export makes one for itself; its Dims know no multiples, and it refuses what fixes one",
    ),
    PrivateName(
        "torch.fx.experimental.symbolic_shapes:DimDynamic",
        "gives a size a name",
        "torch.export.Dim is for its own programs",
    ),
    PrivateName(
        "torch._dynamo.source:ConstantSource",
        "gives a size a name",
        "torch.export.Dim is for its own programs",
    ),
    PrivateName(
        "torch.fx.experimental._config:patch",
        "keeps named sizes from being taken for other than 1 where it does not matter",
        "torch.onnx.export sets it for itself alone",
        "more is demanded of named sizes",
    ),
    PrivateName(
        "ShapeEnv._get_sloc",
        "says where a forward fixes a size",
        "none: guards keep no traceback",
        "the place is not told",
    ),
    # --- files and TorchScript
    PrivateName(
        "torch._C:_jit_get_schemas_for_operator",
        "checks which operators a file may call",
        "torch.ops imports code when an unknown name is asked for, and shows no schema",
    ),
    PrivateName(
        "torch._C:_jit_get_all_schemas",
        "checks which operators a file may call",
        "dir(torch.ops.aten) lists only those that were used already",
    ),
    PrivateName(
        "torch._C:_dispatch_get_all_op_names",
        "knows which operators of TorchScript the dispatcher sees",
        "dir(torch.ops) lists only those that were used already",
    ),
    PrivateName(
        "ScriptModule._c",
        "reads the code of TorchScript",
        "ScriptModule.graph is that of forward alone, not of the methods that it calls",
    ),
    PrivateName(
        "torch._C:_hack_do_not_use_clone_module_with_class",
        "puts convolutions of optimised TorchScript where they are seen",
        "copy.copy shares the code with the user's own script",
        "they count as operators of unknown cost",
    ),
    PrivateName(
        "torch.jit._recursive:wrap_cpp_module",
        "puts convolutions of optimised TorchScript where they are seen",
        "torch.jit.load makes a module from a file only",
        "they count as operators of unknown cost",
    ),
    # --- modules
    PrivateName(
        "Conv2d._packed_params",
        "finds the weights of quantised modules",
        "weight() unpacks a copy, and TorchScript does not have it",
        "any object that a module keeps is taken for it, and none of TorchScript's",
    ),
    PrivateName(
        "torch.nn.modules.conv:_ConvNd",
        "knows modules that declare a convolution",
        "nn.Conv1d, 2d and 3d are not the base of a class of one's own",
        "subclasses of nn.Conv* alone are known",
    ),
    PrivateName(
        "torch.nn.modules.conv:_ConvTransposeNd",
        "knows modules that declare a transposed convolution",
        "nn.ConvTranspose1d, 2d and 3d are not the base of a class of one's own",
        "subclasses of nn.ConvTranspose* alone are known",
    ),
    PrivateName(
        "torch._C._functorch:peek_interpreter_stack",
        "knows a forward inside of vmap or grad",
        "none: torch.func does not tell",
        "what modules declare is not compared with what ran",
    ),
    PrivateName(
        "torch.autograd.forward_ad:_current_level",
        "knows a forward inside of dual_level",
        "none: torch.autograd.forward_ad does not tell",
        "what modules declare is not compared with what ran",
    ),
    # --- profiles
    PrivateName(
        "profile.kineto_results",
        "reads what the profiler saw, event by event",
        "profile.events() makes an object of each, which takes thirty times longer",
        "those are made",
    ),
    PrivateName(
        "torch.autograd._profiler_enabled",
        "sees whether a profiler of the user's runs, which a second one would end",
        "no public name tells",
        "a profiler around an audit with times is ended by it",
    ),
    # --- compiled code
    PrivateName(
        "OptimizedModule._orig_mod",
        "finds the module that torch.compile wrapped",
        "none: torch.compiler does not tell whether a module is compiled",
        "a wrapper is audited under its own names, and what it compiled is not verified",
    ),
    PrivateName(
        "Module._compiled_call_impl",
        "finds modules that were compiled in place",
        "none: torch.compiler does not tell whether a module is compiled",
        "only wrappers of torch.compile are verified as compiled",
    ),
    PrivateName(
        "Module._call_impl",
        "finds which module calls a compiled function",
        "forward hooks do not see a module whose __call__ is compiled",
        "the whole model counts as compiled",
    ),
    PrivateName(
        "torch._dynamo.eval_frame:_callback_from_stance",
        "sees calls of compiled functions",
        "torch.compiler.set_stance tells nobody whom it concerns",
        "functions that were compiled by themselves are verified eagerly only",
    ),
)
NAMES = {row.path.replace(":", ".").rpartition(".")[2]: row for row in _ROWS}
"""By their last part."""
FAKE_LOGGER = _FAKE.rstrip(":")
"""Logger of the warnings that a fake forward makes; a logger of another name stays silent."""
SIZES_LOGGER = "torch.fx.experimental.symbolic_shapes"
"""Logger of what is asked of named sizes."""
WRAPPED = "_orig_mod"
"""The segment that ``torch.compile`` puts into the paths of a wrapped module."""
CONV_FORWARD = "_conv_forward"
"""The method of ``nn.Conv*`` that a subclass may replace; none has another."""


# --- looking names up -----------------------------------------------------------------------------------


@cache
def find(name: str) -> Any:
    """What goes by a name of ``NAMES``.

    Raises:
        DependencyError: This torch lacks it.
    """
    module, _, inner = NAMES[name].path.partition(":")
    try:
        return getattr(importlib.import_module(module), inner)
    except (ImportError, AttributeError) as error:
        raise DependencyError(NAMES[name].missing()) from error


def find_or(name: str, other: Any) -> Any:
    """The same, or ``other`` where torch lacks it, which ``losses`` then says."""
    try:
        return find(name)
    except DependencyError:
        _lost.add(name)
        return other


def attribute(owner: Any, name: str) -> Any:
    """An attribute that every such owner has, by its name in ``NAMES``.

    Raises:
        DependencyError: This torch lacks it.
    """
    try:
        return getattr(owner, _attribute_name(name))
    except AttributeError as error:
        raise DependencyError(NAMES[name].missing()) from error


def attribute_or(owner: Any, name: str, other: Any) -> Any:
    """The same, or ``other`` where torch lacks it, which ``losses`` then says."""
    try:
        return getattr(owner, _attribute_name(name))
    except AttributeError:
        _lost.add(name)
        return other


@cache
def _attribute_name(name: str) -> str:
    return NAMES[name].path.rpartition(".")[2]


_lost: set[str] = set()


def losses() -> tuple[str, ...]:
    """What was done without each name that was looked for in vain since this was last asked, in one line."""
    lines = tuple(row.missing(row.without or "") for name, row in NAMES.items() if name in _lost)
    _lost.clear()
    return lines


def __getattr__(name: str) -> Any:
    """``_private.FakeTensorMode`` for a class to derive from."""
    if name in NAMES:
        return find(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


# --- running a forward, and watching it -----------------------------------------------------------------


def is_fake(value: object) -> bool:
    """Whether it is a tensor without values."""
    kind = find_or("FakeTensor", None)
    return kind is not None and isinstance(value, kind)


def with_values() -> AbstractContextManager[Any]:
    """Have the body compute with values inside of a forward without."""
    made: AbstractContextManager[Any] = find_or("unset_fake_temporarily", nullcontext)()
    return made


def unwatched() -> AbstractContextManager[Any]:
    """Have no mode see what the body computes."""
    made: AbstractContextManager[Any] = find_or("_disable_current_modes", nullcontext)()
    return made


def exceptions(*names: str) -> tuple[type[Exception], ...]:
    """Kinds of exceptions, for an ``except`` that is only looked at when something is raised."""
    found = (find_or(name, None) for name in names)
    return tuple(kind for kind in found if kind is not None)


def schema(func: Any) -> Any:
    """An operator's schema: its arguments with their types, defaults and aliases."""
    return attribute(func, "_schema")


def storage_key(storage: Any) -> int:
    """The same for all tensors in the same memory, as long as somebody has it."""
    key: int | None = getattr(storage, _attribute_name("_cdata"), None)
    return StorageWeakRef(storage).cdata if key is None else key


def custom_operators() -> Any:
    """Definitions of the operators that were made by ``torch.library.custom_op``, by qualified name."""
    return find_or("OPDEFS", {})


def bodies(definition: Any) -> Any:
    """The Python functions of such a definition, by type of device."""
    return attribute_or(definition, "_backend_fns", {})


def tree_leaves(nest: Any) -> list[Any]:
    """What a nest of containers holds."""
    leaves: list[Any] = find_or("tree_leaves", _plain_leaves)(nest)
    return leaves


def tree_map(function: Callable[..., Any], nest: Any, *others: Any) -> Any:
    """A nest of containers with ``function`` applied to what it holds, and to what others like it hold."""
    return find_or("tree_map", _plain_map)(function, nest, *others)


def _plain_leaves(nest: Any) -> list[Any]:
    if isinstance(nest, dict):
        nest = list(nest.values())
    return (
        [leaf for item in nest for leaf in _plain_leaves(item)] if isinstance(nest, list | tuple) else [nest]
    )


def _plain_map(function: Callable[..., Any], nest: Any, *others: Any) -> Any:
    if isinstance(nest, dict):
        return {key: _plain_map(function, nest[key], *(other[key] for other in others)) for key in nest}
    if isinstance(nest, list | tuple):
        mapped = [_plain_map(function, *same) for same in zip(nest, *others, strict=True)]
        return mapped if isinstance(nest, list) else tuple(mapped)
    return function(nest, *others)


def python_dispatcher() -> AbstractContextManager[Any]:
    """Have operators keep symbolic sizes as they are."""
    made: AbstractContextManager[Any] = find("enable_python_dispatcher")()
    return made


def size_environment(where: Callable[[], str]) -> Any:
    """What follows the sizes of one forward that have names, each apart from the others and from 1.

    Args:
        where: Says at which line the forward is; torch's own way imports its compiler.
    """
    environment = find("ShapeEnv")(duck_shape=False, specialize_zero_one=False)
    own = attribute_or(environment, "_get_sloc", None)
    if own is not None:
        setattr(environment, _attribute_name("_get_sloc"), lambda place=None: own(place or where()))
    return environment


def general_sizes() -> AbstractContextManager[Any]:
    """Have torch take the way that is right for all sizes, wherever it asks only to save work."""
    patch = find_or("patch", None)
    made: AbstractContextManager[Any] = nullcontext() if patch is None else patch(backed_size_oblivious=True)
    return made


def symbolic_size(environment: Any, name: str, hint: int) -> tuple[str, Any]:
    """torch's own name of a new size, and the size; ``hint`` decides what is asked of it."""
    source = find("ConstantSource")(name)
    expression = environment.create_symbol(hint, source, dynamic_dim=find("DimDynamic").DYNAMIC)
    return str(expression), environment.create_symintnode(expression, hint=hint, source=source)


# --- files and TorchScript ------------------------------------------------------------------------------


def schemas_of(operator: str) -> list[Any]:
    """Schemas of all overloads of ``namespace::name``; none if torch has no such operator."""
    found: list[Any] = find("_jit_get_schemas_for_operator")(operator)
    return found


def all_schemas() -> list[Any]:
    """Schemas of all operators that TorchScript can call."""
    found: list[Any] = find("_jit_get_all_schemas")()
    return found


def dispatched_operators() -> list[str]:
    """Operators that go through the dispatcher, as ``namespace::name.overload``."""
    found: list[str] = find("_dispatch_get_all_op_names")()
    return found


def script_methods(script: Any) -> Iterator[Any]:
    """A script's methods, each with ``graph`` and ``inlined_graph``."""
    code = attribute(script, "_c")
    for name in code._method_names():
        yield code._get_method(name)


def cloned_script(script: Any) -> Any | None:
    """A copy with code of its own; None where torch cannot make one."""
    clone, wrap = find_or("_hack_do_not_use_clone_module_with_class", None), find_or("wrap_cpp_module", None)
    return None if clone is None or wrap is None else wrap(clone(attribute(script, "_c"), [], []))


# --- modules --------------------------------------------------------------------------------------------


def packed_parameters(module: nn.Module) -> Any:
    """The object in which a quantised module keeps weight and bias; None in others."""
    packed = getattr(module, _attribute_name("_packed_params"), None)
    held = (value for value in vars(module).values() if isinstance(value, torch.ScriptObject))
    return next(held, None) if packed is None else packed


def check_packed_parameters() -> None:
    """See whether torch's own quantised modules have the name still: a packed weight was not found by it."""
    with unwatched():
        attribute_or(torch.ao.nn.quantized.Conv2d(1, 1, 1), "_packed_params", None)


def conv_modules() -> Any:
    """Classes of modules that declare a convolution, plain or transposed, for ``isinstance``."""
    return find_or("_ConvNd", (nn.Conv1d, nn.Conv2d, nn.Conv3d, *_TRANSPOSED))


def transposed_modules() -> Any:
    """Classes of modules that declare a transposed convolution, for ``isinstance``."""
    return find_or("_ConvTransposeNd", _TRANSPOSED)


_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def is_transformed() -> bool:
    """Whether vmap or a gradient is around what runs, which then is not what its caller sees; or unknown."""
    peek, level = find_or("peek_interpreter_stack", None), find_or("_current_level", None)
    if peek is None or level is None:
        return True
    return peek() is not None or torch.autograd.forward_ad._current_level >= 0


# --- profiles -------------------------------------------------------------------------------------------


def is_profiling() -> bool:
    """Whether a profiler of torch's runs already; one at a time can, and a second one ends the first."""
    enabled = attribute_or(torch.autograd, "_profiler_enabled", None)
    return enabled is not None and bool(enabled())


def profiled_operators(profiler: Any, *, operands: bool) -> list[tuple[str, float, float, int, str]] | None:
    """Name, start, seconds, thread and operands of every operator that was seen; None if torch hides them.

    Args:
        profiler: That saw them.
        operands: Whether it was to keep their shapes and numbers, to be told as text.
    """
    results = attribute_or(getattr(profiler, "profiler", None), "kineto_results", None)
    if results is None:
        return None
    events = results.events()
    first = events[0].start_ns() if events else 0
    return [
        (
            event.name(),
            (event.start_ns() - first) / 1e9,
            event.duration_ns() / 1e9,
            event.start_thread_id(),
            f"{event.shapes()} {event.concrete_inputs()}" if operands else "",
        )
        for event in events
    ]


# --- compiled code --------------------------------------------------------------------------------------


def unwrapped(module: nn.Module) -> nn.Module:
    """The module itself, without the wrapper of ``torch.compile``."""
    is_wrapper = any(kind.__name__ == "OptimizedModule" for kind in type(module).__mro__)
    inner: nn.Module = attribute_or(module, "_orig_mod", module) if is_wrapper else module
    return inner


def compiled_call(module: nn.Module) -> Any:
    """What runs in place of a module that was compiled in place; None in others."""
    return attribute_or(module, "_compiled_call_impl", None)


def compile_in_place(module: nn.Module, compiled: Any) -> None:
    """Compile a module with the backend and options of ``compiled``, the ``compiled_call`` of another."""
    cells = dict(zip(compiled.__code__.co_freevars, compiled.__closure__ or (), strict=True))
    call = cells["self"].cell_contents(attribute(module, "_call_impl"))
    setattr(module, _attribute_name("_compiled_call_impl"), call)


def is_module_call(code: CodeType) -> bool:
    """Whether it is the code by which every module calls its forward."""
    call = attribute_or(nn.Module, "_call_impl", None)
    return call is not None and code is call.__code__


@contextmanager
def compiled_calls(told: Callable[[], None]) -> Iterator[None]:
    """Tell of each call of a compiled function in the body, just before it runs."""
    answer = find_or("_callback_from_stance", None)
    if answer is None:
        yield
        return

    def asked(callback: Any) -> Any:
        if callable(callback):  # False and None are for code that is not to be compiled
            told()
        return answer(callback)

    where = importlib.import_module(NAMES["_callback_from_stance"].path.partition(":")[0])
    setattr(where, answer.__name__, asked)
    try:
        yield
    finally:
        setattr(where, answer.__name__, answer)
