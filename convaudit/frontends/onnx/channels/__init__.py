"""Which channels of which tensors are constant, which are read, and which could go: proofs about a graph."""
