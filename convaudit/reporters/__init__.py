"""``AuditReport`` to text: the only rooms that make strings for people and machines."""
