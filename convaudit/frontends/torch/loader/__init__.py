"""Sources to torch modules and programs."""
