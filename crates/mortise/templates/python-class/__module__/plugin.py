"""{{about}}"""

from mcpgateway.plugins.framework import (
    Plugin,
    PluginViolation,
    ToolPostInvokePayload,
    ToolPostInvokeResult,
    ToolPreInvokePayload,
    ToolPreInvokeResult,
)


class {{plugin}}(Plugin):
    """A hook is a method of its name."""

    def __init__(self, config):
        super().__init__(config)
        settings = config.config or {}
        self.word = settings.get("word", "secret")
        self.replacement = settings.get("replacement", "******")
        self.blocked_tools = settings.get("blocked_tools", ["delete_everything"])

    async def tool_pre_invoke(self, payload: ToolPreInvokePayload, context) -> ToolPreInvokeResult:
        """Before a tool is called."""
        if payload.name in self.blocked_tools:
            description = f"`{payload.name}` is switched off here"
            violation = PluginViolation(reason="this tool is not allowed", description=description, code="TOOL_BLOCKED", details={})
            return ToolPreInvokeResult(continue_processing=False, violation=violation)
        return ToolPreInvokeResult()

    async def tool_post_invoke(self, payload: ToolPostInvokePayload, context) -> ToolPostInvokeResult:
        """After a tool has answered."""
        result = payload.result
        parts = result.get("content", []) if isinstance(result, dict) else []
        texts = [part for part in parts if self.word in str(part.get("text", ""))]
        for part in texts:
            part["text"] = part["text"].replace(self.word, self.replacement)
        if not texts:
            return ToolPostInvokeResult()
        return ToolPostInvokeResult(modified_payload=ToolPostInvokePayload(name=payload.name, result=result))
