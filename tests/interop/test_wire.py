"""What passes on the wire, byte by byte: plain HTTP clients, versions, unknown fields, large numbers."""

import json
import subprocess

import httpx
import pytest

ACCEPT = {"accept": "application/json, text/event-stream"}


def exact(text: str):
    """JSON with every number as its own text, so that none is rounded."""
    return json.loads(text, parse_int=lambda n: f"int:{n}", parse_float=lambda n: f"float:{n}")


def body_of(response: httpx.Response) -> str:
    """The one message of an answer, which may come as JSON or as an event stream."""
    if response.headers["content-type"].startswith("text/event-stream"):
        lines = [line.removeprefix("data:").strip() for line in response.text.splitlines() if line.startswith("data:")]
        return [line for line in lines if line][-1]
    return response.text


def post(url: str, message: dict | str, **headers) -> httpx.Response:
    """Posts a JSON-RPC message as it stands."""
    content = message if isinstance(message, str) else json.dumps(message)
    return httpx.post(url, content=content, headers={"content-type": "application/json", **ACCEPT, **headers}, timeout=30)


def initialize(version: str) -> dict:
    """The first message of a session."""
    params = {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "plain", "version": "1"}}
    return {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}


def call(name: str, arguments: dict, id=7) -> dict:
    """A tools/call message."""
    return {"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": name, "arguments": arguments}}


@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"])
def test_each_version_is_spoken(target, version):
    result = json.loads(body_of(post(target.url, initialize(version))))["result"]
    assert result["protocolVersion"] == version


def test_unknown_version_is_answered_with_a_known_one(target):
    result = json.loads(body_of(post(target.url, initialize("1999-01-01"))))["result"]
    assert result["protocolVersion"] in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"]


def test_session_lives_from_initialize_to_delete(target):
    opened = post(target.url, initialize("2025-06-18"))
    session = {"mcp-session-id": opened.headers["mcp-session-id"], "mcp-protocol-version": "2025-06-18"}
    ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    assert post(target.url, ready, **session).status_code == 202
    assert "hello" in body_of(post(target.url, call("echo", {"message": "hello"}), **session))
    assert httpx.delete(target.url, headers={**ACCEPT, **session}).status_code in (200, 202, 204)
    assert post(target.url, call("echo", {"message": "late"}), **session).status_code == 404


def test_unknown_session_is_not_found(target):
    answer = post(target.url, call("echo", {"message": "?"}), **{"mcp-session-id": "no-such-session"})
    assert answer.status_code == 404


def test_broken_json_is_refused_as_such(target):
    answer = post(target.url, '{"jsonrpc": "2.0", "id": 1, ')
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == -32700


# Exact bytes.


def test_result_comes_back_number_by_number_with_unknown_fields(raw):
    answer = exact(body_of(post(raw.url, call("raw", {}))))
    assert answer["result"] == exact(result_of_raw_server())
    assert answer["id"] == "int:7"


def result_of_raw_server() -> str:
    """The text that the server of exact bytes answers a tool call with."""
    from servers.raw_server import RESULT

    return RESULT


def test_request_arrives_number_by_number_with_unknown_fields(raw, stage):
    token = f"token-{id(object())}"
    params = (
        '{"name":"raw","arguments":{"token":"%s","big":9223372036854775808123,"float":0.1000000000000000055511,'
        '"deep":{"null":null,"list":[1E+400,{}]}},"x-vendor":{"a":18446744073709551616},"task":{"ttl":60000}}' % token
    )
    post(raw.url, '{"jsonrpc":"2.0","id":8,"method":"tools/call","params":%s}' % params)
    seen = httpx.get(stage.upstream("raw").removesuffix("/mcp") + "/seen").json()
    [body] = [body for body in seen if token in body]
    arrived = exact(body)["params"]
    arrived.get("_meta", {}).pop("progressToken", None)
    if not arrived.get("_meta", True):
        del arrived["_meta"]
    assert arrived == exact(params)


def test_unknown_fields_of_a_tool_survive(raw):
    answer = exact(body_of(post(raw.url, {"jsonrpc": "2.0", "id": 1, "method": "tools/list"})))
    [tool] = answer["result"]["tools"]
    assert tool["x-vendor"] == {"rank": "int:18446744073709551616"}
    assert tool["execution"] == {"taskSupport": "optional"}


def test_unknown_method_goes_on_to_the_upstream(raw):
    request = {"jsonrpc": "2.0", "id": 1, "method": "vendor/thing", "params": {"x": 1}}
    answer = exact(body_of(post(raw.url, request)))
    assert answer["result"] == {"vendor": "answer", "big": "int:9223372036854775808123"}


def test_error_of_the_upstream_comes_back_whole(raw):
    answer = json.loads(body_of(post(raw.url, {"jsonrpc": "2.0", "id": 1, "method": "vendor/other"})))
    assert answer["error"] == {"code": -32601, "message": "Method not found", "data": {"vendor": 1}}


@pytest.mark.parametrize("id", ["a string", "", 0, -5, 9007199254740993, 2**62])
def test_request_id_comes_back_as_it_was(raw, id):
    assert json.loads(body_of(post(raw.url, call("raw", {}, id))))["id"] == id


# Without a session: only the gateway promises this for every upstream.


@pytest.fixture(params=["http", "stdio"])
def behind(stage, request):
    """Our FastMCP server, which itself insists on sessions, behind the gateway."""
    return stage.target("fastmcp", request.param)


def test_tool_is_called_without_a_session(behind):
    answer = json.loads(body_of(post(behind.url, call("echo", {"message": "no session"}))))
    assert answer["result"]["content"][0]["text"] == "no session"


def test_tool_is_called_with_plain_curl(behind):
    command = ["curl", "-sS", "--max-time", "30", behind.url, "-H", "content-type: application/json"]
    command += ["-d", json.dumps(call("echo", {"message": "curl"}))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["result"]["content"][0]["text"] == "curl"


def test_foreign_origin_is_refused(behind):
    answer = post(behind.url, call("echo", {"message": "x"}), origin="https://evil.example")
    assert answer.status_code == 403


def test_health_and_readiness_are_told(behind):
    assert httpx.get(f"{behind.base}/health").status_code == 200
    assert httpx.get(f"{behind.base}/ready").status_code == 200
