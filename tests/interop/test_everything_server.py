"""The official TypeScript test server, directly and through the gateway, with every client library."""

import json
import time

import pytest
from harness.peers import RpcError


def test_tools_prompts_and_resources_are_listed(connect, everything):
    session = connect(everything.url)
    assert {"echo", "get-sum", "get-structured-content"} <= {tool["name"] for tool in session.list_tools()}
    assert {"simple-prompt", "args-prompt", "completable-prompt"} <= {p["name"] for p in session.list_prompts()}
    templates = {template["uriTemplate"] for template in session.list_resource_templates()}
    assert "demo://resource/dynamic/text/{resourceId}" in templates


def test_tool_annotations_survive(connect, everything):
    tools = {tool["name"]: tool for tool in connect(everything.url).list_tools()}
    assert tools["echo"]["annotations"]["readOnlyHint"] is True
    assert tools["echo"]["title"] == "Echo Tool"


def test_tools_answer(connect, everything):
    session = connect(everything.url)
    assert session.text("echo", message="Grüße 🦀") == "Echo: Grüße 🦀"
    assert session.text("get-sum", a=2, b=3.5) == "The sum of 2 and 3.5 is 5.5."


def test_structured_content_and_text_agree(connect, everything):
    result = connect(everything.url).call("get-structured-content", location="Chicago")
    assert json.loads(result["content"][0]["text"]) == result["structuredContent"]


def test_annotated_content_survives(connect, everything):
    result = connect(everything.url).call("get-annotated-message", messageType="error", includeImage=True)
    assert result["content"][0]["annotations"]["priority"] == 1
    assert result["content"][1]["type"] == "image"


def test_invalid_arguments_are_refused(connect, everything):
    try:
        assert connect(everything.url).call("get-sum", a="two", b=3)["isError"] is True
    except RpcError as error:
        assert error.code == -32602


def test_prompt_arguments_are_completed_with_context(connect, everything):
    session = connect(everything.url)
    ref = {"type": "ref/prompt", "name": "completable-prompt"}
    first = session.complete(ref=ref, argument={"name": "department", "value": "E"})
    assert first["completion"]["values"] == ["Engineering"]
    second = session.complete(ref=ref, argument={"name": "name", "value": "A"}, context={"department": "Engineering"})
    assert second["completion"]["values"] == ["Alice"]


def test_template_arguments_are_completed(connect, everything):
    ref = {"type": "ref/resource", "uri": "demo://resource/dynamic/text/{resourceId}"}
    completion = connect(everything.url).complete(ref=ref, argument={"name": "resourceId", "value": "7"})
    assert completion["completion"]["values"] == ["7"]


def test_prompt_and_dynamic_resource_are_fetched(connect, everything):
    session = connect(everything.url)
    prompt = session.get_prompt(name="args-prompt", arguments={"city": "Oslo"})
    assert "Oslo" in prompt["messages"][0]["content"]["text"]
    contents = session.read_resource(uri="demo://resource/dynamic/text/7")["contents"]
    assert contents[0]["uri"] == "demo://resource/dynamic/text/7"


def test_logging_level_is_accepted(connect, everything):
    assert connect(everything.url).set_level(level="warning") == {}


def test_long_operation_reports_progress(connect, everything):
    answer = connect(everything.url).call_tool(
        name="trigger-long-running-operation", arguments={"duration": 0.2, "steps": 4}
    )
    assert [report["progress"] for report in answer["progress"]] == [1, 2, 3, 4]


def test_tools_that_need_a_capable_client_appear_for_one(connect, everything):
    session = connect(everything.url, sampling="sampled!", elicitation={"name": "Ada"}, roots=["file:///r"])
    # The server adds them once the session stands, and does not always say so.
    deadline = time.monotonic() + 10
    while "trigger-sampling-request" not in (names := {tool["name"] for tool in session.list_tools()}):
        assert time.monotonic() < deadline, f"only these were offered: {names}"
        time.sleep(0.05)
    assert "sampled!" in session.text("trigger-sampling-request", prompt="hi", maxTokens=10)


def test_unknown_resource_is_an_error(connect, everything):
    with pytest.raises(RpcError):
        connect(everything.url).read_resource(uri="demo://resource/dynamic/text/not-a-number")
