"""Lets a debugger in: `debugpy` listens where the configuration says so."""

from __future__ import annotations

import logging

LOG = logging.getLogger("mortise.debugger")


def listen(address, wait):
    """Listens at `HOST:PORT`; with `wait`, goes on once somebody has attached. Without `debugpy`, a warning."""
    try:
        import debugpy
    except ImportError:
        LOG.warning("`python.debug` is set and debugpy is not installed here: pip install debugpy")
        return
    host, _, port = str(address).rpartition(":")
    try:
        debugpy.listen((host or "127.0.0.1", int(port)))
    except Exception as error:  # noqa: BLE001 - plugins run without a debugger too
        LOG.warning("no debugger can attach at %s: %s", address, error)
        return
    LOG.warning("a debugger can attach at %s%s", address, "; waiting for it" if wait else "")
    if wait:
        debugpy.wait_for_client()
