"""Several upstreams behind one gateway; upstreams that are late, go away and come back."""

import json
import time

import httpx
import pytest
from harness.processes import Program, free_port
from harness.upstreams import UPSTREAMS
from test_wire import body_of, call, post


@pytest.fixture
def both(stage):
    """Our FastMCP server and server-everything, which both have a tool named `echo`, and a virtual server."""

    def config() -> dict:
        return {
            "upstreams": {name: stage.upstream_config(name, "http") for name in ["fastmcp", "everything"]},
            "servers": {"support": {"upstreams": ["fastmcp"], "tools": ["echo", "contact"]}},
        }

    return stage.gateway(("both",), config)


def answer_of(url: str, tool: str, arguments: dict) -> dict:
    """The answer to a tool call without a session."""
    return json.loads(body_of(post(url, call(tool, arguments))))


def text_of(url: str, tool: str, arguments: dict) -> str:
    """The text of a tool call that must succeed."""
    return answer_of(url, tool, arguments)["result"]["content"][0]["text"]


def names_of(url: str) -> list[str]:
    """The names of the tools offered there."""
    answer = json.loads(body_of(post(url, {"jsonrpc": "2.0", "id": 1, "method": "tools/list"})))
    return [tool["name"] for tool in answer["result"]["tools"]]


def eventually(check, seconds: float = 20) -> None:
    """Repeats the check until it holds."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            assert check()
            return
        except Exception:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.1)


@pytest.mark.clients("python-sdk-1", "typescript")
def test_unique_tools_of_both_upstreams_keep_their_names(connect, both):
    session = connect(both.url)
    names = [tool["name"] for tool in session.list_tools()]
    assert {"weather", "get-sum"} <= set(names)
    assert len(names) == len(set(names))
    assert session.text("get-sum", a=1, b=1) == "The sum of 1 and 1 is 2."


def test_name_that_both_have_is_reached_by_the_upstreams_name(both):
    assert text_of(both.url, "fastmcp-echo", {"message": "one"}) == "one"
    assert text_of(both.url, "everything-echo", {"message": "two"}) == "Echo: two"


def test_virtual_server_offers_what_it_lists_and_nothing_else(both):
    url = f"{both.base}/servers/support/mcp"
    assert sorted(names_of(url)) == ["contact", "echo"]
    assert text_of(url, "echo", {"message": "inside"}) == "inside"
    refused = answer_of(url, "weather", {"city": "Oslo"})
    assert "error" in refused or refused["result"]["isError"]


def test_unknown_virtual_server_is_not_found(both):
    assert post(f"{both.base}/servers/nowhere/mcp", call("echo", {"message": "x"})).status_code == 404


@pytest.fixture
def movable(stage, tmp_path):
    """A gateway before a port where nothing listens yet, and a function that starts a server there."""
    port = free_port()
    gateway = stage.gateway(
        ("movable", port), lambda: {"upstreams": {"late": {"url": f"http://127.0.0.1:{port}/mcp"}}}
    )
    running = []

    def start() -> Program:
        command, env = UPSTREAMS["fastmcp"].http(port)
        running.append(Program("late", command, tmp_path / f"late-{len(running)}.log", env))
        running[-1].wait_for_port(port)
        return running[-1]

    yield gateway, start
    for program in running:
        program.stop()


def test_upstream_that_is_down_at_start_is_taken_in_when_it_comes(movable):
    gateway, start = movable
    assert httpx.get(f"{gateway.base}/ready").status_code == 200
    start()
    eventually(lambda: "echo" in names_of(gateway.url))
    assert text_of(gateway.url, "echo", {"message": "late"}) == "late"


def test_upstream_that_went_away_serves_again_when_it_is_back(movable):
    gateway, start = movable
    first = start()
    eventually(lambda: text_of(gateway.url, "echo", {"message": "one"}) == "one")
    first.stop()
    refused = answer_of(gateway.url, "echo", {"message": "two"})
    assert "error" in refused or refused["result"]["isError"]
    start()
    eventually(lambda: text_of(gateway.url, "echo", {"message": "three"}) == "three")
