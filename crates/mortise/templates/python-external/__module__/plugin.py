"""What the plugin decides. How it is served is `server.py`.

A hook is a method of its name. It is given the payload and the plugin's context, and answers `passed()`, `blocked(...)`
or `changed(payload)`. What it leaves in `context["state"]` is there again in the hook after.
"""

import os
from dataclasses import dataclass
from typing import Any

Answer = dict[str, Any]


def passed() -> Answer:
    """The call goes on as it is."""
    return {"continue_processing": True}


def changed(payload: dict[str, Any]) -> Answer:
    """The call goes on with this payload."""
    return {"continue_processing": True, "modified_payload": payload}


def blocked(code: str, reason: str, description: str) -> Answer:
    """The call must not go on."""
    violation = {"code": code, "reason": reason, "description": description, "details": {}}
    return {"continue_processing": False, "violation": violation}


@dataclass
class Plugin:
    """{{about}}"""

    word: str = "secret"
    replacement: str = "******"
    blocked_tools: tuple[str, ...] = ("delete_everything",)

    @classmethod
    def from_env(cls) -> "Plugin":
        """Set up by variables, which `.env.template` lists."""
        tools = os.environ.get("PLUGIN_BLOCKED_TOOLS", ",".join(cls.blocked_tools))
        return cls(
            word=os.environ.get("PLUGIN_WORD", cls.word),
            replacement=os.environ.get("PLUGIN_REPLACEMENT", cls.replacement),
            blocked_tools=tuple(name.strip() for name in tools.split(",")),
        )

    async def tool_pre_invoke(self, payload: dict[str, Any], context: dict[str, Any]) -> Answer:
        """Before a tool is called."""
        if payload["name"] in self.blocked_tools:
            return blocked("TOOL_BLOCKED", "this tool is not allowed", f"`{payload['name']}` is switched off here")
        return passed()

    async def tool_post_invoke(self, payload: dict[str, Any], context: dict[str, Any]) -> Answer:
        """After a tool has answered."""
        result = payload["result"]
        parts = result.get("content", []) if isinstance(result, dict) else []
        texts = [part for part in parts if self.word and self.word in str(part.get("text", ""))]
        for part in texts:
            part["text"] = part["text"].replace(self.word, self.replacement)
        return changed(payload) if texts else passed()
