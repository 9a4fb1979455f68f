"""How to speak with a plugin's class: in objects of the framework it was written against.

Told by its base class: `Plugin` of an installed framework package, or of the stand-in. A class without either gets the
objects of the stand-in, which have the same fields.
"""

from __future__ import annotations

import importlib
import json

from . import framework, plain, shim


class StandIn:
    """The stand-in: objects may be changed in place."""

    base = framework.Plugin

    def config(self, values):
        """The plugin's entry."""
        return framework.PluginConfig(**values)

    def payload(self, hook, values):
        """What a hook is about, and whether it may be changed in place."""
        kind = framework.get_hook_registry().get_payload_type(hook)
        if kind is None or not isinstance(values, dict):
            kind = framework.AnyPayload
            values = values if isinstance(values, dict) else {"value": values}
        return kind(**values), True

    def context(self, values):
        """The plugin's memory of the request."""
        return framework.PluginContext(**values)

    def extensions(self):
        """What is shown beside payload and context."""
        return framework.Extensions()


class Installed:
    """An installed framework package, by the name of its root module."""

    def __init__(self, root):
        self.root = root
        self.module = importlib.import_module(root)
        self.base = getattr(self.module, "Plugin", None) or importlib.import_module(f"{root}.base").Plugin
        self.registry = None
        try:
            self.registry = importlib.import_module(f"{root}.hooks.registry").get_hook_registry()
        except (ImportError, AttributeError):
            pass

    def _class(self, name):
        found = getattr(self.module, name, None)
        return found or getattr(importlib.import_module(f"{self.root}.models"), name)

    def config(self, values):
        """The plugin's entry. Words that this generation does not know are left out."""
        kind = self._class("PluginConfig")
        try:
            return kind.model_validate(values)
        except ValueError:
            newer = ("mode", "on_error", "capabilities", "max_content_size", "applied_to")
            return kind.model_validate({key: value for key, value in values.items() if key not in newer})

    def payload(self, hook, values):
        """What a hook is about, and whether it may be changed in place."""
        if isinstance(values.get("content"), dict):
            values = {**values, "content": self.content(values["content"])}
        if self.registry is not None and self.registry.is_registered(hook):
            payload = self.registry.json_to_payload(hook, values)
        else:
            kind = framework.PAYLOADS.get(hook)
            if kind is None:
                return StandIn().payload(hook, values)
            kind = self._class(kind.__name__)
            if "prompt_id" in values and "prompt_id" not in kind.model_fields:
                values = {**values, "name": values["prompt_id"]}
                del values["prompt_id"]
            payload = kind.model_validate(values)
        if hook.startswith("prompt_") and not hasattr(type(payload), "name") and hasattr(payload, "prompt_id"):
            # What the first generation calls it; classes of these models take attributes like any other.
            type(payload).name = property(lambda self: self.prompt_id)
        settings = getattr(type(payload), "model_config", None) or {}
        return payload, not settings.get("frozen", False)

    def content(self, value):
        """The content of a resource, which a gateway hands over as an object."""
        for module in ("mcpgateway.common.models", "mcpgateway.models"):
            if self.root.startswith("mcpgateway") and value.get("type", "resource") == "resource":
                try:
                    return importlib.import_module(module).ResourceContent.model_validate(value)
                except (ImportError, AttributeError, ValueError):
                    continue
        return framework.resource_of(value)

    def context(self, values):
        """The plugin's memory of the request."""
        return self._class("PluginContext").model_validate(values)

    def extensions(self):
        """What is shown beside payload and context."""
        kind = getattr(importlib.import_module(f"{self.root}.extensions"), "Extensions", None)
        return kind() if kind else None


_encode = json.JSONEncoder(default=plain.of, separators=(",", ":")).encode
_STAND_IN = StandIn()
_INSTALLED: dict[str, Installed] = {}


def family_of(cls):
    """The framework that a class was written against."""
    for base in cls.__mro__:
        for root in shim.ROOTS:
            if base.__module__ == root or base.__module__.startswith(root + "."):
                if root not in _INSTALLED:
                    _INSTALLED[root] = Installed(root)
                return _INSTALLED[root]
    return _STAND_IN


def as_json(value):
    """Text to compare two states of an object by."""
    return _encode(value)
