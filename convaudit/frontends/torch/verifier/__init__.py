"""Torch models re-executed: what torch was given and returned for each convolution, judged."""
