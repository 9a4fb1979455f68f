"""The base class: hooks by names, endpoints by marks, answers."""

import asyncio

import pytest

from mortise_sdk import Change, Config, Context, EndpointRequest, Plugin, Response, block, change, endpoint
from mortise_sdk.endpoints import endpoint_for


class Both(Plugin):
    name = "both"

    def tool_pre_invoke(self, payload, context):
        return change({"args": {"seen": payload["name"]}})

    async def http_pre_request(self, payload, context):
        return "nonsense"

    @endpoint("/a", ["GET", "post"])
    def one(self, request: EndpointRequest, context: Context) -> Response:
        """Tells one."""
        return Response("one")

    @endpoint("/*")
    async def rest(self, request, context):
        yield b"rest"


class Less(Both):
    rest = None


def test_hooks_are_the_methods_named_after_them():
    assert Both.hooks() == ["tool_pre_invoke", "http_pre_request"]


def test_endpoints_are_the_marked_methods_and_exact_paths_go_first():
    one, rest = Both.endpoints()
    assert (one.path, one.methods, one.stream, one.description) == ("/a", ("GET", "POST"), False, "Tells one.")
    assert rest.stream
    assert endpoint_for(Both.endpoints(), "GET", "/a").method == "one"
    assert endpoint_for(Both.endpoints(), "GET", "/b").method == "rest"
    assert endpoint_for(Both.endpoints(), "DELETE", "/a") is None
    assert [one.method for one in Less.endpoints()] == ["one"]


def test_wrong_paths_and_methods_are_refused_where_they_are_written():
    for path, methods in [("a", ["GET"]), ("/../a", ["GET"]), ("/a", ["TRACE"]), ("/a", [])]:
        with pytest.raises(ValueError):
            endpoint(path, methods)


def test_answers_of_plain_and_async_methods_are_taken_and_others_are_errors():
    plugin = Both()
    answer = asyncio.run(plugin.call("tool_pre_invoke", {"name": "search"}, Context()))
    assert answer == Change({"args": {"seen": "search"}})
    with pytest.raises(TypeError, match="return nothing"):
        asyncio.run(plugin.call("http_pre_request", {}, Context()))


def test_configuration_is_texts_with_values_behind_them():
    config = Config.of({"name": "a", "limit": 5, "list": [1], "quoted": "[1"})
    assert (config["limit"], config.value("limit"), config.value("list")) == ("5", 5, [1])
    assert (config.value("name"), config.value("quoted"), config.value("none", 7)) == ("a", "[1", 7)


def test_block_takes_text_as_body():
    blocked = block("no", status=404, body="é")
    assert (blocked.body, blocked.description) == ("é".encode(), "no")
