"""Pre-deploy checks on finished reports: budgets, baselines and differences."""
