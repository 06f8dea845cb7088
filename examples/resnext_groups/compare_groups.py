"""What does cardinality cost? The blocks of ResNeXt's table 2, and one block at every number of groups.

Xie et al. 2017, "Aggregated Residual Transformations for Deep Neural Networks" (arXiv:1611.05431).
Each cell (``# %%``) runs in a notebook as it is.
"""

# %%
from __future__ import annotations

from tabulate import tabulate
from torch import nn

import convaudit

IMAGE = (1, 256, 56, 56)  # what the blocks of the first stage see


def block(groups: int, width: int) -> nn.Sequential:
    """The bottleneck 256 -> groups * width -> 256 of a ResNeXt ``groups``×``width``d."""
    inner = groups * width
    return nn.Sequential(
        nn.Conv2d(256, inner, kernel_size=1, bias=False),
        nn.Conv2d(inner, inner, kernel_size=3, padding=1, groups=groups, bias=False),
        nn.Conv2d(inner, 256, kernel_size=1, bias=False),
    )


# %% The paper's blocks: more groups, each narrower, at about the same cost
settings = [(1, 64), (2, 40), (4, 24), (8, 14), (32, 4)]
rows = []
for groups, width in settings:
    totals = convaudit.audit(block(groups, width), input_shape=IMAGE).totals
    rows.append([f"{groups} x {width}d", totals.params, totals.macs, totals.macs_saved])
print(tabulate(rows, headers=["block", "params", "MACs", "saved by groups"], intfmt=","))

# %% One width, 128, at every number of groups: what the middle layer costs, and how it is bound
rows = []
for groups in (1, 2, 4, 8, 16, 32, 64, 128):
    middle = convaudit.audit(block(groups, 128 // groups), input_shape=IMAGE).layers[1]
    saved = f"{middle.macs_saved / middle.dense_macs:.1%}"
    intensity = f"{middle.arithmetic_intensity:.1f}"
    rows.append([groups, middle.kind, middle.params, middle.macs, saved, intensity])
print()
print(tabulate(rows, headers=["groups", "kind", "params", "MACs", "saved", "FLOPs per byte"], intfmt=","))

# %% Does torch compute what these numbers say? Every layer re-executed by convaudit's own engine
report = convaudit.audit(block(32, 4), input_shape=IMAGE, verify=True)
print()
for layer in report.layers:
    verdict = layer.verification
    print(f"{layer.name}: {verdict.status}, {verdict.executed_macs:,} multiply-adds executed")
