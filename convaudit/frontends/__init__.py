"""One room for each system that models come from; none imports another."""
