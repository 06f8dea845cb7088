"""Finds tensors without values that outlive the audit, and undoes what put them there.

The private copy takes most of them with it. What a forward keeps elsewhere (in a class, in globals of its
Python module, in what a hook closes over, in ``functools.lru_cache``) would poison the user's own forward.
"""

from __future__ import annotations

import functools
import gc
import sys
import types
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from convaudit.frontends.torch import _private as private

if TYPE_CHECKING:
    from convaudit.frontends.torch.fake import SharedFakeMode

_Kind = Callable[[Any], bool]
_DEPTH = 4  # containers in containers
_MOST = 20_000  # containers that are looked at
_MISSING = object()
_FOREIGN = ("torch", "builtins", "abc", "typing", "collections")
"""Packages whose classes and functions keep nothing of a forward."""


class Surroundings:
    """What a module's code can reach beside the module itself, as it was before a forward."""

    def __init__(self, module: nn.Module) -> None:
        self._before = [(place, _contents(place)) for place in _places(module)]

    def put_back(self, left: _Kind = private.is_fake, caches: Mapping[int, Any] | None = None) -> None:
        """Undo changes by which a tensor was left, and clear the caches of functions with one.

        Args:
            left: Tells such a tensor.
            caches: Statistics of caches from before by identity; those that are as they were are left alone.
        """
        for place, before in self._before:
            old, now = set(map(id, _values(before))), _contents(place)
            if any(_holds(value, left) for value in _values(now) if id(value) not in old):
                _restore(place, before, now, left)
        for cache in _caches():
            grew = caches is None or caches.get(id(cache)) != cache.cache_info()
            if grew and any(_holds(item, left) for item in gc.get_referents(cache)):
                cache.cache_clear()


@contextmanager
def caches_as_before(module: nn.Module) -> Iterator[None]:
    """Have the body, a forward on real tensors, leave none in what ``module`` can reach or in a cache.

    A cache that grew is emptied.
    """
    surroundings, sizes = Surroundings(module), {id(cache): cache.cache_info() for cache in _caches()}
    try:
        yield
    finally:
        surroundings.put_back(lambda value: isinstance(value, Tensor), sizes)


def left_behind(mode: SharedFakeMode, surroundings: Surroundings) -> Iterator[str]:
    """Undo what can be undone of a forward that is over; one line on what still has no values."""
    if mode.living():
        surroundings.put_back()
    if mode.living():
        gc.collect()
    alive = mode.living()
    if alive:
        places = Counter(place for tensor in alive for place in _holders(tensor, alive))
        where = ", ".join(list(places)[:3]) or "a place that cannot be named"
        number = f"{len(alive)} tensor{'s' if len(alive) > 1 else ''} without values"
        yield (
            f"{number} {'stay' if len(alive) > 1 else 'stays'} behind, in {where}: empty that before the "
            "module runs again, or audit with --real-run (fake=False)"
        )


# --- what a module's code can reach ---------------------------------------------------------------------


def _places(module: nn.Module) -> Iterator[Any]:
    """Containers, classes and cells: each once."""
    seen: set[int] = set()
    todo: deque[tuple[Any, int]] = deque((root, 0) for root in _roots(module))
    while todo and len(seen) < _MOST:
        item, depth = todo.popleft()
        if id(item) in seen or depth > _DEPTH:
            continue
        seen.add(id(item))
        if isinstance(item, types.FunctionType):
            parts = (*(item.__closure__ or ()), *(item.__defaults__ or ()), vars(item), item.__globals__)
            todo.extend((part, depth) for part in parts)
            continue
        contents = _contents(item)
        if contents is None:
            continue
        yield item
        if (
            isinstance(item, dict) and "__builtins__" in item
        ):  # a module's globals hold much that is not its own
            own = item.get("__name__")
            contents = {key: value for key, value in contents.items() if _keeps(value, own)}
        todo.extend((value, depth + 1) for value in _values(contents))


def _keeps(value: Any, module: Any) -> bool:
    """Whether a global is a container, or a class or function of the Python module that it is in."""
    if isinstance(value, types.FunctionType | type):
        return bool(value.__module__ == module)
    return isinstance(value, dict | list | set | deque)


def _roots(module: nn.Module) -> Iterator[Any]:
    for submodule in module.modules():
        for kind in type(submodule).__mro__:
            if not _is_foreign(kind.__module__):
                yield kind
                yield vars(sys.modules.get(kind.__module__, types))
        for name, value in vars(submodule).items():
            if name.endswith("hooks") and isinstance(value, dict):
                yield from map(_function, value.values())
            elif callable(value):
                yield _function(value)


def _function(value: Any) -> Any:
    value = getattr(value, "func", value)  # of a partial
    return getattr(value, "__func__", value)


def _is_foreign(name: str) -> bool:
    return name.partition(".")[0] in _FOREIGN


def _contents(place: Any) -> Any:
    """A shallow copy; None of what is not looked into."""
    if isinstance(place, dict | list | set | deque):
        return place.copy()
    if isinstance(place, types.CellType):
        return _of_cell(place)
    kind = place if isinstance(place, type) else type(place)
    if isinstance(place, nn.Module | Tensor | types.ModuleType) or _is_foreign(kind.__module__):
        return None
    attributes = getattr(place, "__dict__", None)
    return None if attributes is None else dict(attributes)


def _of_cell(cell: types.CellType) -> list[Any]:
    try:
        return [cell.cell_contents]
    except ValueError:  # it is empty
        return []


def _values(contents: Any) -> list[Any]:
    return list(contents.values() if isinstance(contents, dict) else contents)


def _caches() -> list[Any]:
    """All that ``functools.lru_cache`` and ``cache`` made."""
    kind = functools._lru_cache_wrapper  # each refers to it, so that C finds them
    return [item for item in gc.get_referrers(kind) if type(item) is kind]


def _holds(value: Any, left: _Kind, depth: int = 0) -> bool:
    if left(value):
        return True
    if depth > _DEPTH:
        return False
    if isinstance(value, nn.Module):
        return any(left(tensor) for tensor in (*value.parameters(), *value.buffers()))
    if type(value) in (dict, list, set, tuple, deque):
        inner = list(value.values()) if isinstance(value, dict) else list(value)
        return any(_holds(item, left, depth + 1) for item in inner)
    return False


def _restore(place: Any, before: Any, now: Any, left: _Kind) -> None:
    """Write back what a forward changed; plain values go with the tensors, since they may tell of them."""
    if isinstance(place, list | deque):
        place.clear()
        place.extend(before)
    elif isinstance(place, set):
        place.clear()
        place.update(before)
    elif isinstance(place, types.CellType):
        place.cell_contents = before[0] if before else None
    else:
        for key, value in now.items():
            old = before.get(key, _MISSING)
            if value is not old and (
                _holds(value, left) or isinstance(value, bool | int | float | str | None)
            ):
                _put(place, key, old)


def _put(place: Any, key: Any, value: Any) -> None:
    if isinstance(place, dict):
        place.pop(key) if value is _MISSING else place.__setitem__(key, value)
    elif value is _MISSING:
        delattr(place, key)
    else:
        setattr(place, key, value)


# --- who holds a tensor ---------------------------------------------------------------------------------


def _holders(tensor: Any, alive: list[Any]) -> list[str]:
    """Names of what refers to ``tensor``, as far as Python tells."""
    places: list[str] = []
    for holder in gc.get_referrers(tensor):
        if holder is not alive and not isinstance(holder, types.FrameType | types.GeneratorType):
            places += _named(holder, tensor)
    return places


def _named(holder: Any, tensor: Any) -> list[str]:
    if isinstance(holder, dict):
        owner = next((item for item in gc.get_referrers(holder) if _attributes(item) is holder), None)
        return [
            f"a dictionary's {key!r}" if owner is None else f"{_name(owner)}.{key}"
            for key, value in list(holder.items())
            if id(value) == id(tensor)
        ]
    if isinstance(holder, types.CellType):
        return ["a function's closure"]
    names = [name for kind in type(holder).__mro__ for name in getattr(kind, "__slots__", ())]
    held = [name for name in (*names, *(_attributes(holder) or ())) if getattr(holder, name, None) is tensor]
    return [f"{_name(holder)}.{held[0]}" if held else f"a {type(holder).__name__}"]


def _attributes(item: Any) -> Any:
    return getattr(item, "__dict__", None)


def _name(owner: Any) -> str:
    return str(getattr(owner, "__name__", type(owner).__name__))
