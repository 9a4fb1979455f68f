"""Stands in for the framework package where it is not installed.

A finder at the end of the import path, so whatever is installed comes first. It makes the modules that plugins of any
generation import from, all with the same names in them: `from mcpgateway.plugins.framework.models import PluginMode`
and `from cpex.framework import PluginMode` give one thing.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import logging
import sys

from . import framework

#: Roots of the framework, by generation.
ROOTS = ("mcpgateway.plugins.framework", "cpex.framework")

_BELOW = (
    "base",
    "constants",
    "decorator",
    "errors",
    "extensions",
    "extensions.extensions",
    "hooks",
    "hooks.agents",
    "hooks.http",
    "hooks.policies",
    "hooks.prompts",
    "hooks.registry",
    "hooks.resources",
    "hooks.tools",
    "memory",
    "models",
    "plugin_types",
    "plugin_types.prompts",
    "plugin_types.resources",
    "plugin_types.tools",
    "settings",
    "utils",
)


class LoggingService:
    """Gives loggers, as the gateway's service does."""

    async def initialize(self):
        """Begins."""

    async def shutdown(self):
        """Ends."""

    def get_logger(self, name):
        """A logger of that name."""
        return logging.getLogger(name)


_FRAMEWORK = {name: value for name, value in vars(framework).items() if not name.startswith("_")}
_CONTENT = ("Role", "TextContent", "ImageContent", "ResourceContent", "Message", "PromptResult")
_MODELS = {name: getattr(framework, name) for name in _CONTENT}
_LOGGING = {"LoggingService": LoggingService}

#: What each module holds.
MODULES = {
    **{f"{root}.{below}": _FRAMEWORK for root in ROOTS for below in _BELOW},
    **dict.fromkeys(ROOTS, _FRAMEWORK),
    **dict.fromkeys(("mcpgateway", "mcpgateway.plugins", "mcpgateway.common", "mcpgateway.services", "cpex"), {}),
    **dict.fromkeys(("mcpgateway.models", "mcpgateway.common.models"), _MODELS),
    "mcpgateway.services.logging_service": _LOGGING,
}


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the modules of the framework that nobody has installed."""

    def find_spec(self, name, path=None, target=None):
        """The module, where it is one that this stands in for."""
        if name not in MODULES:
            return None
        return importlib.machinery.ModuleSpec(name, self, origin="mortise", is_package=True)

    def create_module(self, spec):
        """The usual kind of module."""

    def exec_module(self, module):
        """Fills the module, and lets it say what is missing."""
        name = module.__name__
        vars(module).update(MODULES[name])
        module.__all__ = sorted(MODULES[name])
        module.__mortise__ = True

        def missing(attribute):
            raise AttributeError(
                f"{attribute!r} is not part of what stands in for {name}; install the framework package itself "
                f"(pip install cpex, or mcp-contextforge-gateway)"
            )

        module.__getattr__ = missing


def install():
    """Adds the finder, once."""
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.append(Finder())
