"""The groups=1 twin of a convolution: the same function, its weight laid out block-diagonally."""
