"""Serves the plugin over MCP, in the contract of plugin servers: `invoke_hook`, `get_plugin_config`, `get_plugin_configs`.

Over HTTP, or over standard input and output, as `PLUGINS_TRANSPORT` says. Nothing here has to be changed for another
hook: a method of the plugin that is named like one is served.
"""

import json
import logging
import os
import sys
from typing import Any

from mcp.server.mcpserver import MCPServer
from starlette.requests import Request
from starlette.responses import JSONResponse

from .plugin import Plugin

NAME = "{{plugin}}"
FAMILIES = ("tool_", "prompt_", "resource_", "agent_", "http_", "llm_")

log = logging.getLogger(NAME)
plugin = Plugin.from_env()
server = MCPServer(NAME, instructions="A plugin server.", log_level="WARNING")


def entry() -> dict[str, Any]:
    """What gateways are told of the plugin."""
    hooks = [name for name in dir(plugin) if name.startswith(FAMILIES) and callable(getattr(plugin, name))]
    return {
        "name": NAME,
        "kind": "{{module}}.plugin.Plugin",
        "description": "{{about}}",
        "version": "0.1.0",
        "hooks": hooks,
        "tags": ["guard"],
        "mode": "enforce",
        "priority": 100,
        "conditions": [],
    }


def failed(plugin_name: str, message: str) -> str:
    """The answer where there is no decision."""
    error = {"message": message, "plugin_name": plugin_name, "code": "", "details": {}, "mcp_error_code": -32603}
    return json.dumps({"plugin_name": plugin_name, "error": error})


@server.tool(structured_output=False)
async def get_plugin_config(name: str) -> str:
    """The plugin's entry."""
    return json.dumps(entry() if name.lower() == NAME.lower() else {})


@server.tool(structured_output=False)
async def get_plugin_configs() -> str:
    """The entries of all plugins."""
    return json.dumps(entry())


@server.tool(structured_output=False)
async def invoke_hook(hook_type: str, plugin_name: str, payload: dict[str, Any], context: dict[str, Any]) -> str:
    """Has the plugin look at a call."""
    if plugin_name != NAME or hook_type not in entry()["hooks"]:
        return failed(plugin_name, f"Unable to find {hook_type} for plugin {plugin_name}.")
    try:
        result = await getattr(plugin, hook_type)(payload, context)
    except Exception as error:  # Whatever it was, it costs this call and no other.
        log.exception("%s failed", hook_type)
        return failed(plugin_name, repr(error))
    answer = {"plugin_name": plugin_name, "result": result}
    if context.get("state") or context.get("metadata") or context.get("global_context", {}).get("state"):
        answer["context"] = context
    return json.dumps(answer)


@server.custom_route("/health", methods=["GET"])
async def health(_request: Request) -> JSONResponse:
    """Whether the server is well."""
    return JSONResponse({"status": "healthy"})


def main() -> None:
    """Serves until it is ended."""
    # Standard output belongs to the protocol.
    logging.basicConfig(level=os.environ.get("PLUGINS_LOG_LEVEL", "INFO"), stream=sys.stderr)
    transport = os.environ.get("PLUGINS_TRANSPORT") or ("http" if sys.stdin.isatty() else "stdio")
    if transport == "stdio":
        server.run("stdio")
        return
    host, port = os.environ.get("PLUGINS_SERVER_HOST", "127.0.0.1"), int(os.environ.get("PLUGINS_SERVER_PORT", "8000"))
    # Without sessions: any number of servers may stand behind one address, and a restart is nothing to a gateway.
    server.run("streamable-http", host=host, port=port, stateless_http=True, json_response=True)
