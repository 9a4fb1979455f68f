"""The revision 2026-07-28, where a request stands alone, with the clients that speak it."""

import pytest

pytestmark = pytest.mark.clients("python-sdk-2", "fastmcp-4")


@pytest.fixture(params=["auto", "2026-07-28"])
def mode(request):
    """With and without probing the server first."""
    return request.param


def test_client_discovers_the_server(connect, modern):
    server = connect(modern.url, mode="auto").server
    assert server["protocolVersion"] == "2026-07-28"
    assert "tools" in server["capabilities"]


def test_tools_are_listed_and_called(connect, modern, mode):
    session = connect(modern.url, mode=mode)
    assert {"echo", "weather"} <= {tool["name"] for tool in session.list_tools()}
    assert session.text("echo", message="Grüße 🦀") == "Grüße 🦀"
    result = session.call("weather", city="Oslo")
    assert result["structuredContent"] == {"city": "Oslo", "temperature": 21.5, "conditions": "sunny"}


def test_prompts_and_resources_are_fetched(connect, modern, mode):
    session = connect(modern.url, mode=mode)
    prompt = session.get_prompt(name="greet", arguments={"name": "Ada", "style": "brief"})
    assert prompt["messages"][0]["content"]["text"] == "Write a brief greeting for Ada."
    assert "Grüße" in session.read_resource(uri="fixture://note")["contents"][0]["text"]


def test_tool_error_is_a_result(connect, modern, mode):
    assert connect(modern.url, mode=mode).call("fail", message="broken")["isError"] is True


def test_progress_arrives(connect, modern):
    answer = connect(modern.url, mode="auto").call_tool(name="slow", arguments={"steps": 3})
    assert [report["progress"] for report in answer["progress"]] == [1, 2, 3]


def test_fifty_calls_at_once_are_not_mixed_up(connect, modern):
    calls = [{"name": "echo", "arguments": {"message": f"call {i}", "delay_ms": i * 7 % 31}} for i in range(50)]
    results = connect(modern.url, mode="auto").call_many(calls=calls)
    assert [result["content"][0]["text"] for result in results] == [f"call {i}" for i in range(50)]


def test_newest_client_calls_a_server_of_the_older_revision(connect, target):
    assert connect(target.url, mode="auto").text("echo", message="across revisions") == "across revisions"
