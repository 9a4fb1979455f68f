"""Python classes as plugins, with the framework package of their authors installed: real cpex."""

import textwrap

import pytest
from harness.gateway import Gateway
from harness.processes import REPOSITORY

CPEX = REPOSITORY / ".venv" / "cpex" / "bin" / "python"

# Every way in which a plugin of the newest framework acts: frozen payloads, new ones handed back, a decorated hook,
# state from hook to hook, a violation returned and one raised, an exception.
GUARD = """
    import os
    import cpex
    from cpex.framework import (
        Plugin, PluginConfig, PluginContext, PluginViolation, PluginViolationError, PromptPosthookPayload,
        PromptPosthookResult, ResourcePostFetchPayload, ResourcePostFetchResult, ToolHookType, ToolPostInvokePayload,
        ToolPostInvokeResult, ToolPreInvokePayload, ToolPreInvokeResult, hook,
    )
    from pydantic import BaseModel

    class Settings(BaseModel):
        word: str

    class Guard(Plugin):
        def __init__(self, config: PluginConfig):
            super().__init__(config)
            self.settings = Settings.model_validate(config.config)

        @hook(ToolHookType.TOOL_PRE_INVOKE)
        async def before(self, payload: ToolPreInvokePayload, context: PluginContext) -> ToolPreInvokeResult:
            message = (payload.args or {}).get("message", "").removesuffix(" (first)")
            if message == "block":
                violation = PluginViolation(reason="No", description="not this", code="CPEX_BLOCK", details={"a": 1})
                return ToolPreInvokeResult(continue_processing=False, violation=violation)
            if message == "raise violation":
                raise PluginViolationError("no", PluginViolation(reason="r", description="d", code="CPEX_RAISED"))
            if message == "raise":
                raise ValueError("boom")
            if message == "exit":
                os._exit(9)
            context.state["asked"] = message
            context.state["first"] = payload.args.get("message") != message
            args = {**(payload.args or {}), "message": message.replace(self.settings.word, "****")}
            changed = ToolPreInvokePayload(name=payload.name, args=args, headers=payload.headers)
            return ToolPreInvokeResult(modified_payload=changed)

        async def tool_post_invoke(self, payload: ToolPostInvokePayload, context: PluginContext):
            result = dict(payload.result)
            where = "real" if "site-packages" in cpex.__file__ else "stand-in"
            state = context.state
            text = f"{result['content'][0]['text']} | asked {state['asked']} | first: {state['first']} | {where}"
            result["content"] = [{**result["content"][0], "text": text}]
            return ToolPostInvokeResult(modified_payload=payload.model_copy(update={"result": result}))

        async def prompt_post_fetch(self, payload: PromptPosthookPayload, context) -> PromptPosthookResult:
            changed = payload.model_copy(deep=True)
            for message in changed.result.messages:
                message.content.text = message.content.text.upper()
            return PromptPosthookResult(modified_payload=changed)

        async def resource_post_fetch(self, payload: ResourcePostFetchPayload, context) -> ResourcePostFetchResult:
            content = payload.content.model_copy(update={"text": payload.content.text.upper()})
            return ResourcePostFetchResult(modified_payload=payload.model_copy(update={"content": content}))
"""

# The first generation's imports, where only the newest framework is installed: the stand-in steps in beside it.
FIRST = """
    from mcpgateway.plugins.framework import Plugin, PluginContext, ToolPreInvokePayload

    class First(Plugin):
        async def tool_pre_invoke(self, payload: ToolPreInvokePayload, context: PluginContext):
            payload.args["message"] += " (first)"
"""


@pytest.fixture(scope="module")
def python_gateway(stage, tmp_path_factory):
    """A gateway with both classes, run by the interpreter that has cpex."""
    assert CPEX.exists(), f"{CPEX} is missing: run `make setup`"
    directory = tmp_path_factory.mktemp("python-plugins")
    for name, text in (("guard.py", GUARD), ("first.py", FIRST)):
        (directory / "plugins").mkdir(exist_ok=True)
        (directory / "plugins" / name).write_text(textwrap.dedent(text))
    hooks = ["tool_pre_invoke", "tool_post_invoke", "prompt_post_fetch", "resource_post_fetch"]
    guard = {"name": "guard", "kind": "plugins.guard.Guard", "hooks": hooks, "priority": 2}
    gateway = Gateway(
        directory,
        {
            "upstreams": {"fastmcp": stage.upstream_config("fastmcp", "http")},
            "plugin_dirs": ["plugins"],
            "plugin_settings": {"python": {"interpreter": str(CPEX)}, "circuit_breaker_enabled": False},
            "plugins": [
                {"name": "first", "kind": "first.First", "hooks": ["tool_pre_invoke"], "priority": 1},
                {**guard, "config": {"word": "secret"}},
            ],
        },
    )
    yield gateway
    gateway.stop()


pytestmark = pytest.mark.clients("python-sdk-1")


def test_call_is_changed_on_both_ways_by_the_installed_framework(connect, python_gateway):
    text = connect(python_gateway.url).text("echo", message="a secret")
    assert text == "a **** | asked a secret | first: True | real"


@pytest.mark.parametrize(("message", "code"), [("block", "CPEX_BLOCK"), ("raise violation", "CPEX_RAISED")])
def test_violations_block_returned_or_raised(connect, python_gateway, message, code):
    result = connect(python_gateway.url).call("echo", message=message)
    assert result["isError"] is True, result
    assert f"blocked by plugin guard: {code}" in result["content"][0]["text"]


def test_exception_is_an_error_and_the_next_call_goes_on(connect, python_gateway):
    session = connect(python_gateway.url)
    result = session.call("echo", message="raise")
    assert "PLUGIN_ERROR" in result["content"][0]["text"] and result["isError"] is True
    assert "real" in session.text("echo", message="on")


def test_end_of_the_worker_costs_the_call_inside(connect, python_gateway):
    session = connect(python_gateway.url)
    assert "PLUGIN_UNAVAILABLE" in session.call("echo", message="exit")["content"][0]["text"]
    assert "real" in session.text("echo", message="back")


def test_prompts_and_resources_have_the_objects_of_the_framework(connect, python_gateway):
    session = connect(python_gateway.url)
    messages = session.get_prompt(name="contact_prompt", arguments={})["messages"]
    assert messages[0]["content"]["text"].isupper()
    content = session.read_resource(uri="fixture://note")["contents"][0]
    assert content["text"].isupper()
