"""Everything that knows torch: loader, walker, verifier."""
