"""Symbolic shapes: every size is a formula that is proven, or unknown.

An op passes only with a rule of its own (``rules``). A rule says what a run has at all sizes at which the op
runs: of sizes that the op demands to be equal, either one will do. Values of small tensors are followed as
well (``values``), for exporters work out shapes with a dozen ops. What cannot be proven is unknown.
Formulas are of sizes from 1 on, in runs without empty tensors.
"""
