"""Products of matrices: zero rows of a stored one read nothing, its zero columns give constants."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from convaudit.engine.operands import Array
from convaudit.frontends.onnx.channels.compressed import any_along, unbroadcast
from convaudit.frontends.onnx.channels.facts import KnownElements, Mask, along, anywhere_along
from convaudit.frontends.onnx.channels.sites import Site
from convaudit.frontends.onnx.channels.transfers.convolutions import to_eight_bits
from convaudit.frontends.onnx.channels.transfers.row import Results, Transfer, Wanted, all_of, first
from convaudit.frontends.onnx.shapes.symbolic.tensors import Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class _MatrixOp:
    """Where an op has its operands: A, B, what is added, and the zero points and scales of integers."""

    a: int = 0
    b: int = 1
    added: int | None = None
    a_zero: int | None = None
    b_zero: int | None = None
    scales: tuple[int, ...] = field(default=())  # of A, of B, of the result
    y_zero: int | None = None
    folds: bool = True  # whether a constant's product can be added to what the node gives


MATRIX_OPS = {
    "MatMul": _MatrixOp(),
    "Gemm": _MatrixOp(added=2),
    "com.microsoft.FusedGemm": _MatrixOp(added=2),
    "MatMulInteger": _MatrixOp(a_zero=2, b_zero=3, folds=False),
    "QLinearMatMul": _MatrixOp(b=3, a_zero=2, b_zero=5, scales=(1, 4, 6), y_zero=7, folds=False),
    "com.microsoft.QGemm": _MatrixOp(b=3, a_zero=2, b_zero=5, added=6, scales=(1, 4, 7), y_zero=8),
}
"""By op type."""


def matrix_of(site: Site) -> Mask | None:
    """Which elements of a node's stored B, (rows, columns), are not zero; None: all of them are not.

    Raises:
        Unknown: B is no stored matrix.
    """
    packed, shape = _packed(site)
    if packed is None:
        return None
    bits = np.unpackbits(packed, count=shape[0] * shape[1]).astype(np.bool_).reshape(shape)
    return bits.T if _is_transposed(site, "transB") else bits


def _is_transposed(site: Site, name: str) -> bool:
    return "Gemm" in site.op and bool(site.attributes.integer(name, 0))


def _packed(site: Site) -> tuple[NDArray[np.uint8] | None, tuple[int, int]]:
    """Packed bits of B as it is stored: which elements are not zero; None: all of them are not."""
    key, shape = site.inputs[MATRIX_OPS[site.op].b], site.shape(MATRIX_OPS[site.op].b)
    if key is None or shape is None or len(shape) != 2:
        raise Unknown
    cache = site.tensors.matrices
    zero = site.inputs[zero_index] if (zero_index := _index(site, "b_zero")) is not None else None
    if (key, zero) not in cache:
        matrix = _matrix(site)
        nonzero = matrix != 0
        cache[key, zero] = (None if nonzero.all() else np.packbits(nonzero), matrix.shape)
    found: tuple[NDArray[np.uint8] | None, tuple[int, int]] = cache[key, zero]
    return found


def _index(site: Site, role: str) -> int | None:
    """Index of an operand that is there."""
    index: int | None = getattr(MATRIX_OPS[site.op], role)
    return index if index is not None and site.has(index) else None


def _matrix(site: Site) -> Array:
    """B as it is stored; of integers, without their zero point."""
    key = site.inputs[MATRIX_OPS[site.op].b]
    matrix = None if key is None else site.tensors.array(key)
    if matrix is None or matrix.ndim != 2:
        raise Unknown
    zero = _index(site, "b_zero")
    if zero is not None:
        return matrix.astype(np.int32) - site.constant(zero).astype(np.int32)
    return matrix


def _rows(site: Site) -> int:
    """The axis of A along which it meets the rows of B."""
    return 0 if _is_transposed(site, "transA") else len(site.ranked(MATRIX_OPS[site.op].a)) - 1


def _meeting(site: Site, rows: int) -> tuple[Mask, Array]:
    """Which indices of A along the rows of B are constant, and their numbers without zero point."""
    known = site.known(MATRIX_OPS[site.op].a)
    if known is None:
        return np.zeros(rows, np.bool_), np.zeros(rows)
    constant, values = along(known, _rows(site), rows)
    zero = _index(site, "a_zero")
    if zero is not None:
        values = values.astype(np.int64) - site.constant(zero).astype(np.int64).reshape(-1)
    return constant, values


def _forward(site: Site) -> Results:
    nonzero = matrix_of(site)
    if nonzero is None and site.known(MATRIX_OPS[site.op].a) is None:
        return [None]
    _, stored = _packed(site)
    rows, columns = stored[::-1] if _is_transposed(site, "transB") else stored
    constant, values = _meeting(site, rows)
    varying = ~constant
    met = varying.any() if nonzero is None else (nonzero & varying[:, None]).any(axis=0)
    mask = np.broadcast_to(~np.asarray(met), columns)
    if not mask.any():
        return [None]
    adding = np.flatnonzero(constant & (values != 0))
    sums = np.zeros(columns, np.int64 if values.dtype.kind in "iu" else np.float64)
    if adding.size:
        matrix = _matrix(site)
        matrix = matrix.T if _is_transposed(site, "transB") else matrix
        sums = values[adding].astype(sums.dtype) @ matrix[adding].astype(sums.dtype)
    return [_finished(site, mask, sums)]


def _finished(site: Site, mask: Mask, sums: Array) -> KnownElements:
    """Constant sums with all that the node adds to them."""
    row = MATRIX_OPS[site.op]
    if "Gemm" in site.op:
        sums = sums * site.attributes.real("alpha", 1)
    if site.attributes.string("activation", "") not in ("", "none"):
        raise Unknown
    added = _index(site, "added")
    if added is not None:
        known = site.known(added)
        if known is None:
            raise Unknown
        there, bias = (known.mask, known.values) if known.values.ndim == 0 else along(known, -1, sums.size)
        mask, sums = mask & there, sums + bias * site.attributes.real("beta", 1)
    sums = sums.reshape((1,) * (len(site.output_shape()) - 1) + (-1,))
    mask = mask.reshape(sums.shape)
    if row.scales:
        scales = [site.constant(index).ravel() for index in row.scales]
        zero = _index(site, "y_zero")
        if zero is None:
            raise Unknown
        return KnownElements(mask, to_eight_bits(sums, scales, site.constant(zero).ravel()[0]))
    known_a = site.known(row.a)
    dtype = site.tensors.element_dtype(site.outputs[0]) or (known_a.values.dtype if known_a else None)
    if dtype is None:
        raise Unknown
    return KnownElements(mask, sums.astype(dtype))


def _backward(site: Site, wanted: Wanted, folding: bool) -> Wanted:
    mask, row = first(wanted), MATRIX_OPS[site.op]
    taken = [all_of(site, index) for index in range(len(site.inputs))]
    added = _index(site, "added")
    if added is not None:
        taken[added] = unbroadcast(mask, site.shape(added))
    try:
        nonzero = matrix_of(site)
    except Unknown:
        if row.scales or row.a_zero is not None or "Gemm" in site.op:
            raise
        taken[row.a], taken[row.b] = _of_both(site, mask)
        return taken
    _, stored = _packed(site)
    rows, columns = stored[::-1] if _is_transposed(site, "transB") else stored
    outputs = anywhere_along(mask, -1, columns)
    reached = np.full(rows, outputs.any()) if nonzero is None else (nonzero & outputs).any(axis=1)
    if folding:
        constant, values = _meeting(site, rows)
        key = None if added is None else site.inputs[added]
        folds = row.folds and not site.in_steps and (key is None or site.tensors.is_stored(key))
        reached = reached & ~(constant if folds else constant & (values == 0))
    shape = [1] * len(site.ranked(row.a))
    shape[_rows(site)] = -1
    taken[row.a] = np.asarray(reached).reshape(shape)
    return taken


def _of_both(site: Site, mask: Mask) -> tuple[Mask, Mask]:
    """What a product reads of two tensors that are not stored: rows of A, columns of B."""
    shapes = site.ranked(0), site.ranked(1)
    if min(map(len, shapes)) < 2:
        raise Unknown
    of_a, of_b = any_along(mask, [mask.ndim - 1]), any_along(mask, [mask.ndim - 2])
    return unbroadcast(of_a, shapes[0]), unbroadcast(of_b, shapes[1])


MATRIX_TRANSFERS = dict.fromkeys(MATRIX_OPS, Transfer(_forward, _backward, absorbs=True))
