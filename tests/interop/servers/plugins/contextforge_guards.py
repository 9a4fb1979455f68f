"""A plugin as ContextForge's own template for 0.9 has it."""

from mcpgateway.plugins.framework import (
    Plugin,
    PluginConfig,
    PluginContext,
    PluginViolation,
    ToolPostInvokePayload,
    ToolPostInvokeResult,
    ToolPreInvokePayload,
    ToolPreInvokeResult,
)


class Guard(Plugin):
    """Blocks a word, and says after a call what was asked before it."""

    def __init__(self, config: PluginConfig):
        super().__init__(config)
        self.word = config.config["word"]

    async def tool_pre_invoke(self, payload: ToolPreInvokePayload, context: PluginContext) -> ToolPreInvokeResult:
        message = (payload.args or {}).get("message", "")
        if self.word in message:
            violation = PluginViolation(reason="forbidden word", description="not here", code="ELDER", details={})
            return ToolPreInvokeResult(continue_processing=False, violation=violation)
        context.state["asked"] = message
        return ToolPreInvokeResult(continue_processing=True)

    async def tool_post_invoke(self, payload: ToolPostInvokePayload, context: PluginContext) -> ToolPostInvokeResult:
        said = f"{payload.result['content'][0]['text']} (asked {context.state.get('asked')})"
        result = {**payload.result, "content": [{"type": "text", "text": said}], "structuredContent": {"result": said}}
        changed = ToolPostInvokePayload(name=payload.name, result=result)
        return ToolPostInvokeResult(continue_processing=True, modified_payload=changed)
