"""Serve a trained model over HTTP, and the live page of a folder of runs."""
