"""Shapes of ops that give a tensor other axes: Reshape, Transpose and their like."""

from __future__ import annotations

from collections.abc import Sequence

from convaudit.formulas import Count, floor_divide, multiply, quotient
from convaudit.frontends.onnx.shapes.symbolic.calls import Call, Rule, Sizes, normalized_all
from convaudit.frontends.onnx.shapes.symbolic.tensors import MOST_AXES, Tensor, Unknown, elements, is_at_least
from convaudit.records import Shape

# --- reshaping -------------------------------------------------------------------------------------------


def reshaped_sizes(call: Call) -> Sizes:
    """Sizes of a Reshape's result."""
    if call.opset < 5:
        given = call.attributes.integers("shape")
        target: Sizes = list(given) if given is not None else []
    else:
        target = call.counts(1)
    if len(target) > MOST_AXES:
        raise Unknown
    source = call.tensor(0).shape
    copies = not call.attributes.integer("allowzero", 0)
    sizes: Sizes = []
    for axis, size in enumerate(target):
        if size == 0 and copies:
            sizes.append(source[axis] if source is not None and axis < len(source) else None)
        elif size is None or isinstance(size, int) or call.is_nonnegative(size):
            sizes.append(size)
        else:
            sizes.append(None)  # at some sizes it would be -1
    if -1 in target:
        sizes[target.index(-1)] = _rest(source, target, sizes, copies) if None not in target else None
    return sizes


def _rest(source: Shape | None, target: Sizes, sizes: Sizes, copies: bool) -> Count | None:
    """The size that -1 stands for: what the others leave of all elements."""
    if source is None:
        return None
    # a size that is copied cancels, even if it is unknown
    copied = {axis for axis, size in enumerate(target) if size == 0 and copies}
    known = [size for axis, size in enumerate(sizes) if axis not in copied and target[axis] != -1]
    try:
        whole = elements(size for axis, size in enumerate(source) if axis not in copied)
        return divided(whole, elements(known))
    except Unknown:
        return None


def divided(whole: Count, part: Count) -> Count | None:
    """``whole / part``, of which the op itself demands that it leaves no rest."""
    if part == 0:
        return None
    exact = quotient(whole, part)
    if exact is not None:
        return exact
    if isinstance(part, int):
        return whole // part if part > 0 else None
    if len(part.terms) > 1:
        return None
    # dimensions cancel first; then the number divides, at those sizes at which the op runs
    coefficient = part.terms[0][1]
    dimensions = quotient(part, coefficient)
    reduced = quotient(whole, dimensions) if dimensions is not None else None
    return None if reduced is None or coefficient < 1 else reduced // coefficient


def reshape(call: Call) -> Sequence[Tensor]:
    """Reshape."""
    return [Tensor(call.dtype(), tuple(reshaped_sizes(call)))]


def flattened_sizes(call: Call) -> Sizes:
    """Two sizes: of the axes before ``axis``, and of those from it on."""
    shape = call.shape()
    axis = call.attributes.integer("axis", 1)
    if not -len(shape) <= axis <= len(shape):
        raise Unknown
    axis += len(shape) if axis < 0 else 0
    return [_elements_or_none(shape[:axis]), _elements_or_none(shape[axis:])]


def _elements_or_none(shape: Shape) -> Count | None:
    try:
        return elements(shape)
    except Unknown:
        return None


def flatten(call: Call) -> Sequence[Tensor]:
    """Flatten."""
    return [Tensor(call.dtype(), tuple(flattened_sizes(call)))]


def squeezed_sizes(call: Call) -> Sizes:
    """Sizes without those of the axes that are taken out."""
    shape = call.shape()
    axes = call.fixed_integers("axes", 1, 13)
    if axes is None:
        if not all(size is not None and (size == 1 or is_at_least(size, 2)) for size in shape):
            raise Unknown
        return [size for size in shape if size != 1]
    taken = normalized_all(axes, len(shape))
    return [size for axis, size in enumerate(shape) if axis not in taken]


def squeeze(call: Call) -> Sequence[Tensor]:
    """Squeeze."""
    return [Tensor(call.dtype(), tuple(squeezed_sizes(call)))]


def unsqueezed_sizes(call: Call) -> Sizes:
    """Sizes with ones at the axes that are put in."""
    shape = list(call.shape())
    axes = call.fixed_integers("axes", 1, 13)
    if axes is None:
        raise Unknown
    rank = len(shape) + len(axes)
    if rank > MOST_AXES:
        raise Unknown
    added = set(normalized_all(axes, rank))
    rest = iter(shape)
    return [1 if axis in added else next(rest) for axis in range(rank)]


def unsqueeze(call: Call) -> Sequence[Tensor]:
    """Unsqueeze."""
    return [Tensor(call.dtype(), tuple(unsqueezed_sizes(call)))]


def transpose(call: Call) -> Sequence[Tensor]:
    """Transpose."""
    shape = call.shape()
    order = call.attributes.integers("perm")
    axes = normalized_all(order, len(shape)) if order is not None else list(reversed(range(len(shape))))
    if sorted(axes) != list(range(len(shape))):
        raise Unknown
    return [Tensor(call.dtype(), tuple([shape[axis] for axis in axes]))]


# --- blocks ----------------------------------------------------------------------------------------------


def depth_to_space(call: Call) -> Sequence[Tensor]:
    """DepthToSpace: channels become a block of pixels."""
    block, (batch, channels, *pixels) = _blocks(call)
    shape = batch, floor_divide(channels, block**2), *(multiply(size, block) for size in pixels)
    return [Tensor(call.dtype(), shape)]


def space_to_depth(call: Call) -> Sequence[Tensor]:
    """SpaceToDepth: a block of pixels becomes channels."""
    block, (batch, channels, *pixels) = _blocks(call)
    shape = batch, multiply(channels, block**2), *(floor_divide(size, block) for size in pixels)
    return [Tensor(call.dtype(), shape)]


def _blocks(call: Call) -> tuple[int, Shape]:
    """Size of a block, and the shape (batch, channels, height, width)."""
    shape, block = call.shape(), call.attributes.integer("blocksize", 0)
    if len(shape) != 4 or block < 1:
        raise Unknown
    return block, shape


def col2im(call: Call) -> Sequence[Tensor]:
    """Col2Im: columns back to an image of a given shape."""
    batch, rows, _ = call.shape()
    image = tuple(call.counts(1))
    block = elements(call.counts(2))
    return [Tensor(call.dtype(), (batch, None if rows is None else divided(rows, block), *image))]


RESHAPING: dict[str, Rule] = {
    "Col2Im": col2im,
    "DepthToSpace": depth_to_space,
    "Flatten": flatten,
    "Reshape": reshape,
    "SpaceToDepth": space_to_depth,
    "Squeeze": squeeze,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
}
"""By op type, of ONNX's own domain."""
