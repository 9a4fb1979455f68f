"""What every go-plugin process serves beside its plugin: health, its end, its output, and the way back.

The messages are the library's own; methods are read from their descriptors, so no stubs are generated.
"""

import asyncio
import os
import sys
import threading
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from google.protobuf import message_factory

from ..wire import go_plugin_pb2

KEPT = 64 << 10
"""Bytes of output that wait for somebody who reads them; the oldest go first."""

FIND = 30.0
"""How long a gateway may take to say where its services are, in seconds."""


def methods_of(file: Any, service: str, implementations: dict[str, Callable[..., Any]]) -> grpc.GenericRpcHandler:
    """A service of a file of messages. What is not implemented is answered as unknown."""
    found = file.DESCRIPTOR.services_by_name[service]
    handlers = {}
    for method in found.methods:
        function = implementations.get(method.name)
        if function is None:
            continue
        read = message_factory.GetMessageClass(method.input_type).FromString
        write = message_factory.GetMessageClass(method.output_type).SerializeToString
        kind = {
            (False, False): grpc.unary_unary_rpc_method_handler,
            (False, True): grpc.unary_stream_rpc_method_handler,
            (True, True): grpc.stream_stream_rpc_method_handler,
        }[(method.client_streaming, method.server_streaming)]
        handlers[method.name] = kind(function, request_deserializer=read, response_serializer=write)
    return grpc.method_handlers_generic_handler(found.full_name, handlers)


def health() -> grpc.GenericRpcHandler:
    """Health: whoever can ask is served. By bytes, since the messages may be registered by somebody else."""

    async def check(_: bytes, __: Any) -> bytes:
        return b"\x08\x01"

    handler = grpc.unary_unary_rpc_method_handler(check)
    return grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": handler})


def controller(ended: asyncio.Event) -> grpc.GenericRpcHandler:
    """The end, by order of the gateway."""

    async def shutdown(_: Any, __: Any) -> Any:
        ended.set()
        return go_plugin_pb2.Empty()

    return methods_of(go_plugin_pb2, "GRPCController", {"Shutdown": shutdown})


def handlers(broker: "Broker", stdio: "Stdio") -> list[grpc.GenericRpcHandler]:
    """The way back, and output."""
    return [
        methods_of(go_plugin_pb2, "GRPCBroker", {"StartStream": broker.stream}),
        methods_of(go_plugin_pb2, "GRPCStdio", {"StreamStdio": stdio.stream}),
    ]


class Stdio:
    """What the process prints, for the gateway's stream.

    Standard error stays as it is: every host reads it. Standard output does not, once the first line has been read.
    """

    real: int | None = None
    """The real standard output, where another took its place."""

    def __init__(self) -> None:
        self._pieces: deque[bytes] = deque()
        self._kept = 0
        self._lock = threading.Lock()
        self._more = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    @classmethod
    def replacing_stdout(cls) -> "Stdio":
        """Takes the place of standard output, for children of this process too."""
        stdio = cls()
        stdio.real = os.dup(1)
        os.set_inheritable(stdio.real, False)
        read, write = os.pipe()
        os.dup2(write, 1)
        os.close(write)
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
        threading.Thread(target=stdio._pump, args=(read,), name="stdout", daemon=True).start()
        return stdio

    def _pump(self, read: int) -> None:
        while piece := os.read(read, 4096):
            self.push(piece)

    def push(self, piece: bytes) -> None:
        """Takes a piece of output, from any thread."""
        with self._lock:
            self._pieces.append(piece)
            self._kept += len(piece)
            while self._kept > KEPT:
                self._kept -= len(self._pieces.popleft())
        try:
            self._loop.call_soon_threadsafe(self._more.set)
        except RuntimeError:
            # The process ends: nobody reads any more.
            pass

    async def stream(self, _: Any, __: Any) -> AsyncIterator[Any]:
        """The stream of output."""
        while True:
            await self._more.wait()
            self._more.clear()
            with self._lock:
                pieces, self._kept = list(self._pieces), 0
                self._pieces.clear()
            for piece in pieces:
                yield go_plugin_pb2.StdioData(channel=go_plugin_pb2.StdioData.STDOUT, data=piece)


class Broker:
    """The way back to the gateway's services, dialled when it is first needed and kept."""

    def __init__(self) -> None:
        self._addresses: dict[int, str] = {}
        self._told = asyncio.Condition()
        self._channels: dict[int, grpc.aio.Channel] = {}

    async def stream(self, infos: AsyncIterator[Any], _: Any) -> AsyncIterator[Any]:
        """Takes what the gateway says of where its services are. The plugin serves none itself, so it says nothing."""
        async for info in infos:
            network = info.network
            if network not in ("unix", "tcp"):
                continue
            address = f"unix:{info.address}" if network == "unix" else info.address
            async with self._told:
                # Unlike the library in Go, this never forgets: a plugin may first ask after hours.
                self._addresses[info.service_id] = address
                self._told.notify_all()
        return
        yield

    async def dial(self, service: int) -> grpc.aio.Channel:
        """The connection to the services of this number."""
        async with self._told:
            await asyncio.wait_for(self._told.wait_for(lambda: service in self._addresses), FIND)
            if service not in self._channels:
                self._channels[service] = grpc.aio.insecure_channel(
                    self._addresses[service],
                    # Names of sockets are no names of hosts, which a server may look at.
                    options=[("grpc.default_authority", "localhost"), ("grpc.max_receive_message_length", 64 << 20)],
                )
            return self._channels[service]

    async def close(self) -> None:
        """Ends the connections."""
        for channel in self._channels.values():
            await channel.close()


Answering = Callable[[Any, Any], Awaitable[Any]]
