"""Kernels to be judged: honest ones of two runtimes, and inexact ones built here, each by its own route."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from convaudit.judge.execution import Execution

Array = NDArray[Any]


@dataclass(frozen=True)
class Layer:
    """Operands of a 2-D convolution with equal settings on both axes."""

    x: Array
    weight: Array
    bias: Array | None
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    groups: int = 1

    @property
    def terms(self) -> int:
        return int(self.weight[0].size)

    def ran(self, output: Array) -> Execution:
        """The record of a runtime that was given this layer and returned ``output``."""
        return Execution(
            x=self.x,
            weight=self.weight,
            bias=self.bias,
            output=output,
            stride=(self.stride,) * 2,
            padding=((self.padding,) * 2,) * 2,
            dilation=(self.dilation,) * 2,
            groups=self.groups,
        )

    def but(self, **changes: Any) -> Layer:
        return replace(self, **changes)


def layer(
    inputs: int,
    outputs: int,
    kernel: int,
    size: int,
    *,
    groups: int = 1,
    stride: int = 1,
    dilation: int = 1,
    images: int = 1,
    bias: bool = True,
    relu: bool = False,
    seed: int = 0,
) -> Layer:
    """Random operands, the input as after a ReLU if asked for, padded so that the size is kept."""
    random = np.random.default_rng(seed)
    fan_in = inputs // groups * kernel**2
    x = random.standard_normal((images, inputs, size, size)).astype(np.float32)
    weight = random.standard_normal((outputs, inputs // groups, kernel, kernel)) * np.sqrt(2 / fan_in)
    return Layer(
        x=np.maximum(x, 0) if relu else x,
        weight=weight.astype(np.float32),
        bias=random.standard_normal(outputs).astype(np.float32) / 10 if bias else None,
        stride=stride,
        padding=dilation * (kernel // 2),
        dilation=dilation,
        groups=groups,
    )


def by_torch(layer: Layer) -> Array:
    """torch's kernel, in the layer's own dtype."""
    import torch

    def tensor(array: Array) -> torch.Tensor:
        if array.dtype == ml_dtypes.bfloat16:
            return torch.from_numpy(np.ascontiguousarray(array).view(np.int16)).view(torch.bfloat16)
        return torch.from_numpy(np.ascontiguousarray(array))

    result = torch.nn.functional.conv2d(
        tensor(layer.x),
        tensor(layer.weight),
        None if layer.bias is None else tensor(layer.bias),
        layer.stride,
        layer.padding,
        layer.dilation,
        layer.groups,
    )
    if result.dtype is torch.bfloat16:
        return result.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return result.numpy()


def by_onnxruntime(
    op: str, operands: dict[str, Array], *, optimized: bool = True, domain: str = "", **attributes: Any
) -> Array:
    """onnxruntime's kernel for one node. The first operand is fed, the others are stored in the model."""
    import onnxruntime
    from onnx import helper, numpy_helper

    def info(name: str, dtype: Any, shape: tuple[int, ...] | None) -> Any:
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)

    fed, *stored = operands.items()
    graph = helper.make_graph(
        [helper.make_node(op, list(operands), ["y"], domain=domain, **attributes)],
        "one_node",
        [info(fed[0], fed[1].dtype, fed[1].shape)],
        [info("y", {"ConvInteger": np.int32}.get(op, fed[1].dtype), None)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in stored],
    )
    opsets = [helper.make_opsetid("", 19), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimized else levels.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    result: Array = session.run(None, dict([fed]))[0]
    return result


def by_onnxruntime_conv(layer: Layer, *, optimized: bool = True) -> Array:
    """onnxruntime's Conv; optimised, it may rearrange the weight for blocked kernels."""
    operands = {"x": layer.x, "w": layer.weight} | ({} if layer.bias is None else {"b": layer.bias})
    return by_onnxruntime("Conv", operands, optimized=optimized, **attributes_of(layer))


def attributes_of(layer: Layer) -> dict[str, Any]:
    """The attributes of an ONNX node for the layer."""
    return {
        "strides": [layer.stride] * 2,
        "pads": [layer.padding] * 4,
        "dilations": [layer.dilation] * 2,
        "group": layer.groups,
    }


def to_tf32(values: Array) -> Array:
    """float32 with 10 stored bits of significand, by adding half a unit of them to the bits: ties to even."""
    bits = values.astype(np.float32).view(np.uint32)
    return ((bits + 0xFFF + ((bits >> 13) & 1)) & np.uint32(0xFFFFE000)).view(np.float32)


def to_bfloat16(values: Array) -> Array:
    """float32 with bfloat16's precision."""
    return values.astype(ml_dtypes.bfloat16).astype(np.float32)


def accumulated_in_bfloat16(layer: Layer) -> Array:
    """A kernel that rounds every product and every partial sum to bfloat16, starting from the bias."""
    filters, channels, kernel, _ = layer.weight.shape
    side, step, spread = layer.padding, layer.stride, layer.dilation
    padded = np.pad(to_bfloat16(layer.x), ((0, 0), (0, 0), (side, side), (side, side)))
    out = [(size - spread * (kernel - 1) - 1) // step + 1 for size in padded.shape[2:]]
    total = np.zeros((len(padded), filters, *out), np.float32)
    if layer.bias is not None:
        total += to_bfloat16(layer.bias).reshape(-1, 1, 1)
    for channel, row, column in np.ndindex(channels, kernel, kernel):
        rows, columns = (
            slice(at * spread, at * spread + step * (size - 1) + 1, step)
            for at, size in zip((row, column), out, strict=True)
        )
        seen = padded[:, channel::channels, rows, columns].repeat(filters // layer.groups, axis=1)
        weight = to_bfloat16(layer.weight[:, channel, row, column]).reshape(-1, 1, 1)
        total = to_bfloat16(total + to_bfloat16(seen * weight))
    return total


def by_winograd(layer: Layer) -> Array:
    """Winograd's F(4x4, 3x3) in float32 (Lavin & Gray 2016), for a dense 3x3 layer of padding 1."""
    data = np.array(
        [
            [4, 0, -5, 0, 1, 0],
            [0, -4, -4, 1, 1, 0],
            [0, 4, -4, -1, 1, 0],
            [0, -2, -1, 2, 1, 0],
            [0, 2, -1, -2, 1, 0],
            [0, 4, 0, -5, 0, 1],
        ],
        np.float32,
    )
    filters = (
        np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]], np.float32) / 24
    )
    result = np.array(
        [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]], np.float32
    )
    (images, inputs, rows, columns), outputs = layer.x.shape, len(layer.weight)
    down, across = -(-rows // 4), -(-columns // 4)
    padded = np.zeros((images, inputs, 4 * down + 2, 4 * across + 2), np.float32)
    padded[:, :, 1 : rows + 1, 1 : columns + 1] = layer.x
    tiles = np.lib.stride_tricks.sliding_window_view(padded, (6, 6), axis=(2, 3))[:, :, ::4, ::4]
    kernels = filters @ layer.weight @ filters.T
    pieces = data @ tiles @ data.T
    products = np.einsum("ocij,ncabij->noabij", kernels, pieces)
    blocks = (result @ products @ result.T).swapaxes(3, 4)
    image = blocks.reshape(images, outputs, 4 * down, 4 * across)[:, :, :rows, :columns]
    assert layer.bias is not None
    return image + layer.bias.reshape(-1, 1, 1)
