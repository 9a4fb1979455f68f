"""Plugin classes of our own for cpex plugin servers: each does one thing that a test can see from outside."""

from cpex.framework import (
    Plugin,
    PluginContext,
    PluginViolation,
    PromptPrehookPayload,
    PromptPrehookResult,
    ToolPostInvokePayload,
    ToolPostInvokeResult,
    ToolPreInvokePayload,
    ToolPreInvokeResult,
)


class Blocker(Plugin):
    """Blocks what mentions a word."""

    async def tool_pre_invoke(self, payload: ToolPreInvokePayload, context: PluginContext) -> ToolPreInvokeResult:
        word = (self._config.config or {}).get("word", "forbidden")
        if word in str(payload.args):
            violation = PluginViolation(
                reason="forbidden word", description=f"{word} is not allowed", code="WORD", details={"word": word}
            )
            return ToolPreInvokeResult(continue_processing=False, violation=violation)
        if "explode" in str(payload.args):
            raise ValueError("boom")
        return ToolPreInvokeResult(continue_processing=True)

    async def prompt_pre_fetch(self, payload: PromptPrehookPayload, context: PluginContext) -> PromptPrehookResult:
        args = {**(payload.args or {}), "name": f"{payload.prompt_id}-guest"}
        changed = PromptPrehookPayload(prompt_id=payload.prompt_id, args=args)
        return PromptPrehookResult(continue_processing=True, modified_payload=changed)


class Stateful(Plugin):
    """Remembers in the pre hook what it was asked, and says so in the post hook."""

    async def tool_pre_invoke(self, payload: ToolPreInvokePayload, context: PluginContext) -> ToolPreInvokeResult:
        context.state["asked"] = (payload.args or {}).get("message")
        context.global_context.state["seen_by"] = self.name
        args = {**(payload.args or {}), "message": f"<{(payload.args or {}).get('message')}>"}
        changed = ToolPreInvokePayload(name=payload.name, args=args, headers=payload.headers)
        return ToolPreInvokeResult(continue_processing=True, modified_payload=changed)

    async def tool_post_invoke(self, payload: ToolPostInvokePayload, context: PluginContext) -> ToolPostInvokeResult:
        result = dict(payload.result)
        text = result["content"][0]["text"]
        said = f"{text} (asked {context.state.get('asked')}, seen by {context.global_context.state.get('seen_by')})"
        result["content"] = [{"type": "text", "text": said}]
        # The tool promises structured content.
        result["structuredContent"] = {"result": said}
        changed = ToolPostInvokePayload(name=payload.name, result=result)
        return ToolPostInvokeResult(continue_processing=True, modified_payload=changed)
