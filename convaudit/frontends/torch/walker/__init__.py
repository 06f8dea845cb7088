"""Torch modules and programs to ``Network`` records."""
