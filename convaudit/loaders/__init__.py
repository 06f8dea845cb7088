"""Sources to native models: the only rooms that read files, and they never execute what is in one."""
