"""The one base class, whatever serves it."""

import asyncio
import inspect
import json
from collections.abc import Mapping
from typing import Any, ClassVar

from .answers import Block, Change
from .context import Context
from .endpoints import Endpoint, endpoints_of

HOOKS = (
    "prompt_pre_fetch",
    "prompt_post_fetch",
    "tool_pre_invoke",
    "tool_post_invoke",
    "resource_pre_fetch",
    "resource_post_fetch",
    "agent_pre_invoke",
    "agent_post_invoke",
    "http_pre_request",
    "http_auth_resolve_user",
    "auth_post_check",
    "http_auth_check_permission",
    "http_pre_forwarding_call",
    "http_post_forwarding_call",
    "http_post_request",
    "llm_input",
    "llm_output",
    "record_proxy_log",
    "record_analytics",
    "record_budget_usage",
)
"""Every hook a method can be named after."""


class Config(dict[str, str]):
    """A plugin's configuration. A gateway gives a process texts only, so every value is one here."""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Config":
        """The same texts of any values."""
        texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}
        return cls(texts)

    def value(self, key: str, default: Any = None) -> Any:
        """The value behind a text that is JSON (`5`, `true`, `["a"]`); a text that is none is itself."""
        if key not in self:
            return default
        try:
            return json.loads(self[key])
        except ValueError:
            return self[key]


class Plugin:
    """A plugin: hooks by their names, and endpoints.

    A hook's method takes the payload (a dict as the hook's schema has it) and a :class:`Context`, and may be `async`; one
    that is not runs in a thread, so it may wait but must not touch what others touch unguarded.
    """

    name: ClassVar[str] = "plugin"
    version: ClassVar[str] = "1.0.0"
    description: ClassVar[str] = ""
    id: ClassVar[str] = ""
    """Reverse domain name; made of the name unless set."""
    services: ClassVar[tuple[str, ...]] = ()
    """What the plugin may ask of the gateway: `kv.readwrite`, …"""
    config_schema: ClassVar[Mapping[str, Any]] = {}

    def __init__(self) -> None:
        self.config = Config()

    def start(self) -> Any:
        """Called once, before anything else, with `self.config` set. What it raises ends the start. May be `async`."""

    def stop(self) -> Any:
        """Called once, after the last call. May be `async`."""

    @classmethod
    def hooks(cls) -> list[str]:
        """The hooks there are methods for."""
        return [hook for hook in HOOKS if callable(getattr(cls, hook, None))]

    @classmethod
    def endpoints(cls) -> list[Endpoint]:
        """Its endpoints."""
        return endpoints_of(cls)

    async def call(self, hook: str, payload: dict[str, Any], context: Context) -> Block | Change | None:
        """Asks the method of a hook."""
        answer = await run(getattr(self, hook), payload, context)
        if answer is None or isinstance(answer, (Block, Change)):
            return answer
        raise TypeError(f"{hook} returned {type(answer).__name__}: return nothing, block(…) or change(…)")


async def run(function: Any, *arguments: Any) -> Any:
    """Calls a function that is `async`, or in a thread one that is not."""
    if inspect.iscoroutinefunction(function):
        return await function(*arguments)
    answer = await asyncio.to_thread(function, *arguments)
    return await answer if inspect.isawaitable(answer) else answer
