"""Plugins over MCP."""

import asyncio
import io
import json
import subprocess
import sys
import textwrap
import urllib.request

from mortise_sdk import Plugin, block, change
from mortise_sdk.mcp import Server, over_pipes


class Guard(Plugin):
    name = "Guard"

    def tool_pre_invoke(self, payload, context):
        context.state["asked"] = payload["name"]
        context.shared["by"] = self.config.get("label", "nobody")
        match payload["name"]:
            case "shell":
                return block("no shell", "NO_SHELL", status=403, details={"tool": "shell"})
            case "old":
                return change({"name": "new"})
            case "broken":
                raise RuntimeError("out of order")

    def http_pre_request(self, payload, context):
        return change({"x-seen": "1"})


def call(server, hook, payload, context=None, name="Guard"):
    arguments = {"hook_type": hook, "plugin_name": name, "payload": payload, "context": context or {}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "invoke_hook", "arguments": arguments}}
    answer = asyncio.run(server.answer(message))
    return json.loads(answer["result"]["content"][0]["text"])


def test_decisions_travel_as_the_family_writes_them():
    server = Server(Guard, {"label": "here"})
    given = {"state": {"kept": 1}, "global_context": {"request_id": "r1", "state": {"a": 1}}}

    passed = call(server, "tool_pre_invoke", {"name": "echo", "args": {}}, given)
    assert passed["result"]["continue_processing"] and passed["result"]["modified_payload"] is None
    assert passed["context"]["state"] == {"kept": 1, "asked": "echo"}
    assert passed["context"]["global_context"]["state"] == {"a": 1, "by": "here"}

    blocked = call(server, "tool_pre_invoke", {"name": "shell", "args": {}})["result"]
    assert not blocked["continue_processing"]
    assert (blocked["violation"]["code"], blocked["violation"]["http_status_code"]) == ("NO_SHELL", 403)

    changed = call(server, "tool_pre_invoke", {"name": "old", "args": {"a": 1}})["result"]
    assert changed["modified_payload"] == {"name": "new", "args": {"a": 1}}
    assert call(server, "http_pre_request", {"path": "/"})["result"]["modified_payload"] == {"x-seen": "1"}


def test_what_fails_is_told_as_the_plugins_error():
    server = Server(Guard)
    assert call(server, "tool_pre_invoke", {"name": "broken"})["error"]["message"] == "out of order"
    assert "not served" in call(server, "tool_post_invoke", {})["error"]["message"]
    assert "no plugin" in call(server, "tool_pre_invoke", {}, name="Other")["error"]["message"]


def test_messages_of_a_pipe_are_answered_and_nonsense_is_passed_over():
    requests = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-06-18"}},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/list"},
        {"jsonrpc": "2.0", "id": 3, "method": "no/such"},
        {"jsonrpc": "2.0", "id": 4, "method": "tools/call", "params": {"name": "get_plugin_config", "arguments": {"name": "guard"}}},
    ]
    source = io.BytesIO(b"nonsense\n[]\n" + b"".join(json.dumps(one).encode() + b"\n" for one in requests))
    sink = io.BytesIO()
    asyncio.run(over_pipes(Server(Guard), source, sink))
    answers = {one["id"]: one for one in map(json.loads, sink.getvalue().splitlines())}
    assert answers[1]["result"]["protocolVersion"] == "2025-06-18"
    assert [one["name"] for one in answers[2]["result"]["tools"]][-1] == "invoke_hook"
    assert answers[3]["error"]["code"] == -32601
    entry = json.loads(answers[4]["result"]["content"][0]["text"])
    assert entry["hooks"] == ["tool_pre_invoke", "http_pre_request"]


def test_http_server_answers_at_its_path(tmp_path):
    program = tmp_path / "guard.py"
    program.write_text(textwrap.dedent("""
        from mortise_sdk import Plugin
        from mortise_sdk.mcp import serve

        class Guard(Plugin):
            def tool_pre_invoke(self, payload, context):
                print("noise")

        serve(Guard, transport="http", port=0)
    """))
    with subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE, text=True) as process:
        url = process.stdout.readline().strip()
        request = urllib.request.Request(url, json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"}).encode())
        with urllib.request.urlopen(request) as answer:
            assert json.load(answer) == {"jsonrpc": "2.0", "id": 1, "result": {}}
        process.terminate()
