"""What a plugin is told about a call beside its payload, and what it may ask of its host."""

import json
import sys
from dataclasses import dataclass, field
from typing import Any, Protocol


class HostError(Exception):
    """The host refused or could not do what was asked."""


class Values(Protocol):
    """Values of the plugin's own, kept by the gateway."""

    async def get(self, key: str) -> bytes | None: ...

    async def set(self, key: str, value: bytes, ttl: float | None = None) -> bool:
        """Sets a value, for ever or for `ttl` seconds; says whether it is new."""
        ...

    async def delete(self, key: str) -> bool:
        """Removes a value; says whether it was there."""
        ...


class Events(Protocol):
    """Publishing events, and being told of them."""

    async def publish(self, topic: str, payload: Any) -> None: ...


class NoValues:
    """Where no gateway keeps values."""

    async def get(self, key: str) -> bytes | None:
        raise HostError("the gateway keeps no values for this plugin")

    async def set(self, key: str, value: bytes, ttl: float | None = None) -> bool:
        raise HostError("the gateway keeps no values for this plugin")

    async def delete(self, key: str) -> bool:
        raise HostError("the gateway keeps no values for this plugin")


class NoEvents:
    """Where there are no events."""

    async def publish(self, topic: str, payload: Any) -> None:
        raise HostError("the gateway takes no events from this plugin")


class Log:
    """Lines for the gateway's log. They go to standard error, which every host reads."""

    def debug(self, message: str, **fields: Any) -> None:
        self._write("DEBUG", message, fields)

    def info(self, message: str, **fields: Any) -> None:
        self._write("INFO", message, fields)

    def warn(self, message: str, **fields: Any) -> None:
        self._write("WARN", message, fields)

    def error(self, message: str, **fields: Any) -> None:
        self._write("ERROR", message, fields)

    @staticmethod
    def _write(level: str, message: str, fields: dict[str, Any]) -> None:
        told = "".join(f" {name}={value}" for name, value in fields.items())
        # A line break would begin a line that is in nobody's name.
        line = f"[{level}] {message}{told}".replace("\r", "\\r").replace("\n", "\\n")
        print(line, file=sys.stderr, flush=True)


@dataclass
class Context:
    """A call's surroundings."""

    request_id: str = ""
    user: str | None = None
    app: str | None = None
    tenant: str | None = None
    server_id: str | None = None
    state: dict[str, Any] = field(default_factory=dict)
    """The plugin's own, from its hook before to its hook after; over MCP only."""
    shared: dict[str, Any] = field(default_factory=dict)
    """What all plugins of the request share. A process plugin's values are texts."""
    metadata: dict[str, Any] = field(default_factory=dict)
    kv: Values = field(default_factory=NoValues)
    events: Events = field(default_factory=NoEvents)
    log: Log = field(default_factory=Log)


def text_of(value: Any) -> str:
    """A value as process plugins exchange them: texts as they are, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
