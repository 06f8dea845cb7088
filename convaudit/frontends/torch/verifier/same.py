"""Whether two tensors hold the same, in the same memory or in another, bit for bit.

The verifier asks this of what a module declares and of what ran in its place.
"""

from __future__ import annotations

import torch
from torch import Tensor


def is_rearranged(own: Tensor, ran: Tensor) -> bool:
    """Whether ``ran`` has the values of ``own`` in another order."""
    values, other = own.to(ran.dtype).flatten(), ran.flatten()
    return bool(torch.equal(values.sort().values, other.sort().values))


def equal(own: Tensor, other: Tensor) -> bool:
    """Whether two tensors hold the same, but for the type that one was cast to; NaN is itself."""
    if own is other or (own.shape == other.shape and address(own) == address(other) != 0):
        return own.dtype == other.dtype and strides(own) == strides(other)
    if own.shape != other.shape or own.layout != other.layout:
        return own.layout != other.layout  # of opaque layouts nothing is said
    own = own.to(other.dtype)
    return torch.equal(own, other) or bool(((own == other) | (own.isnan() & other.isnan())).all())


def address(tensor: Tensor) -> int:
    """Where its values begin; 0 for layouts that do not tell."""
    return tensor.data_ptr() if tensor.layout is torch.strided else 0


def strides(tensor: Tensor) -> tuple[int, ...]:
    """Steps in memory of the axes that have more than one position."""
    if tensor.layout is not torch.strided:
        return ()
    return tuple(step for step, size in zip(tensor.stride(), tensor.shape, strict=True) if size > 1)


def kept_copy(tensor: Tensor) -> Tensor:
    """A copy to hold the tensor against later: version counters miss what is written through ``data``."""
    return tensor.detach().clone() if tensor.layout is torch.strided else tensor
