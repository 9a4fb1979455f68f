"""What bounds a worker: its memory, and the life of the gateway that started it."""

from __future__ import annotations

import faulthandler
import os
import select
import signal
import sys
import threading


def bound_memory(megabytes):
    """Limits the address space; allocations past it raise `MemoryError`. 0 for no limit."""
    if not megabytes:
        return
    import resource

    bytes_ = int(megabytes) << 20
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard != resource.RLIM_INFINITY:
        bytes_ = min(bytes_, hard)
    resource.setrlimit(resource.RLIMIT_AS, (bytes_, bytes_))


def show_where():
    """Writes where plugins are to standard error when the interpreter crashes, and when the gateway asks by a signal."""
    faulthandler.enable(file=sys.__stderr__)
    faulthandler.register(signal.SIGUSR2, file=sys.__stderr__, all_threads=True)


def die():
    """Ends this process and all that plugins started, at once."""
    try:
        if os.getpgid(0) == os.getpid():
            os.killpg(0, signal.SIGKILL)
    finally:
        os._exit(0)


def end_with(descriptor):
    """Ends the process when the other end of the socket is closed, also while plugins compute or hang."""
    hangup = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR

    def watch():
        poll = select.poll()
        poll.register(descriptor, hangup)
        while True:
            for _, events in poll.poll():
                if events & (hangup | select.POLLNVAL):
                    die()

    threading.Thread(target=watch, name="mortise-gateway-watch", daemon=True).start()
