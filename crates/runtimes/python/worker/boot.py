"""First words of a worker: fetches the rest of the program over its socket and runs it.

Handed to the interpreter as `-c`, so that nothing has to be written to disk and no version of it can be left over. The
gateway's end of a socket pair is standard input. The first frame on it holds the modules of the package
`mortise_worker` by name; sources are registered with `linecache`, so that tracebacks show their lines.
"""

import importlib.abc
import importlib.util
import json
import linecache
import socket
import sys


def read(link, length):
    """Exactly that many bytes."""
    parts = bytearray()
    while len(parts) < length:
        part = link.recv(min(length - len(parts), 1 << 16))
        if not part:
            raise SystemExit("the gateway closed the connection before it had sent the worker's program")
        parts += part
    return bytes(parts)


class Sources(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the modules of the worker in what was sent."""

    def __init__(self, sources):
        self.sources = sources

    def find_spec(self, name, path=None, target=None):
        """The module, where it is one of ours."""
        if name not in self.sources:
            return None
        return importlib.util.spec_from_loader(name, self, origin=f"<{name}>", is_package=name == "mortise_worker")

    def create_module(self, spec):
        """The usual kind of module."""

    def exec_module(self, module):
        """Runs the source that was sent."""
        name = module.__name__
        source, origin = self.sources[name], f"<{name}>"
        linecache.cache[origin] = (len(source), None, source.splitlines(True), origin)
        exec(compile(source, origin, "exec"), module.__dict__)


LINK = socket.socket(fileno=0)
SOURCES = json.loads(read(LINK, int.from_bytes(read(LINK, 4), "big")))
sys.path[:] = [path for path in sys.path if path not in ("", ".")]
sys.meta_path.insert(0, Sources(SOURCES))
LINK = socket.socket(fileno=LINK.detach())

from mortise_worker.main import main  # noqa: E402

main(LINK)
