"""Frames on a socket, and the calls they ask for.

A frame to the worker is `{"id", "do": "load" | "call" | "unload" | "ping", …}` or `{"cancel": id}`; a frame from it
is `{"id", …}` for each request, exactly once, a cancelled one too, or `{"log": […]}`. So the gateway can tell a worker
that takes its time from one that is stuck: only the first still answers a `ping`, and a cancelled call.
"""

from __future__ import annotations

import asyncio
import json

from . import plain

#: Bytes of a length.
PREFIX = 4

#: Made once: making an encoder costs as much as a small frame.
_encode = json.JSONEncoder(default=plain.of, separators=(",", ":"), allow_nan=False).encode

#: Longest frame that is accepted, in bytes.
MAX_FRAME = 256 << 20


def frame(message) -> bytes:
    """A message as it travels."""
    body = _encode(message).encode()
    return len(body).to_bytes(PREFIX, "big") + body


class Link(asyncio.Protocol):
    """The worker's end of the socket. `serve` answers one request; `lost` is called when the gateway is gone."""

    def __init__(self, serve, lost):
        self.serve, self.lost = serve, lost
        self.loop = asyncio.get_running_loop()
        self.tasks: dict[int, asyncio.Task] = {}
        self.transport = None
        self.buffer = bytearray()

    def connection_made(self, transport):
        """The socket is there."""
        self.transport = transport

    def connection_lost(self, error):
        """The gateway has ended or let go of this worker."""
        self.lost()

    def data_received(self, data):
        """Takes whole frames out of what has come."""
        buffer = self.buffer
        buffer += data
        start = 0
        while len(buffer) - start >= PREFIX:
            length = int.from_bytes(buffer[start : start + PREFIX], "big")
            if length > MAX_FRAME:
                self.transport.abort()
                return
            end = start + PREFIX + length
            if len(buffer) < end:
                break
            message = json.loads(str(memoryview(buffer)[start + PREFIX : end], "utf-8"))
            start = end
            self.take(message)
        if start:
            del buffer[:start]

    def take(self, message):
        """Starts what a message asks for."""
        cancelled = message.get("cancel")
        if cancelled is not None:
            task = self.tasks.get(cancelled)
            if task is not None:
                task.cancel()
            return
        number = message["id"]
        if message["do"] == "ping":
            self.send({"id": number})
            return
        task = self.loop.create_task(self.answer(number, message))
        self.tasks[number] = task
        task.add_done_callback(lambda _: self.never_began(number))

    async def answer(self, number, message):
        """Serves one request and answers it, come what may."""
        try:
            answer = await self.serve(message)
        except asyncio.CancelledError:
            answer = {"cancelled": True}
        except Exception as error:  # noqa: BLE001 - whatever it is, the gateway is told
            answer = {"error": {"message": f"the worker failed: {error!r}"}}
        finally:
            self.tasks.pop(number, None)
        self.send({"id": number, **answer})

    def never_began(self, number):
        """A task that is cancelled before its first step runs nothing at all, so it is answered here."""
        if self.tasks.pop(number, None) is not None:
            self.send({"id": number, "cancelled": True})

    def send(self, message):
        """Sends a message; an answer that is no JSON becomes an error of the plugin."""
        if self.transport is None or self.transport.is_closing():
            return
        try:
            data = frame(message)
        except (TypeError, ValueError, RecursionError) as error:
            if "id" not in message:
                return
            reason = f"its answer is nothing that JSON can hold: {error}"
            data = frame({"id": message["id"], "error": {"message": reason}})
        self.transport.write(data)
