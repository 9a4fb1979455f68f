"""What every client library sees of an MCP server, directly and through the gateway."""

import json

import pytest
from harness.peers import RpcError

EMAIL = "alice@example.com"
MASKED = "a***e@example.com"


def expected_email(target) -> str:
    """What a client sees of the address: the five plugins mask it."""
    return MASKED if target.plugins else EMAIL


def test_client_and_server_agree_on_a_version(connect, target):
    session = connect(target.url)
    assert session.server["protocolVersion"] == "2025-11-25"
    assert session.server["serverInfo"]["name"]
    for offer in ["tools", "prompts", "resources"]:
        assert offer in session.server["capabilities"]


def test_ping_is_answered(connect, target):
    assert connect(target.url).ping() == {}


def test_tools_are_listed_with_their_schemas(connect, target):
    tools = {tool["name"]: tool for tool in connect(target.url).list_tools()}
    assert {"echo", "slow", "fail", "weather"} <= tools.keys()
    assert tools["echo"]["inputSchema"]["required"] == ["message"]
    assert tools["echo"]["description"] == "Gives the message back, after the delay."
    assert set(tools["weather"]["outputSchema"]["properties"]) == {"city", "temperature", "conditions"}


def test_tool_is_called_and_answers(connect, target):
    assert connect(target.url).text("echo", message="hello") == "hello"


@pytest.mark.parametrize("text", ["Grüße", "世界 🦀", "e\u0301 é", "\u202eRTL\u202c", "a\nb\t\"quoted\"\\", "", "x" * 100_000])
def test_text_arrives_unchanged(connect, target, text):
    limit = 100_000
    assert connect(target.url).text("echo", message=text) == text[:limit]


def test_structured_content_arrives_with_its_types(connect, target):
    result = connect(target.url).call("weather", city="Zürich")
    assert result["structuredContent"] == {"city": "Zürich", "temperature": 21.5, "conditions": "sunny"}


def test_nested_arguments_come_back_unchanged(connect, target):
    value = {"list": [1, 2.5, None, True, {"k": "v"}], "empty": {}, "none": None, "ключ": "значение", "a.b/c": [[]]}
    assert connect(target.url).call("echo_arguments", value=value)["structuredContent"] == value


def test_every_content_type_arrives(connect, target):
    result = connect(target.url).call("many_contents")
    assert [block["type"] for block in result["content"]] == ["text", "image", "resource"]
    assert result["content"][1]["data"] == "aGVsbG8="
    assert result["content"][2]["resource"]["text"] == "embedded"
    assert result["_meta"]["fixture/trace"] == "abc"


def test_tool_error_is_a_result_with_its_text(connect, target):
    result = connect(target.url).call("fail", message="it broke: ß")
    assert result["isError"] is True
    assert "it broke: ß" in result["content"][0]["text"]


def test_unknown_tool_is_refused(connect, target):
    session = connect(target.url)
    try:
        assert session.call("no_such_tool")["isError"] is True
    except RpcError as error:
        assert error.code == -32602
    assert session.text("echo", message="still here") == "still here"


def test_prompts_are_listed_with_their_arguments(connect, target):
    prompts = {prompt["name"]: prompt for prompt in connect(target.url).list_prompts()}
    arguments = {a["name"]: a.get("required", False) for a in prompts["greet"]["arguments"]}
    assert arguments == {"name": True, "style": False}


def test_prompt_is_rendered_with_its_arguments(connect, target):
    result = connect(target.url).get_prompt(name="greet", arguments={"name": "Zoë", "style": "brief"})
    assert result["messages"][0]["content"]["text"] == "Write a brief greeting for Zoë."


def test_unknown_prompt_is_an_error(connect, target):
    with pytest.raises(RpcError):
        connect(target.url).get_prompt(name="no_such_prompt", arguments={})


def test_resources_and_templates_are_listed(connect, target):
    session = connect(target.url)
    assert {"fixture://note", "fixture://blob"} <= {r["uri"] for r in session.list_resources()}
    assert "fixture://items/{item_id}" in {t["uriTemplate"] for t in session.list_resource_templates()}


def test_text_resource_is_read(connect, target):
    contents = connect(target.url).read_resource(uri="fixture://note")["contents"]
    assert contents[0]["mimeType"] == "text/plain"
    assert f"Ask {expected_email(target)}. Grüße, 世界, 🦀" in contents[0]["text"]


def test_binary_resource_arrives_byte_for_byte(connect, target):
    import base64

    contents = connect(target.url).read_resource(uri="fixture://blob")["contents"]
    assert base64.b64decode(contents[0]["blob"]) == bytes(range(256))


def test_resource_of_a_template_is_read(connect, target):
    contents = connect(target.url).read_resource(uri="fixture://items/42")["contents"]
    assert json.loads(contents[0]["text"]) == {"id": "42"}


def test_unknown_resource_is_an_error(connect, target):
    with pytest.raises(RpcError):
        connect(target.url).read_resource(uri="fixture://nowhere")


def test_progress_arrives_in_order(connect, target):
    answer = connect(target.url).call_tool(name="slow", arguments={"steps": 5})
    assert [report["progress"] for report in answer["progress"]] == [1, 2, 3, 4, 5]
    assert answer["progress"][0]["message"] == "step 1"
    assert {report["total"] for report in answer["progress"]} == {5}
    assert answer["result"]["content"][0]["text"] == "done in 5 steps"


def test_cancelling_a_call_reaches_the_upstream(connect, target, request):
    session = connect(target.url)
    token = request.node.name
    session.call_and_cancel(name="wait_for_cancel", arguments={"token": token})
    assert session.call("was_cancelled", token=token)["structuredContent"] == {"result": True}


def test_log_messages_arrive_from_the_chosen_level(connect, target):
    session = connect(target.url)
    session.set_level(level="info")
    assert session.text("log_lines") == "logged"
    levels = [n["params"]["level"] for n in session.wait_for(method="notifications/message", count=2)]
    assert "info" in levels and "error" in levels


def test_server_may_ask_the_clients_model(connect, target):
    session = connect(target.url, sampling="forty-two")
    assert session.text("ask_model", question="meaning?") == "the model said: forty-two"
    asked = session.server_requests()[0]
    assert asked["method"] == "sampling/createMessage"
    assert asked["params"]["messages"][0]["content"]["text"] == "meaning?"


def test_sampling_fails_cleanly_when_the_client_offers_none(connect, target):
    session = connect(target.url)
    assert session.call("ask_model", question="meaning?")["isError"] is True
    assert session.text("echo", message="still here") == "still here"


def test_server_may_ask_the_user(connect, target):
    session = connect(target.url, elicitation={"name": "Ada", "age": 36})
    assert session.text("ask_user") == "the user is Ada, 36"
    schema = session.server_requests()[0]["params"]["requestedSchema"]
    assert set(schema["properties"]) == {"name", "age"}


def test_user_may_decline(connect, target):
    assert connect(target.url, elicitation=None).text("ask_user") == "the user answered: decline"


def test_server_may_ask_for_roots(connect, target):
    result = connect(target.url, roots=["file:///work/a", "file:///work/b"]).call("list_client_roots")
    assert result["structuredContent"] == {"result": ["file:///work/a", "file:///work/b"]}


def test_tool_that_appears_at_run_time_is_announced_and_callable(connect, target, request):
    session = connect(target.url)
    name = "grown_" + "".join(c if c.isalnum() else "_" for c in request.node.name)[-40:]
    assert name not in {tool["name"] for tool in session.list_tools()}
    assert session.text("grow", name=name) == f"added {name}"
    assert session.wait_for(method="notifications/tools/list_changed")
    assert name in {tool["name"] for tool in session.list_tools()}
    assert session.text(name) == f"I am {name}"


# What could mix them up is the gateway, whoever asks; two clients show it, and each takes seconds.
@pytest.mark.clients("python-sdk-1", "typescript")
def test_two_hundred_calls_at_once_are_not_mixed_up(connect, target):
    session = connect(target.url)
    calls = [{"name": "echo", "arguments": {"message": f"call {i}", "delay_ms": i * 7 % 31}} for i in range(200)]
    results = session.call_many(calls=calls)
    assert [result["content"][0]["text"] for result in results] == [f"call {i}" for i in range(200)]


def test_two_sessions_do_not_see_each_other(connect, target):
    first, second = connect(target.url, sampling="first"), connect(target.url, sampling="second")
    assert first.text("ask_model", question="?") == "the model said: first"
    assert second.text("ask_model", question="?") == "the model said: second"
    assert len(first.server_requests()) == len(second.server_requests()) == 1
