"""A plugin server of the first generation, on FastMCP: one tool for each hook, prompts by `name`.

    python tool_per_hook.py stdio
    python tool_per_hook.py http PORT
    python tool_per_hook.py sse PORT
"""

import sys
from typing import Any

from fastmcp import FastMCP

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
    result["content"][0]["text"] += f" (asked {context['state'].get('asked')})"
    result.pop("structuredContent", None)
    return {"plugin_name": plugin_name, "result": {"modified_payload": {"name": payload["name"], "result": result}}}


@server.tool
def prompt_pre_fetch(plugin_name: str, payload: dict[str, Any], context: dict[str, Any]) -> dict[str, Any]:
    """Knows the prompt by `name`, as its generation does."""
    if "name" not in payload or "prompt_id" in payload:
        return {"error": {"message": f"not of my generation: {sorted(payload)}", "plugin_name": plugin_name}}
    changed = {"name": payload["name"], "args": {"name": f"{payload['name']}-elder"}}
    return {"plugin_name": plugin_name, "result": {"continue_processing": True, "modified_payload": changed}}


# Only asked for so that the list of tools is the generation's.
@server.tool
def prompt_post_fetch(plugin_name: str, payload: dict[str, Any], context: dict[str, Any]) -> dict[str, Any]:
    """Lets everything pass."""
    return {"plugin_name": plugin_name, "result": {"continue_processing": True}}


if __name__ == "__main__":
    if sys.argv[1] == "stdio":
        server.run(show_banner=False)
    else:
        transport = {"http": "http", "sse": "sse"}[sys.argv[1]]
        server.run(transport=transport, port=int(sys.argv[2]), show_banner=False)
