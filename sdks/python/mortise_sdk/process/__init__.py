"""Serves a plugin as a process of its gateway: HashiCorp's go-plugin over gRPC at a Unix socket.

The gateway starts the process, reads one line of its standard output to learn where it listens, and calls it from then
on. Needs `pip install mortise-sdk[process]`.
"""

from .serve import NotStarted, serve

__all__ = ["NotStarted", "serve"]
