"""``Network`` to ``AuditReport``: costs, the groups=1 counterpart, savings and totals."""
