"""Mistakes that people ask about in forums, and ten more families, by an author who had not read the checks."""
