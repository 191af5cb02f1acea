"""Which tests hold each statement of docs/semantics.md: their names, or "later: …" with the reason.
A test's name is that of a function, or Suite.Name of a GoogleTest."""

STATEMENTS = {}
