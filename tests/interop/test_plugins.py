"""What clients see of plugins: masked, replaced and blocked, with the name and the code of the plugin."""

import pytest
from harness.peers import RpcError

GUARDED = ["http-5-plugins", "stdio-5-plugins"]
MASKED = "a***e@example.com"


@pytest.fixture(params=GUARDED)
def guarded(stage, request):
    """Our FastMCP server behind the gateway with five plugins."""
    return stage.target("fastmcp", request.param)


def test_email_in_a_tool_result_is_masked(connect, guarded):
    assert connect(guarded.url).text("contact") == f"Write to {MASKED} for help."


def test_email_in_structured_content_is_masked_in_both_places(connect, guarded):
    result = connect(guarded.url).call("contact_structured")
    assert result["structuredContent"] == {"name": "Alice", "email": MASKED}
    assert MASKED in result["content"][0]["text"]
    assert "alice@" not in str(result)


def test_email_in_a_prompt_is_masked(connect, guarded):
    messages = connect(guarded.url).get_prompt(name="contact_prompt", arguments={})["messages"]
    assert messages[0]["content"]["text"] == f"Write a letter to {MASKED}."


def test_email_in_a_resource_is_masked(connect, guarded):
    text = connect(guarded.url).read_resource(uri="fixture://note")["contents"][0]["text"]
    assert MASKED in text and "alice@" not in text


def test_blocked_call_is_an_error_result_that_names_plugin_and_code(connect, guarded):
    result = connect(guarded.url).call("run_sql", query="DROP TABLE users")
    assert result["isError"] is True
    text = result["content"][0]["text"]
    assert text.startswith("tool_pre_invoke blocked by plugin Sql: SQL_SANITIZER - ")
    assert "ran:" not in text


def test_call_that_no_plugin_minds_goes_through(connect, guarded):
    assert connect(guarded.url).text("run_sql", query="SELECT 1") == "ran: SELECT 1"


def test_replacement_reaches_the_upstream(connect, guarded):
    assert connect(guarded.url).text("echo", message="please colour-me") == "please coloured"


def test_blocked_prompt_is_an_error_that_names_plugin_and_code(connect, guarded):
    with pytest.raises(RpcError) as refused:
        connect(guarded.url).get_prompt(name="greet", arguments={"name": "Forbidden-Word"})
    assert refused.value.code == -32602
    assert refused.value.data["plugin_name"] == "Deny"
    assert refused.value.data["plugin_error_code"] == "deny"


def test_session_goes_on_after_a_block(connect, guarded):
    session = connect(guarded.url)
    for _ in range(3):
        assert session.call("run_sql", query="TRUNCATE users")["isError"] is True
        assert session.text("echo", message="on") == "on"
