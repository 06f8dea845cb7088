"""Measures the convolutions of a torch model: within runs of the model, and alone beside groups=1 twins."""
