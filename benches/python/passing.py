"""A plugin of the Python framework that lets every call pass, for its plugin server under measurement."""

from cpex.framework import Plugin, PluginContext, ToolPreInvokePayload, ToolPreInvokeResult


class Passing(Plugin):
    """Looks at nothing."""

    async def tool_pre_invoke(self, payload: ToolPreInvokePayload, context: PluginContext) -> ToolPreInvokeResult:
        return ToolPreInvokeResult(continue_processing=True)
