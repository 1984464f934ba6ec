"""Programs with the mistakes of projects: of loops, networks, the preparation of rows, and evaluation."""
