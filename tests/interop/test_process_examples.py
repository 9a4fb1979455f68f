"""Examples of our own kits under other projects' clients: an MCP server that is a plugin's endpoint, and a plugin in Python
that is served over MCP."""

import asyncio

import httpx
import pytest
from harness.processes import REPOSITORY, go_program
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

EXAMPLE = REPOSITORY / "examples/plugins/mcp-server"


@pytest.fixture(scope="module")
def endpoint(stage):
    """The URL of the example's MCP server, behind the gateway."""
    go_program("examples/plugins", "./mcp-server", EXAMPLE / "plugin")
    gateway = stage.gateway(("mcp-endpoint",), lambda: {"include": [str(EXAMPLE / "mortise.yaml")]})
    return f"{gateway.base.rstrip('/')}/plugins/tools/mcp"


def with_session(url, use, token="sesame"):
    async def run():
        headers = {"Authorization": f"Bearer {token}"}
        async with (
            httpx.AsyncClient(headers=headers, timeout=20) as http,
            streamable_http_client(url, http_client=http) as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            return await use(session)

    return asyncio.run(run())


def test_official_client_lists_and_calls_tools_of_an_endpoint(endpoint):
    async def use(session):
        tools = await session.list_tools()
        echoed = await session.call_tool("echo", {"text": "hello"})
        added = await session.call_tool("add", {"a": 2, "b": 3})
        return [tool.name for tool in tools.tools], echoed.content[0].text, added.content[0].text

    assert with_session(endpoint, use) == (["echo", "add", "count"], "hello", "5")


def test_progress_of_a_tool_comes_while_it_runs(endpoint):
    async def use(session):
        seen = []

        async def progress(done, total, message):
            seen.append((done, total))

        counted = await session.call_tool("count", {"to": 3}, progress_callback=progress)
        return seen, counted.content[0].text

    assert with_session(endpoint, use) == ([(1, 3), (2, 3), (3, 3)], "counted to 3")


def test_sessions_of_many_clients_do_not_meet(endpoint):
    async def use(session):
        answers = await asyncio.gather(*(session.call_tool("echo", {"text": str(at)}) for at in range(20)))
        return [answer.content[0].text for answer in answers]

    assert with_session(endpoint, use) == [str(at) for at in range(20)]


def test_caller_without_a_token_is_refused_before_the_server_is_asked(endpoint):
    answer = httpx.post(endpoint, json={"jsonrpc": "2.0", "id": 1, "method": "ping"})
    assert answer.status_code == 401


@pytest.fixture(scope="module")
def guarded(stage, tmp_path_factory):
    """Our FastMCP server behind a plugin of the Python kit, over standard input and output."""
    script = tmp_path_factory.mktemp("kit") / "guard.py"
    script.write_text(
        """
from mortise_sdk import Plugin, block, change
from mortise_sdk.mcp import serve


class Guard(Plugin):
    name = "Guard"

    def tool_pre_invoke(self, payload, context):
        print("noise on standard output")
        message = (payload.get("args") or {}).get("message", "")
        if "forbidden" in message:
            return block("forbidden word", "FORBIDDEN")
        if "colour-me" in message:
            return change({"args": {"message": message.replace("colour-me", "coloured")}})


serve(Guard)
"""
    )

    def config():
        python = str(REPOSITORY / ".venv/sdk/bin/python")
        mcp = {"proto": "STDIO", "cmd": [python, str(script)]}
        plugin = {"name": "Guard", "kind": "external", "hooks": ["tool_pre_invoke"], "mcp": mcp}
        return {"upstreams": {"fastmcp": stage.upstream_config("fastmcp", "http")}, "plugins": [plugin]}

    return stage.gateway(("python-kit",), config).url


@pytest.mark.clients("python-sdk-1")
def test_plugin_of_the_python_kit_guards_tools(connect, guarded):
    session = connect(guarded)
    assert session.text("echo", message="hello") == "hello"
    assert session.text("echo", message="please colour-me") == "please coloured"
    refused = session.call("echo", message="forbidden")
    assert refused["isError"] and "FORBIDDEN" in refused["content"][0]["text"]
