"""A plugin server of the first generation, on FastMCP: one tool for each hook, prompts by `name`.

    python tool_per_hook.py stdio
    python tool_per_hook.py http PORT
    python tool_per_hook.py sse PORT
    python tool_per_hook.py ws PORT
    python tool_per_hook.py https PORT CERTIFICATE KEY AUTHORITY
"""

import ssl
import sys
from typing import Any

import uvicorn
from fastmcp import FastMCP
from mcp.server.websocket import websocket_server
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

server = FastMCP("first-generation")

ENTRY = {
    "name": "Elder",
    "hooks": ["tool_pre_invoke", "tool_post_invoke", "prompt_pre_fetch"],
    "mode": "enforce",
    "priority": 5,
    # No `kind`: servers in other languages leave it out.
}


@server.tool
def get_plugin_config(name: str) -> dict[str, Any]:
    """The plugin's entry."""
    return ENTRY if name.lower() == "elder" else {}


@server.tool
def get_plugin_configs() -> list[dict[str, Any]]:
    """The entries of all plugins."""
    return [ENTRY]


@server.tool
def tool_pre_invoke(plugin_name: str, payload: dict[str, Any], context: dict[str, Any]) -> dict[str, Any]:
    """Blocks a word, without the envelope; remembers everything else, with it."""
    message = (payload.get("args") or {}).get("message", "")
    if "forbidden" in message:
        violation = {"reason": "forbidden word", "description": "not here", "code": "ELDER", "details": {}}
        return {"continue_processing": False, "violation": violation}
    context["state"]["asked"] = message
    return {"plugin_name": plugin_name, "result": {"continue_processing": True}, "context": context}


@server.tool
def tool_post_invoke(plugin_name: str, payload: dict[str, Any], context: dict[str, Any]) -> dict[str, Any]:
    """Adds what it remembers."""
    result = payload["result"]
    said = f"{result['content'][0]['text']} (asked {context['state'].get('asked')})"
    # The tool promises structured content.
    result.update(content=[{"type": "text", "text": said}], structuredContent={"result": said})
    return {"plugin_name": plugin_name, "result": {"modified_payload": {"name": payload["name"], "result": result}}}


@server.tool
def prompt_pre_fetch(plugin_name: str, payload: dict[str, Any], context: dict[str, Any]) -> dict[str, Any]:
    """Knows the prompt by `name`, as its generation does."""
    if "name" not in payload or "prompt_id" in payload:
        return {"error": {"message": f"not of my generation: {sorted(payload)}", "plugin_name": plugin_name}}
    changed = {"name": payload["name"], "args": {"name": f"{payload['name']}-elder"}}
    return {"plugin_name": plugin_name, "result": {"continue_processing": True, "modified_payload": changed}}


@server.tool
def prompt_post_fetch(plugin_name: str, payload: dict[str, Any], context: dict[str, Any]) -> dict[str, Any]:
    """Lets everything pass."""
    return {"plugin_name": plugin_name, "result": {"continue_processing": True}}


@server.custom_route("/moved", methods=["POST"])
async def moved(_request: Request) -> RedirectResponse:
    """Where the server used to be."""
    return RedirectResponse("/mcp", status_code=307)


async def converse(socket: WebSocket) -> None:
    """One conversation over a WebSocket."""
    protocol = server._mcp_server  # FastMCP has no such transport of its own.
    async with websocket_server(socket.scope, socket.receive, socket.send) as (incoming, outgoing):
        await protocol.run(incoming, outgoing, protocol.create_initialization_options())


if __name__ == "__main__":
    if sys.argv[1] == "stdio":
        server.run(show_banner=False)
    elif sys.argv[1] == "ws":
        application = Starlette(routes=[WebSocketRoute("/ws", converse)])
        uvicorn.run(application, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
    elif sys.argv[1] == "https":
        names = ["ssl_certfile", "ssl_keyfile", "ssl_ca_certs"]
        secure = {**dict(zip(names, sys.argv[3:], strict=True)), "ssl_cert_reqs": ssl.CERT_REQUIRED}
        server.run(transport="http", port=int(sys.argv[2]), show_banner=False, uvicorn_config=secure)
    else:
        transport = {"http": "http", "sse": "sse"}[sys.argv[1]]
        server.run(transport=transport, port=int(sys.argv[2]), show_banner=False)
