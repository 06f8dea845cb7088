"""The engine is a witness: it may not lean on the runtimes that it judges."""

from __future__ import annotations

import subprocess
import sys


def test_the_engine_imports_numpy_and_ml_dtypes_only():
    command = (
        "import sys; before = set(sys.modules); import convaudit.engine; print(*set(sys.modules) - before)"
    )
    modules = subprocess.run(
        [sys.executable, "-c", command], capture_output=True, text=True, check=True
    ).stdout
    packages = {module.partition(".")[0] for module in modules.split()}
    third_party = {name for name in packages if name not in sys.stdlib_module_names and name[0] != "_"}
    assert third_party == {"convaudit", "numpy", "ml_dtypes"}
    ours = {module for module in modules.split() if module.startswith("convaudit.")}
    outside = {".".join(module.split(".")[:2]) for module in ours} - {"convaudit.engine"}
    allowed = {"convaudit.arguments", "convaudit.errors", "convaudit.formulas", "convaudit.shapes"}
    assert allowed <= outside <= allowed | {"convaudit.version"}  # which the package itself imports
