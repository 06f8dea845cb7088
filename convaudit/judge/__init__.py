"""From the evidence on one execution to a verdict: did the runtime compute what the accounting claims?

A verdict comes about in six steps, each a module or two:

1. A verifier hands over an ``Execution``: the operands that a runtime was given, and what it returned
   (``execution``).
2. The convolution becomes a ``Problem`` in float64, cut into parts that fit the workspace (``problem``,
   ``partition``). convaudit's engine computes the reference for each part (``reference``).
3. Nothing is compared that could prove nothing: operands that are all zero, not finite, too small or too
   large give ``vacuous``.
4. The output is compared with the reference (``comparison``). Each element has a bound on its rounding error,
   each channel an expected mean square error, both derived from the lengths of the sums and the formats
   (``rounding``, ``activations``, ``deviation``, ``channels``). Equal results are ``exact``, errors within
   both are ``within_rounding``. Integers must be the exact sum, rounded correctly (``quantized``).
5. A larger error may be that of a known, coarser format or algorithm: if the output agrees with the reference
   computed in it, the verdict is ``low_accuracy`` (``formats``). All else is a ``mismatch``, which says where
   the wrong elements are and which common fault gives the same result (``diagnosis``).
6. If the sizes or multiply-adds that ran are not the accounted ones, the accounting is wrong, whatever the
   values: ``miscounted``. ``verdict`` takes these decisions, and only ``verdict`` does.
"""
