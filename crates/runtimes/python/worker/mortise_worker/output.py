"""What plugins print and log, as lines in the gateway's log under the plugin's name.

Which plugin it is is known by a context variable that is set for each call and that tasks and `asyncio.to_thread` carry
on. What threads of a plugin's own say goes under the worker's name.
"""

from __future__ import annotations

import contextvars
import io
import logging

#: Number of the plugin that runs in this context.
PLUGIN: contextvars.ContextVar[int | None] = contextvars.ContextVar("mortise_plugin", default=None)

#: Characters of a line that are kept.
MAX_LINE = 8192

_LEVELS = ((logging.ERROR, "error"), (logging.WARNING, "warn"), (logging.INFO, "info"))


class Bytes(io.RawIOBase):
    """What is below a standard stream, for those who write bytes."""

    def __init__(self, lines):
        super().__init__()
        self.lines = lines

    def writable(self):
        """It can be written to."""
        return True

    def write(self, data):
        """Writes bytes as text."""
        self.lines.write(bytes(data).decode("utf-8", "replace"))
        return len(data)


class Lines(io.TextIOBase):
    """A standard stream whose lines become log lines."""

    encoding, errors = "utf-8", "replace"

    def __init__(self, send, level):
        super().__init__()
        self.send, self.level = send, level
        self.buffer = Bytes(self)
        self.rest: dict[int | None, str] = {}

    def writable(self):
        """It can be written to."""
        return True

    def write(self, text):
        """Sends what is a whole line, and keeps the rest for the next time."""
        plugin = PLUGIN.get()
        *lines, rest = (self.rest.pop(plugin, "") + str(text)).split("\n")
        for line in lines:
            if line.strip():
                self.send(plugin, self.level, line[:MAX_LINE])
        if rest:
            self.rest[plugin] = rest[-MAX_LINE:]
        return len(text)


class Records(logging.Handler):
    """Sends records of `logging`."""

    def __init__(self, send):
        super().__init__()
        self.send = send

    def emit(self, record):
        """Sends one record with its traceback, if it has one."""
        try:
            level = next((word for least, word in _LEVELS if record.levelno >= least), "debug")
            text = record.getMessage()
            if record.exc_info and record.exc_info[0] is not None:
                text += "\n" + logging.Formatter().formatException(record.exc_info)
            if record.name != "root":
                text = f"{record.name}: {text}"
            self.send(PLUGIN.get(), level, text[:MAX_LINE])
        except Exception:  # noqa: BLE001 - a line that cannot be logged must not become a failed call
            self.handleError(record)
