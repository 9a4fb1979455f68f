"""A remote-controlled MCP client: JSON lines in, JSON lines out, on a real Python client library.

The tests are written once and run with every client; this program is what makes the Python SDK (1.x or 2.x,
whichever is installed) and FastMCP's client look alike. It opens sessions, performs one operation per line and
reports results in wire form. It decides nothing: expectations live in the tests.

    python python_client.py sdk|fastmcp
"""

import asyncio
import contextlib
import json
import sys
import traceback
import warnings

from mcp import types

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup

warnings.filterwarnings("ignore")

try:
    from mcp import Client as SdkClient  # 2.x: one object for transport and session

    SDK_MAJOR = 2
except ImportError:
    from mcp import ClientSession
    from mcp.client.streamable_http import streamable_http_client

    SDK_MAJOR = 1


def dump(model) -> dict:
    """A model in wire form."""
    return model.model_dump(by_alias=True, mode="json", exclude_none=True)


class Session:
    """One open MCP session and what the server sent on it unasked."""

    def __init__(self, spec: dict):
        self.spec = spec
        self.notifications: list[dict] = []
        self.arrived = asyncio.Condition()
        self.requests: list[dict] = []
        self.stop = asyncio.Event()
        self.task: asyncio.Task | None = None

    # Called by the library.

    async def on_message(self, message) -> None:
        """Keeps each notification; requests and exceptions are handled elsewhere."""
        message = getattr(message, "root", message)
        if getattr(message, "method", "").startswith("notifications/"):
            async with self.arrived:
                self.notifications.append(dump(message))
                self.arrived.notify_all()

    async def on_sampling(self, _context, params):
        """Answers sampling with the configured text."""
        self.requests.append({"method": "sampling/createMessage", "params": dump(params)})
        content = types.TextContent(type="text", text=self.spec["sampling"])
        return types.CreateMessageResult(role="assistant", content=content, model="fake-model")

    async def on_elicitation(self, _context, params):
        """Answers elicitation with the configured content, or declines."""
        self.requests.append({"method": "elicitation/create", "params": dump(params)})
        content = self.spec["elicitation"]
        return types.ElicitResult(action="accept", content=content) if content else types.ElicitResult(action="decline")

    async def on_roots(self, _context):
        """Answers with the configured roots."""
        self.requests.append({"method": "roots/list"})
        return types.ListRootsResult(roots=[types.Root(uri=uri) for uri in self.spec["roots"]])

    # Opening and closing happen in one task, as the libraries' cancel scopes demand.

    async def open(self) -> dict:
        """Connects; gives what the server said of itself."""
        ready = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(self.run(ready))
        return await ready

    async def run(self, ready: asyncio.Future) -> None:
        """Holds the connection open until told to stop."""
        try:
            async with contextlib.AsyncExitStack() as stack:
                ready.set_result(await self.connect(stack))
                await self.stop.wait()
        except BaseException as error:
            if ready.done():
                raise
            ready.set_exception(error)

    async def close(self) -> None:
        """Ends the session as the library ends it."""
        self.stop.set()
        await self.task

    def callbacks(self) -> dict:
        """The SDK's callbacks; one that is not configured is not offered as a capability."""
        wanted = {"message_handler": self.on_message}
        if self.spec.get("sampling") is not None:
            wanted["sampling_callback"] = self.on_sampling
        if "elicitation" in self.spec:
            wanted["elicitation_callback"] = self.on_elicitation
        if "roots" in self.spec:
            wanted["list_roots_callback"] = self.on_roots
        return wanted

    async def connect(self, stack: contextlib.AsyncExitStack) -> dict:
        raise NotImplementedError

    # Operations: each gives a JSON value.

    async def list_tools(self):
        return [dump(t) for t in (await self.api.list_tools()).tools]

    async def list_prompts(self):
        return [dump(p) for p in (await self.api.list_prompts()).prompts]

    async def list_resources(self):
        return [dump(r) for r in (await self.api.list_resources()).resources]

    async def list_resource_templates(self):
        result = await self.api.list_resource_templates()
        return [dump(t) for t in getattr(result, "resourceTemplates", None) or result.resource_templates]

    async def call(self, name, arguments, progress=None):
        return await self.api.call_tool(name, arguments, progress_callback=progress)

    async def call_tool(self, name, arguments):
        reports = []

        async def on_progress(progress, total, message):
            reports.append({"progress": progress, "total": total, "message": message})

        result = dump(await self.call(name, arguments, on_progress))
        return {"result": result, "progress": reports}

    async def call_many(self, calls):
        results = await asyncio.gather(*(self.call(c["name"], c["arguments"]) for c in calls))
        return [dump(r) for r in results]

    async def call_and_cancel(self, name, arguments):
        """Cancels the call at its first progress report, in the way this library offers."""
        started = asyncio.Event()

        async def on_progress(_progress, _total, _message):
            started.set()

        request_id = getattr(self.core(), "_request_id", None)
        call = asyncio.create_task(self.call(name, arguments, on_progress))
        await asyncio.wait_for(started.wait(), timeout=20)
        if SDK_MAJOR == 1:  # 1.x does not tell the server by itself
            note = types.CancelledNotification(
                method="notifications/cancelled",
                params=types.CancelledNotificationParams(requestId=request_id, reason="the test says so"),
            )
            await self.core().send_notification(types.ClientNotification(note))
        call.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await call
        return "cancelled"

    async def get_prompt(self, name, arguments):
        return dump(await self.api.get_prompt(name, arguments))

    async def read_resource(self, uri):
        return dump(await self.api.read_resource(uri))

    async def complete(self, ref, argument, context=None):
        kind = types.PromptReference if ref["type"] == "ref/prompt" else types.ResourceTemplateReference
        return dump(await self.api.complete(kind(**ref), argument, context))

    async def set_level(self, level):
        await self.api.set_logging_level(level)
        return {}

    async def ping(self):
        await self.api.send_ping()
        return {}

    async def wait_for(self, method, count=1):
        """The notifications of this method, once so many have come (at most ten seconds)."""

        def matching():
            return [n for n in self.notifications if n["method"] == method]

        async with self.arrived:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.arrived.wait_for(lambda: len(matching()) >= count), timeout=10)
        return matching()

    async def server_requests(self):
        return self.requests

    def core(self):
        """The session object beneath."""
        return self.api


class Sdk1(Session):
    """`ClientSession` over `streamable_http_client`."""

    async def connect(self, stack):
        read, write, _ = await stack.enter_async_context(streamable_http_client(self.spec["url"]))
        self.api = await stack.enter_async_context(ClientSession(read, write, **self.callbacks()))
        return dump(await self.api.initialize())


class Sdk2(Session):
    """`Client` of 2.x; `mode` chooses between the handshake and the stateless revision."""

    async def connect(self, stack):
        client = SdkClient(self.spec["url"], mode=self.spec.get("mode", "legacy"), cache=None, **self.callbacks())
        self.api = await stack.enter_async_context(client)
        return {
            "protocolVersion": client.protocol_version,
            "serverInfo": dump(client.server_info) if client.server_info else None,
            "capabilities": dump(client.server_capabilities),
            "instructions": client.instructions,
        }

    def core(self):
        return self.api.session


class FastMcp(Session):
    """FastMCP's client, of the major version that fits the SDK."""

    async def connect(self, stack):
        from fastmcp import Client

        extra = {} if SDK_MAJOR == 1 else {"mode": self.spec.get("mode", "legacy"), "cache": False}
        if self.spec.get("sampling") is not None:
            extra["sampling_handler"] = lambda messages, params, context: self.on_sampling(context, params)
        if "elicitation" in self.spec:
            extra["elicitation_handler"] = self.on_fastmcp_elicitation
        if "roots" in self.spec:
            extra["roots"] = self.spec["roots"]
        client = Client(self.spec["url"], message_handler=self.on_message, **extra)
        self.api = await stack.enter_async_context(client)
        core = self.core()
        if SDK_MAJOR == 1:
            return dump(client.initialize_result)
        return {
            "protocolVersion": core.protocol_version,
            "serverInfo": dump(core.server_info) if core.server_info else None,
            "capabilities": dump(core.server_capabilities),
            "instructions": core.instructions,
        }

    def core(self):
        return self.api.session

    async def on_fastmcp_elicitation(self, _message, _type, params, context):
        from fastmcp.client.elicitation import ElicitResult

        answer = await self.on_elicitation(context, params)
        return ElicitResult(action=answer.action, content=answer.content)

    async def call(self, name, arguments, progress=None):
        return await self.api.call_tool_mcp(name, arguments, progress_handler=progress)

    async def list_tools(self):
        return [dump(t) for t in await self.api.list_tools()]

    async def list_prompts(self):
        return [dump(p) for p in await self.api.list_prompts()]

    async def list_resources(self):
        return [dump(r) for r in await self.api.list_resources()]

    async def list_resource_templates(self):
        return [dump(t) for t in await self.api.list_resource_templates()]

    async def get_prompt(self, name, arguments):
        return dump(await self.api.get_prompt_mcp(name, arguments))

    async def read_resource(self, uri):
        return dump(await self.api.read_resource_mcp(uri))

    async def complete(self, ref, argument, context=None):
        kind = types.PromptReference if ref["type"] == "ref/prompt" else types.ResourceTemplateReference
        return dump(await self.api.complete_mcp(kind(**ref), argument, context))

    async def ping(self):
        await self.core().send_ping()
        return {}


def describe(error: BaseException) -> dict:
    """A JSON-RPC error as the wire said it; anything else as a crash."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    wire = getattr(error, "error", None)
    if hasattr(wire, "code") and hasattr(wire, "message"):
        return {"error": {"code": wire.code, "message": wire.message, "data": wire.data}}
    return {"crash": "".join(traceback.format_exception(error))}


async def main() -> None:
    """Reads operations until stdin ends; each runs in a task of its own."""
    kinds = {"sdk": Sdk1 if SDK_MAJOR == 1 else Sdk2, "fastmcp": FastMcp}
    kind = kinds[sys.argv[1]]
    sessions: dict[str, Session] = {}

    async def perform(line: bytes) -> None:
        order = json.loads(line)
        try:
            name, op, arguments = order["session"], order["op"], order.get("arguments", {})
            if op == "open":
                sessions[name] = kind(arguments)
                value = await sessions[name].open()
            elif op == "close":
                value = await sessions.pop(name).close()
            else:
                value = await getattr(sessions[name], op)(**arguments)
            answer = {"value": value}
        except BaseException as error:  # noqa: BLE001: whatever the library raises is what the test wants to see
            answer = describe(error)
        sys.stdout.write(json.dumps({"id": order["id"], **answer}) + "\n")
        sys.stdout.flush()

    reader = asyncio.StreamReader(limit=64 * 1024 * 1024)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    running = set()
    while line := await reader.readline():
        task = asyncio.create_task(perform(line))
        running.add(task)
        task.add_done_callback(running.discard)


if __name__ == "__main__":
    asyncio.run(main())
