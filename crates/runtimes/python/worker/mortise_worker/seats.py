"""The plugins of this worker, and calls of them."""

from __future__ import annotations

import asyncio
import inspect
import logging

from . import families, loading, output

LOG = logging.getLogger("root")

#: Fields of a result that are told where they say something.
_TOLD = ("metadata", "http_headers", "retry_delay_ms")


class Seat:
    """One configured plugin."""

    __slots__ = ("name", "instance", "family", "handlers")

    def __init__(self, name, instance, family, handlers):
        self.name, self.instance, self.family, self.handlers = name, instance, family, handlers


class Seats:
    """All of them, by the numbers the gateway gave."""

    def __init__(self):
        self.seats: dict[int, Seat] = {}

    async def serve(self, message):
        """Answers one request of the gateway."""
        output.PLUGIN.set(message.get("plugin"))
        action = message["do"]
        if action == "call":
            return await self.call(message)
        if action == "load":
            return await self.load(message)
        if action == "unload":
            return await self.unload(message)
        return {"error": {"message": f"this worker cannot {action}"}}

    async def load(self, message):
        """Makes a plugin and says which of its hooks it has."""
        config, names = message["config"], message["hooks"]
        try:
            instance, family = await loading.instantiate(message["class"], message["folders"], config)
        except loading.LoadError as error:
            return {"unavailable": str(error)}
        handlers = loading.handlers_of(instance, family, names)
        self.seats[message["plugin"]] = Seat(config["name"], instance, family, handlers)
        return {"hooks": list(handlers)}

    async def unload(self, message):
        """Ends a plugin."""
        seat = self.seats.pop(message["plugin"], None)
        end = getattr(seat.instance, "shutdown", None) if seat else None
        if end is not None:
            try:
                ended = end()
                if inspect.isawaitable(ended):
                    await ended
            except Exception:
                LOG.exception("shutdown failed")
        return {}

    async def call(self, message):
        """Calls a hook of a plugin."""
        seat, hook = self.seats.get(message["plugin"]), message["hook"]
        if seat is None:
            return {"unavailable": "it is still starting"}
        handler = seat.handlers.get(hook)
        if handler is None:
            return {"error": {"message": f"it does not have the hook {hook}"}}
        family, context = seat.family, None
        try:
            payload, changeable = family.payload(hook, message["payload"])
            before = families.as_json(payload) if changeable else None
            context = family.context(message["context"])
            result = await self.run(handler, handler.arguments(family, payload, context))
            answer = {"result": self.told(result, payload, before, hook)}
        except asyncio.CancelledError:
            raise
        except Exception as error:
            answer = failed(error, seat.name)
        left = left_in(context) if context is not None else None
        if left is not None:
            answer["context"] = left
        return answer

    async def run(self, handler, arguments):
        """Runs a handler; one that is no coroutine in a thread, since it may block."""
        if handler.waits:
            return await handler.function(*arguments)
        running = asyncio.ensure_future(asyncio.to_thread(handler.function, *arguments))
        try:
            result = await asyncio.shield(running)
        except asyncio.CancelledError:
            # A thread cannot be cancelled: the gateway is told only once it has ended.
            await asyncio.wait([running])
            raise
        return await result if inspect.isawaitable(result) else result

    def told(self, result, payload, before, hook):
        """What a result says, as it travels: only what is not as usual."""
        get = result.get if isinstance(result, dict) else lambda name: getattr(result, name, None)
        if result is None:
            get = {}.get
        answer = {name: get(name) for name in _TOLD if get(name)}
        changed = get("modified_payload")
        if (changed is None or changed is payload) and before is not None:
            changed = payload if families.as_json(payload) != before else None
        if get("continue_processing") is False:
            answer["continue_processing"] = False
            answer["violation"] = violation(get("violation"))
        if changed is not None:
            answer["modified_payload"] = renamed(changed, hook)
        return answer


def renamed(changed, hook):
    """Prompts of the first generation have a `name` where later ones have a `prompt_id`."""
    if hook.startswith("prompt_") and not hasattr(changed, "prompt_id"):
        dump = getattr(changed, "model_dump", None)
        values = dump() if callable(dump) else changed
        if isinstance(values, dict) and "prompt_id" not in values and "name" in values:
            return {"prompt_id": values["name"], **{key: held for key, held in values.items() if key != "name"}}
    return changed


def violation(said):
    """Why a call must not go on, without what is not said."""
    if said is None:
        return None
    names = ("reason", "description", "code", "details", "mcp_error_code", "http_status_code", "http_headers")
    get = said.get if isinstance(said, dict) else lambda name: getattr(said, name, None)
    return {name: get(name) for name in names if get(name) is not None}


def failed(error, plugin):
    """What an exception of a plugin means: a refusal where it carries one, else an error."""
    refused = getattr(error, "violation", None)
    if refused is not None:
        return {"result": {"continue_processing": False, "violation": violation(refused)}}
    LOG.error("%s failed: %r", plugin, error, exc_info=(type(error), error, of_the_plugin(error.__traceback__)))
    about = getattr(error, "error", None)
    if hasattr(about, "message"):
        details = getattr(about, "details", None) or {}
        return {"error": {"message": str(about.message), "code": getattr(about, "code", "") or "", "details": details}}
    return {"error": {"message": repr(error)}}


def of_the_plugin(trace):
    """A traceback without the worker's own part of it."""
    below = trace
    while below is not None and below.tb_frame.f_code.co_filename.startswith("<mortise_worker"):
        below = below.tb_next
    return below or trace


def left_in(context):
    """What a plugin left in its context, as it travels; None where that is nothing."""
    shared = context.global_context.state
    if not (context.state or context.metadata or shared):
        return None
    return {
        "state": context.state or {},
        "metadata": context.metadata or {},
        "global_context": {"state": shared or {}},
    }
