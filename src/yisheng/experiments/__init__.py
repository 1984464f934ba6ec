"""The verbs: what the command line and the Python package both do."""
