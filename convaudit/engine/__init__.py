"""The built-in grouped convolution: arrays in, arrays out; it knows no model format and no runtime."""
