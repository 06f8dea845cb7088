"""The network without what it carries for nothing: rewritten, verified, and only then written."""
