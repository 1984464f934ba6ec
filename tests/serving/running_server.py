"""A server on this machine, and raw bytes to and from it."""

import contextlib
import socket
import time


class RunningServer:
    """A server in a thread of this process.

    Args:
        port: where it listens.
    """

    def __init__(self, port):
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def send(self, content, *, timeout=5.0, delayed=()):
        """Send bytes, and further pieces after pauses; return what comes back until the end or the timeout."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as client:
            with contextlib.suppress(OSError):  # the server may have closed the connection already
                client.sendall(content)
                for pause, piece in delayed:
                    time.sleep(pause)
                    client.sendall(piece)
            response = b""
            with contextlib.suppress(TimeoutError, ConnectionError):
                while piece := client.recv(1 << 16):
                    response += piece
                    client.settimeout(min(timeout, 1.0))  # further pieces follow at once, if there are any
            return response
