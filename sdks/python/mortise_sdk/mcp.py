"""Serves a plugin over MCP: as a process that speaks on its standard input and output, or over HTTP.

The contract of plugin servers of the ContextForge family, spoken by Mortise's own `kind: external` and by that family's
gateways: the tools `get_plugin_configs`, `get_plugin_config` and `invoke_hook`. Nothing but the standard library is used.
Requests need no session, so any replica answers any of them.
"""

import asyncio
import contextlib
import json
import os
import sys
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, BinaryIO

from .answers import Block, Change
from .context import Context
from .plugin import Config, Plugin, run

VERSIONS = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
"""Revisions of MCP, newest first."""

MAX_MESSAGE = 16 << 20
"""Largest message taken over HTTP, in bytes."""

TOOLS = {
    "get_plugin_configs": ("The entries of all plugins of this server.", ()),
    "get_plugin_config": ("The entry of one plugin.", ("name",)),
    "invoke_hook": ("Has a plugin look at a payload at a hook.", ("hook_type", "plugin_name", "payload", "context")),
}


class RpcError(Exception):
    """An answer that is a JSON-RPC error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Server:
    """A plugin as the tools of an MCP server."""

    def __init__(self, plugin: type[Plugin], config: Mapping[str, Any] | None = None) -> None:
        self.plugin = plugin()
        self.plugin.config = Config.of(config or {})
        self.settings = dict(config or {})

    async def start(self) -> None:
        await run(self.plugin.start)

    async def stop(self) -> None:
        await run(self.plugin.stop)

    def entry(self) -> dict[str, Any]:
        """What gateways are told of the plugin. Its settings stay here: whoever can connect may ask."""
        plugin = self.plugin
        return {
            "name": plugin.name,
            "description": plugin.description or None,
            "kind": f"python.{plugin.name}",
            "version": plugin.version,
            "hooks": plugin.hooks(),
            "mode": "enforce",
            "priority": 100,
            "tags": [],
            "conditions": [],
            "config": None,
        }

    async def answer(self, message: Any) -> dict[str, Any] | None:
        """The answer to a message; none to notifications."""
        if not isinstance(message, dict) or "method" not in message:
            return None
        if message.get("id") is None:
            return None
        told: dict[str, Any] = {"jsonrpc": "2.0", "id": message["id"]}
        try:
            told["result"] = await self.result(message["method"], message.get("params") or {})
        except RpcError as error:
            told["error"] = {"code": error.code, "message": str(error)}
        return told

    async def result(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        match method:
            case "initialize":
                asked = params.get("protocolVersion")
                return {
                    "protocolVersion": asked if asked in VERSIONS else VERSIONS[0],
                    "capabilities": {"tools": {}},
                    "serverInfo": {"name": self.plugin.name, "version": self.plugin.version},
                }
            case "ping":
                return {}
            case "tools/list":
                return {"tools": [tool(name, *about) for name, about in TOOLS.items()]}
            case "tools/call":
                return await self.tool(params.get("name", ""), params.get("arguments") or {})
        raise RpcError(-32601, f"Method not found: {method}")

    async def tool(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        match name:
            case "get_plugin_configs":
                return texts([self.entry()], {"result": [self.entry()]})
            case "get_plugin_config":
                known = str(arguments.get("name", "")).lower() == self.plugin.name.lower()
                return texts([self.entry() if known else {}])
            case "invoke_hook":
                return texts([await self.invoke(arguments)])
        raise RpcError(-32602, f"Unknown tool: {name}")

    async def invoke(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Asks the plugin. What it raises is told as its error."""
        hook, name = str(arguments.get("hook_type", "")), str(arguments.get("plugin_name", ""))
        told: dict[str, Any] = {"plugin_name": name}
        if name != self.plugin.name:
            return {**told, "error": failure(name, f"there is no plugin `{name}` here")}
        if hook not in self.plugin.hooks():
            return {**told, "error": failure(name, f"the plugin `{name}` is not served at the hook `{hook}`")}
        given = arguments.get("context") or {}
        context = context_of(given)
        payload = arguments.get("payload") or {}
        try:
            answer = await self.plugin.call(hook, payload, context)
        except Exception as error:
            return {**told, "error": failure(name, str(error) or type(error).__name__)}
        shared = {**(given.get("global_context") or {}), "state": context.shared, "metadata": context.metadata}
        after = {**given, "state": context.state, "global_context": shared}
        return {**told, "result": result_of(hook, payload, answer), "context": after}


def result_of(hook: str, payload: dict[str, Any], answer: Block | Change | None) -> dict[str, Any]:
    """A decision as it travels."""
    result: dict[str, Any] = {
        "continue_processing": not isinstance(answer, Block),
        "modified_payload": None,
        "violation": None,
        "metadata": {},
    }
    if isinstance(answer, Block):
        result["violation"] = {
            "reason": answer.reason,
            "description": answer.description or answer.reason,
            "code": answer.code,
            "details": dict(answer.details),
            **({"http_status_code": answer.status} if answer.status else {}),
            **({"http_headers": dict(answer.headers)} if answer.headers else {}),
        }
    if isinstance(answer, Change):
        # Where the answer is no payload (headers, a caller's record, a permission), it stands for itself.
        bare = hook.startswith("http_")
        result["modified_payload"] = dict(answer.payload) if bare else {**payload, **answer.payload}
    return result


def context_of(given: dict[str, Any]) -> Context:
    """The surroundings of a call, as far as it tells of them."""
    shared = given.get("global_context") or {}
    user = shared.get("user")
    return Context(
        request_id=shared.get("request_id") or "",
        user=user.get("email") if isinstance(user, dict) else user,
        tenant=shared.get("tenant_id"),
        server_id=shared.get("server_id"),
        state=dict(given.get("state") or {}),
        shared=dict(shared.get("state") or {}),
        metadata=dict(shared.get("metadata") or {}),
    )


def failure(name: str, message: str) -> dict[str, Any]:
    return {"message": message, "plugin_name": name, "code": "", "details": {}, "mcp_error_code": -32603}


def texts(values: list[Any], structured: dict[str, Any] | None = None) -> dict[str, Any]:
    blocks = [{"type": "text", "text": json.dumps(value)} for value in values]
    return {"content": blocks, **({"structuredContent": structured} if structured else {}), "isError": False}


def tool(name: str, about: str, required: tuple[str, ...]) -> dict[str, Any]:
    kinds = {key: {"type": "object" if key in ("payload", "context") else "string"} for key in required}
    schema = {"type": "object", "properties": kinds, "required": list(required)}
    return {"name": name, "description": about, "inputSchema": schema}


async def over_pipes(server: Server, source: BinaryIO, sink: BinaryIO) -> None:
    """Answers the messages of a pipe until it ends, each line one."""
    lock, under_way = asyncio.Lock(), set[asyncio.Task[None]]()

    async def respond(line: bytes) -> None:
        try:
            message = json.loads(line)
        except ValueError:
            return
        answer = await server.answer(message)
        if answer is not None:
            async with lock:
                sink.write(json.dumps(answer).encode() + b"\n")
                sink.flush()

    while line := await asyncio.to_thread(source.readline):
        task = asyncio.create_task(respond(line))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    await asyncio.gather(*under_way)


def http_server(server: Server, address: tuple[str, int], loop: asyncio.AbstractEventLoop) -> ThreadingHTTPServer:
    """A server whose path `/mcp` takes messages and answers them as JSON."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            if self.path.partition("?")[0] != "/mcp" or length > MAX_MESSAGE:
                self.close_connection = True
                return self.reply(404 if length <= MAX_MESSAGE else 413)
            try:
                message = json.loads(self.rfile.read(length))
            except ValueError:
                return self.reply(400)
            answer = asyncio.run_coroutine_threadsafe(server.answer(message), loop).result()
            self.reply(202 if answer is None else 200, b"" if answer is None else json.dumps(answer).encode())

        def do_GET(self) -> None:
            if self.path == "/health":
                return self.reply(200, b'{"status": "ok"}')
            # There is no stream of the server's own.
            self.reply(405)

        def reply(self, status: int, body: bytes = b"") -> None:
            self.send_response(status)
            if body:
                self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Requests are the gateway's to log."""

    return ThreadingHTTPServer(address, Handler)


async def serving(plugin: type[Plugin], transport: str, address: tuple[str, int], config: Mapping[str, Any]) -> None:
    server = Server(plugin, config)
    await server.start()
    try:
        if transport == "stdio":
            sink = sys.stdout.buffer
            # What the plugin prints must not stand between messages.
            with contextlib.redirect_stdout(sys.stderr):
                await over_pipes(server, sys.stdin.buffer, sink)
            return
        listening = http_server(server, address, asyncio.get_running_loop())
        threading.Thread(target=listening.serve_forever, name="http", daemon=True).start()
        print(f"http://{address[0]}:{listening.server_port}/mcp", flush=True)
        try:
            await asyncio.Event().wait()
        finally:
            listening.shutdown()
    finally:
        await server.stop()


def serve(
    plugin: type[Plugin],
    *,
    transport: str | None = None,
    host: str = "127.0.0.1",
    port: int = 8000,
    config: Mapping[str, Any] | None = None,
) -> None:
    """Serves a plugin until its client goes, or for ever.

    `transport` is `stdio` or `http`; unset, `PLUGINS_TRANSPORT` says, else it is `stdio`. `config` is the plugin's
    configuration; unset, that of the variable `PLUGIN_CONFIG`, as JSON.
    """
    chosen = transport or os.environ.get("PLUGINS_TRANSPORT") or "stdio"
    if chosen not in ("stdio", "http"):
        raise ValueError(f"a transport is `stdio` or `http`, not {chosen!r}")
    settings = config if config is not None else json.loads(os.environ.get("PLUGIN_CONFIG") or "{}")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serving(plugin, chosen, (host, port), settings))
