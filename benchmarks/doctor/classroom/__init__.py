"""Mistakes of course projects and first jobs, and eight more families, by an author who had not read the checks."""
