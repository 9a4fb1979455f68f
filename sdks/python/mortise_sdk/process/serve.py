"""The life of the process: handshake, server, end."""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import grpc

from ..plugin import Plugin
from .library import Broker, Stdio, controller, handlers, health
from .service import Service, describer

COOKIE = ("AI_STUDIO_PLUGIN", "v1")
LINE = "1|1|unix|{path}|grpc|\n"

MAX_MESSAGE = 64 << 20
"""Largest message taken or sent, in bytes."""

GRACE = 2.0
"""How long calls under way may take once the process is to end, in seconds."""


class NotStarted(Exception):
    """The process cannot serve: nobody started it who knows how."""


def serve(plugin: type[Plugin]) -> None:
    """Serves a plugin until the gateway ends it. A process started by hand says what it is and ends with status 1."""
    try:
        asyncio.run(serving(plugin, os.environ, Stdio.replacing_stdout))
    except NotStarted as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    # Handlers that still run in threads would hold the process up.
    os._exit(0)


async def serving(plugin: type[Plugin], environment: Mapping[str, str], stdio: type[Stdio] | object = Stdio) -> None:
    """Serves a plugin with this environment, until it is told to end."""
    if environment.get(COOKIE[0]) != COOKIE[1]:
        raise NotStarted(
            f"{plugin.name} is a plugin: it is started by its gateway, by an entry of `kind: process`, not by hand"
        )
    ended = asyncio.Event()
    broker = Broker()
    service = Service(plugin(), broker)
    server = grpc.aio.server(options=[
        ("grpc.max_receive_message_length", MAX_MESSAGE),
        ("grpc.max_send_message_length", MAX_MESSAGE),
    ])
    path = socket_path(environment)
    server.add_insecure_port(f"unix:{path}")
    # go-plugin's own protocol is one line; what is printed before it would be taken for output, what comes after too.
    out = sys.stdout
    told = stdio()  # type: ignore[operator]
    server.add_generic_rpc_handlers((
        health(),
        controller(ended),
        *handlers(broker, told),
        service.handlers(),
        describer(plugin),
    ))
    await server.start()
    announce(path, out, told)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    # The gateway's own signals are not the plugin's.
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    await ended.wait()
    await server.stop(GRACE)
    await broker.close()
    path.unlink(missing_ok=True)


def socket_path(environment: Mapping[str, str]) -> Path:
    """A path for the socket that nothing stands at."""
    folder = environment.get("PLUGIN_UNIX_SOCKET_DIR") or None
    descriptor, name = tempfile.mkstemp(prefix="plugin", dir=folder)
    os.close(descriptor)
    os.unlink(name)
    return Path(name)


def announce(path: Path, out: object, told: Stdio) -> None:
    """Says where the plugin listens, on the real standard output."""
    line = LINE.format(path=path).encode()
    descriptor = told.real if told.real is not None else 1
    os.write(descriptor, line)
