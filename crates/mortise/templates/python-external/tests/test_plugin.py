"""What the plugin decides, and what its server makes of that."""

import asyncio
import json

from {{module}} import server
from {{module}}.plugin import Plugin


def answered(text: str) -> dict:
    """The payload after a tool has answered."""
    return {"name": "echo", "result": {"content": [{"type": "text", "text": text}]}}


def test_the_word_is_taken_out_of_answers():
    answer = asyncio.run(Plugin().tool_post_invoke(answered("my secret plan"), {}))
    assert answer["modified_payload"] == answered("my ****** plan")
    assert "modified_payload" not in asyncio.run(Plugin().tool_post_invoke(answered("nothing to see"), {}))


def test_listed_tools_are_blocked():
    plugin = Plugin(blocked_tools=("rm",))
    blocked = asyncio.run(plugin.tool_pre_invoke({"name": "rm", "args": {}}, {}))
    assert blocked["violation"]["code"] == "TOOL_BLOCKED"
    assert asyncio.run(plugin.tool_pre_invoke({"name": "echo", "args": {}}, {}))["continue_processing"]


def test_methods_named_like_hooks_are_served_and_others_are_not():
    assert server.entry()["hooks"] == ["tool_post_invoke", "tool_pre_invoke"]
    told = json.loads(asyncio.run(server.invoke_hook("from_env", server.NAME, {}, {})))
    assert "from_env" in told["error"]["message"]


def test_a_payload_that_is_none_is_an_error_of_that_call():
    told = json.loads(asyncio.run(server.invoke_hook("tool_pre_invoke", server.NAME, {}, {})))
    assert "name" in told["error"]["message"]
