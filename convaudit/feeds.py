"""What a model is run on: seeded random numbers shaped as audited, or the user's own arrays."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from convaudit.engine.operands import Array
from convaudit.errors import LoadError, UsageError, first_line
from convaudit.files import open_regular
from convaudit.formulas import Formula
from convaudit.records import Network, Shape, TensorInfo
from convaudit.shapes import as_text

_BATCH, _SIGNAL, _IMAGE = 1, 512, 64
"""Sizes for dimensions that the model leaves open: leading axes, axes of up to 3-D inputs, and of others."""


def open_sizes(network: Network) -> dict[str, int]:
    """Values for the symbolic dimensions: 1 for leading axes, 64 for those of images, 512 for all others."""
    sizes: dict[str, int] = {}
    for tensor in network.inputs:
        shape = tensor.shape or ()
        for axis, size in enumerate(shape):
            for name in size.symbols if isinstance(size, Formula) else ():
                sizes.setdefault(name, _BATCH if axis == 0 else _SIGNAL if len(shape) <= 3 else _IMAGE)
    return sizes


def feeds_of(
    network: Network, data: str | os.PathLike[str] | Mapping[str, Array] | None, seed: int
) -> tuple[dict[str, Array], dict[str, int]]:
    """Arrays for the model's inputs by name, and what they make of the symbolic dimensions.

    Args:
        network: Whose inputs they are.
        data: The user's arrays; None: random ones.
        seed: Seed of the random ones.

    Raises:
        UsageError: ``data`` do not fit the inputs, or one's shape or type is not known.
    """
    if data is None:
        sizes = open_sizes(network)
        return random_feeds(network, sizes, seed), sizes
    feeds = given_feeds(network.inputs, data)
    return feeds, open_sizes(network) | sizes_of(network, feeds)


def random_feeds(network: Network, sizes: Mapping[str, int], seed: int) -> dict[str, Array]:
    """Random arrays for the model's inputs, by name.

    Raises:
        UsageError: An input's shape or type is not known.
    """
    generator = np.random.default_rng(seed)
    feeds = {}
    for tensor in network.inputs:
        shape = known_shape(tensor.shape, sizes)
        if shape is None:
            raise UsageError(
                f"input {tensor.name!r} has the shape {as_text(tensor.shape)}: too little for random input; "
                "give --input or --data"
            )
        drawn = random_array(generator, shape, tensor.dtype)
        feeds[tensor.name] = drawn if tensor.value is None else np.full_like(drawn, tensor.value)
    return feeds


def given_feeds(
    inputs: Sequence[TensorInfo], data: str | os.PathLike[str] | Mapping[str, Array]
) -> dict[str, Array]:
    """The user's arrays by input name, from a mapping or an ``.npz`` file, in the order of the inputs.

    Raises:
        UsageError: A name, a number of axes or a size does not fit the audited inputs.
    """
    arrays = read_arrays(data)
    wanted = {tensor.name: tensor for tensor in inputs}
    valued = {name for name, tensor in wanted.items() if tensor.value is not None}
    if arrays.keys() | valued != wanted.keys() or arrays.keys() & valued:
        raise UsageError(
            f"data are needed for the inputs {', '.join(sorted(wanted.keys() - valued))}, "
            f"got {', '.join(sorted(arrays)) or 'none'}"
        )
    return {
        name: _filled(tensor) if name in valued else _checked(tensor, arrays[name])
        for name, tensor in wanted.items()
    }


def _filled(tensor: TensorInfo) -> Array:
    """The value that the user gave, in every element."""
    shape = known_shape(tensor.shape, {})
    if shape is None or tensor.value is None:
        raise UsageError(f"input {tensor.name!r} is {as_text(tensor.shape)}: give its sizes with --input")
    return np.full(shape, tensor.value, _dtype(tensor.dtype))


def read_arrays(data: str | os.PathLike[str] | Mapping[str, Array]) -> dict[str, Array]:
    """The user's arrays by name, from a mapping or an ``.npz`` file."""
    if not isinstance(data, Mapping):
        return _read_npz(data)
    return {_name(name): _array(array, f"data[{name!r}]") for name, array in data.items()}


def _name(name: object) -> str:
    if not isinstance(name, str):
        raise UsageError(f"data: {name!r:.100} is not a name; write it as text")
    return name


def _array(given: object, what: str) -> Array:
    array = np.asarray(given)
    if array.dtype == object:
        raise UsageError(f"{what} must be an array, got a {type(given).__name__}")
    return array


def sizes_of(network: Network, feeds: Mapping[str, Array]) -> dict[str, int]:
    """Values that the arrays give to the symbolic dimensions."""
    sizes: dict[str, int] = {}
    for tensor in network.inputs:
        for size, actual in zip(tensor.shape or (), feeds[tensor.name].shape, strict=False):
            if isinstance(size, Formula) and len(size.symbols) == 1 and str(size) in size.symbols:
                sizes[str(size)] = actual
    return sizes


def known_shape(shape: Shape | None, sizes: Mapping[str, int]) -> tuple[int, ...] | None:
    """The shape in integers; None where a size stays open."""
    known = settled(shape, sizes)
    integers = tuple(size for size in known or () if size is not None)
    return integers if known is not None and len(integers) == len(known) else None


def settled(shape: Shape | None, sizes: Mapping[str, int]) -> tuple[int | None, ...] | None:
    """The shape in integers; None for each size that stays open."""
    if shape is None:
        return None
    known = [size.substitute(sizes) if isinstance(size, Formula) else size for size in shape]
    return tuple(size if isinstance(size, int) else None for size in known)


def random_array(generator: np.random.Generator, shape: Sequence[int], dtype: str) -> Array:
    """Normal numbers; of 8 bits the full range; zeros and ones of other integers, which may be indices.

    Texts are "1": a word, and a number for a model that reads one.

    Raises:
        UsageError: The type has no numbers.
    """
    kind = _dtype(dtype)
    if kind.kind == "U":
        return np.full(shape, "1")
    if kind.kind in "iub":
        limits = np.iinfo(kind) if kind.kind != "b" and kind.itemsize == 1 else None
        low, high = (limits.min, limits.max) if limits else (0, 1)
        return generator.integers(low, high, size=shape, endpoint=True).astype(kind)
    return generator.standard_normal(shape, dtype=np.float32).astype(kind, copy=False)


def _dtype(name: str) -> np.dtype[Any]:
    import ml_dtypes

    try:
        return np.dtype(getattr(ml_dtypes, name, name))
    except TypeError:
        raise UsageError(f"random input of type {name} is not possible; give --data") from None


def _checked(tensor: TensorInfo, array: Array) -> Array:
    wanted = _dtype(tensor.dtype)
    if not np.can_cast(array.dtype, wanted, casting="same_kind"):
        raise UsageError(f"input {tensor.name!r} is {wanted}, its data are {array.dtype}")
    if tensor.shape is not None and not _fits(tensor.shape, array.shape):
        raise UsageError(
            f"input {tensor.name!r} was audited as {as_text(tensor.shape)}, "
            f"its data are {as_text(array.shape)}; give the same shape with --input"
        )
    return array.astype(wanted, copy=False)


def _fits(shape: Shape, actual: tuple[int, ...]) -> bool:
    return len(shape) == len(actual) and all(
        size == found for size, found in zip(shape, actual, strict=True) if isinstance(size, int)
    )


def _read_npz(path: str | os.PathLike[str]) -> dict[str, Array]:
    name = os.fspath(path)
    try:
        with open_regular(Path(name), name) as file:
            if file.read(2) not in (b"PK", b"\x93N"):  # numpy takes all else for a pickle, and says so
                raise LoadError(f"{name}: not a readable .npz file; write one with numpy.savez")
            file.seek(0)
            archive = np.load(file, allow_pickle=False)
            if isinstance(archive, np.lib.npyio.NpzFile):
                return {key: archive[key] for key in archive.files}
    except LoadError as error:
        raise UsageError(str(error)) from None
    except Exception as error:  # a damaged zip or header fails in many ways
        raise UsageError(f"{name}: not a readable .npz file: {first_line(error)}") from None
    raise UsageError(f"{name}: one array without a name; save it with numpy.savez(file, NAME=array)")
