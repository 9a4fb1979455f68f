"""Puts the worker together and runs it until the gateway lets go of it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import logging
import os
import sys
import threading

from . import debugger, limits, output, shim
from .link import Link
from .seats import Seats

#: Hooks that are no coroutines and run at the same time, at most.
HOOK_THREADS = 32


def main(socket):
    """Serves the gateway at the other end of `socket`."""
    # Plugins that read standard input get its end, not the gateway's frames.
    kept = os.dup(socket.fileno())
    nothing = os.open(os.devnull, os.O_RDONLY)
    socket.detach()
    os.dup2(nothing, 0)
    os.close(nothing)
    os.set_inheritable(kept, False)
    import socket as sockets

    try:
        asyncio.run(serve(sockets.socket(fileno=kept)))
    except KeyboardInterrupt:
        pass
    finally:
        limits.die()


async def serve(socket):
    """Serves until the connection is lost."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    settings = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}
    sys.argv[:] = ["mortise-python-worker"]
    limits.end_with(socket.fileno())
    limits.show_where()
    limits.bound_memory(settings.get("memory_mb"))
    loop.set_default_executor(concurrent.futures.ThreadPoolExecutor(HOOK_THREADS, "mortise-hook"))
    shim.install()
    seats = Seats()
    socket.setblocking(False)
    _, link = await loop.create_unix_connection(lambda: Link(seats.serve, ended.set), sock=socket)
    main_thread = threading.get_ident()

    def log(plugin, level, text):
        message = {"log": [plugin, level, text]}
        if threading.get_ident() == main_thread:
            link.send(message)
        else:
            loop.call_soon_threadsafe(link.send, message)

    sys.stdout, sys.stderr = output.Lines(log, "info"), output.Lines(log, "warn")
    logging.basicConfig(level=logging.INFO, handlers=[output.Records(log)], force=True)
    if settings.get("debug"):
        debugger.listen(settings["debug"], settings.get("debug_wait", False))
    link.send({"hello": {"python": sys.version.split()[0], "prefix": sys.prefix, "pid": os.getpid()}})
    await ended.wait()
