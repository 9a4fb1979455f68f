"""The MCP Inspector's command line: a fresh client for each call, as a newcomer would try it."""

import json
import subprocess

from harness.processes import npm_program


def inspect(url: str, *arguments: str) -> dict:
    """Runs the inspector once."""
    command = [*npm_program("mcp-inspector"), "--cli", url, "--transport", "http", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout[done.stdout.index("{") :])


def test_inspector_lists_tools(everything):
    names = {tool["name"] for tool in inspect(everything.url, "--method", "tools/list")["tools"]}
    assert {"echo", "get-sum"} <= names


def test_inspector_calls_a_tool(target):
    result = inspect(target.url, "--method", "tools/call", "--tool-name", "contact")
    expected = "a***e@example.com" if target.plugins else "alice@example.com"
    assert result["content"][0]["text"] == f"Write to {expected} for help."
