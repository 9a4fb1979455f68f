"""For authors of plugins: one class, served as a process of the gateway or over MCP.

A plugin is a subclass of :class:`Plugin` with a method for each hook it has, by the hook's name. What the method returns
is what the plugin decides: nothing lets the call pass, :func:`block` refuses it, :func:`change` changes it. Methods marked
with :func:`endpoint` serve HTTP under ``/plugins/SLUG/``.

    from mortise_sdk import Plugin, block
    from mortise_sdk.process import serve

    class NoShell(Plugin):
        name = "no-shell"

        def http_pre_request(self, payload, context):
            if payload["path"].startswith("/shell"):
                return block("no shells here", status=404)

    serve(NoShell)
"""

from .answers import Block, Change, Response, block, change
from .context import Context, Events, HostError, Log, Values
from .endpoints import EndpointRequest, endpoint
from .plugin import Config, Plugin

__all__ = [
    "Block",
    "Change",
    "Config",
    "Context",
    "EndpointRequest",
    "Events",
    "HostError",
    "Log",
    "Plugin",
    "Response",
    "Values",
    "block",
    "change",
    "endpoint",
]
