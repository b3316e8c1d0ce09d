"""Policy files: what they say (schema), how they are read (loader) and what follows from them; no I/O but reading files."""
