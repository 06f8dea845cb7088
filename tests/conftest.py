"""Set-up that every test shares."""

from __future__ import annotations

import importlib.util

if importlib.util.find_spec("torch") is not None:
    import torch

    # torchvision 0.28 beside a CPU-only torch has no compiled operators and refuses to import until these
    # two are declared. The reference must live as long as the process, or the declarations go with it.
    TORCHVISION_OPERATORS = torch.library.Library("torchvision", "DEF")
    TORCHVISION_OPERATORS.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    TORCHVISION_OPERATORS.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
