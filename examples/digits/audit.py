"""Audit the digits network from Python: which layer costs most, and what do its groups save?

convaudit example && python audit.py
"""

from __future__ import annotations

import convaudit

report = convaudit.audit("digits.onnx", verify="in-situ")
print(report)

costliest = max(report.layers, key=lambda layer: layer.macs)
print(f"\ncostliest layer: {costliest.name}, {costliest.macs:,} of {report.totals.macs:,} MACs")
for layer in report.layers:
    if layer.groups > 1:
        saving = layer.macs_saved / layer.dense_macs
        print(
            f"{layer.name}: groups={layer.groups} saves {layer.macs_saved:,} MACs, {saving:.1%} of groups=1"
        )
