"""Runs a model or a layer in its own runtime, re-executes it in the engine, and gives a verdict."""
