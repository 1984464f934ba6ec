"""A trained model over HTTP: the guard at the door, requests in batches, the endpoints."""
