"""A network made of another one: written aside, held against the original, and only then put in its place."""
