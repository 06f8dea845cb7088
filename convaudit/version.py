"""The package's version and address, their one source: the build reads the version from here."""

__version__ = "0.1.0"
REPOSITORY = "https://github.com/OWNER/convaudit"
DOCUMENTS = f"{REPOSITORY}/blob/main/docs"
"""Where the pages of ``docs/`` can be read."""
