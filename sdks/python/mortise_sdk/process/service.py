"""The plugin's own service: calls of the gateway as hooks and endpoints of the plugin."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import grpc

from ..answers import Block, Change, Response
from ..context import Context, text_of
from ..endpoints import Endpoint, EndpointRequest, endpoint_for
from ..plugin import Config, Plugin, run
from ..wire import config_provider_pb2, plugin_pb2
from . import headers
from .host import Host
from .library import Answering, Broker, methods_of

WORDS = {
    "pre_auth": ("http_pre_request",),
    "auth": ("http_auth_resolve_user",),
    "post_auth": ("llm_input",),
    "on_response": ("http_post_forwarding_call", "llm_output"),
    "data_collection": ("record_proxy_log", "record_analytics", "record_budget_usage"),
}
"""The words of a manifest, and the hooks they stand for."""

SESSION = 30.0
"""How long a session lasts where the gateway does not say, in seconds."""

CLOSED = ("explicit_close", "shutdown", "unload", "plugin_unload")
"""Reasons by which a session is closed for good."""


def manifest_of(plugin: type[Plugin]) -> dict[str, Any]:
    """What a plugin says of itself: its hooks are those it has methods for."""
    has = plugin.hooks()
    words = [word for word, hooks in WORDS.items() if any(hook in has for hook in hooks)]
    if plugin.endpoints():
        words.append("custom_endpoint")
    return {
        "id": plugin.id or f"plugin.{plugin.name}",
        "version": plugin.version,
        "name": plugin.name,
        "description": plugin.description or (plugin.__doc__ or "").strip(),
        "capabilities": {"hooks": words, "primary_hook": words[0] if words else ""},
        "permissions": {"services": list(plugin.services)},
    }


def describer(plugin: type[Plugin]) -> grpc.GenericRpcHandler:
    """What the program says of itself before it is initialised."""

    async def manifest(_: Any, __: Any) -> Any:
        return config_provider_pb2.GetManifestResponse(success=True, manifest_json=json.dumps(manifest_of(plugin)))

    async def schema(_: Any, __: Any) -> Any:
        text = json.dumps(dict(plugin.config_schema))
        return config_provider_pb2.ConfigSchemaResponse(success=True, schema_json=text)

    async def ping(request: Any, _: Any) -> Any:
        return config_provider_pb2.ConfigPingResponse(timestamp=request.timestamp, healthy=True)

    implementations = {"GetManifest": manifest, "GetConfigSchema": schema, "Ping": ping}
    return methods_of(config_provider_pb2, "ConfigProviderService", implementations)


class Service:
    """One plugin, called by its gateway."""

    def __init__(self, plugin: Plugin, broker: Broker) -> None:
        self.plugin = plugin
        self.host = Host(broker)
        self.has = set(plugin.hooks())
        self.endpoints = plugin.endpoints()
        self.sessions: set[asyncio.Future[str]] = set()

    def handlers(self) -> grpc.GenericRpcHandler:
        calls: dict[str, Answering] = {
            "Initialize": self.initialize,
            "Ping": self.ping,
            "Shutdown": self.shutdown,
            "ProcessPreAuth": self.pre_auth,
            "Authenticate": self.authenticate,
            "ProcessPostAuth": self.post_auth,
            "OnBeforeWriteHeaders": self.response_headers,
            "OnBeforeWrite": self.response_body,
            "OnStreamComplete": self.stream_complete,
            "HandleProxyLog": self.proxy_log,
            "HandleAnalytics": self.analytics,
            "HandleBudgetUsage": self.budget_usage,
            "GetManifest": self.manifest,
            "GetConfigSchema": self.schema,
            "GetEndpointRegistrations": self.registrations,
            "HandleEndpointRequest": self.endpoint,
            "GetObjectHookRegistrations": empty(plugin_pb2.GetObjectHookRegistrationsResponse()),
            "HandleObjectHook": empty(plugin_pb2.ObjectHookResponse(allow_operation=True)),
            "GetResourceTypeRegistrations": empty(plugin_pb2.GetResourceTypeRegistrationsResponse()),
            "ValidateResourceSelection": empty(plugin_pb2.ValidateResourceSelectionResponse(valid=True)),
            "OpenSession": self.open_session,
            "CloseSession": self.close_session,
        }
        told = {name: failing(function) for name, function in calls.items()}
        return methods_of(plugin_pb2, "PluginService", {**told, "HandleEndpointRequestStream": self.endpoint_stream})

    # Its life.

    async def initialize(self, request: Any, _: Any) -> Any:
        self.plugin.config = Config(request.config)
        self.host.knows(request.config)
        try:
            await run(self.plugin.start)
        except Exception as error:
            return plugin_pb2.InitResponse(success=False, error_message=str(error) or type(error).__name__)
        return plugin_pb2.InitResponse(success=True)

    async def ping(self, request: Any, _: Any) -> Any:
        return plugin_pb2.PingResponse(timestamp=request.timestamp, healthy=True)

    async def shutdown(self, request: Any, _: Any) -> Any:
        await asyncio.wait_for(run(self.plugin.stop), request.timeout_seconds or None)
        return plugin_pb2.ShutdownResponse(success=True)

    async def open_session(self, request: Any, _: Any) -> Any:
        self.host.knows({"_service_broker_id": str(request.service_broker_id), "_plugin_id": str(request.plugin_id)})
        session: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.sessions.add(session)
        reasons = plugin_pb2.OpenSessionResponse
        lasts = request.timeout_ms / 1000 if request.timeout_ms > 0 else SESSION
        try:
            reason = await asyncio.wait_for(session, lasts)
            why = reasons.EXPLICIT_CLOSE if reason in CLOSED else reasons.PLUGIN_ERROR
        except TimeoutError:
            why = reasons.TIMEOUT
        finally:
            self.sessions.discard(session)
        name = f"session-{request.plugin_id}-{request.service_broker_id}"
        return plugin_pb2.OpenSessionResponse(success=True, session_id=name, close_reason=why)

    async def close_session(self, request: Any, _: Any) -> Any:
        for session in self.sessions:
            if not session.done():
                session.set_result(request.reason)
        return plugin_pb2.CloseSessionResponse(success=True)

    async def manifest(self, _: Any, __: Any) -> Any:
        text = json.dumps(manifest_of(type(self.plugin)))
        return plugin_pb2.GetManifestResponse(success=True, manifest_json=text)

    async def schema(self, _: Any, __: Any) -> Any:
        text = json.dumps(dict(self.plugin.config_schema))
        return plugin_pb2.GetConfigSchemaResponse(success=True, schema_json=text)

    # Its hooks.

    def context(self, about: Any) -> Context:
        return Context(
            request_id=about.request_id,
            user=str(about.user_id) if about.user_id else None,
            app=str(about.app_id) if about.app_id else None,
            shared=dict(about.metadata),
            metadata={"vendor": about.vendor, "llm": about.llm_slug, "trace": dict(about.trace_context)},
            kv=self.host,
            events=self.host,
        )

    async def asked(self, hook: str, payload: dict[str, Any], context: Context) -> Block | Change | None:
        return await self.plugin.call(hook, payload, context) if hook in self.has else None

    async def pre_auth(self, request: Any, _: Any) -> Any:
        address, port = headers.client(request.remote_addr)
        payload = {
            "path": request.path,
            "method": request.method,
            "client_host": address,
            "client_port": port,
            "headers": headers.lower(request.headers),
        }
        answer = await self.asked("http_pre_request", payload, self.context(request.context))
        if isinstance(answer, Change):
            return plugin_pb2.PluginResponse(modified=True, headers=headers.canonical(answer.payload))
        return refusal(answer)

    async def authenticate(self, request: Any, _: Any) -> Any:
        presented = request.credential
        address, port = headers.client(request.request.remote_addr)
        payload = {
            "credentials": {"scheme": "Bearer", "credentials": presented} if presented else None,
            "headers": headers.lower(request.request.headers),
            "client_host": address,
            "client_port": port,
        }
        answer = await self.asked("http_auth_resolve_user", payload, self.context(request.context))
        if isinstance(answer, Change):
            return accepted(answer.payload)
        reason = answer.reason if answer else "the plugin does not know the caller"
        return plugin_pb2.AuthResponse(authenticated=False, error_message=reason)

    async def post_auth(self, request: Any, _: Any) -> Any:
        inner = request.request
        context = self.context(inner.context)
        context.user = request.user_id or None
        context.app = request.app_id or context.app
        told = dict(context.shared)
        body = json_or_none(inner.body)
        payload = {
            "llm": inner.context.llm_slug,
            "vendor": inner.context.vendor,
            "model": body.get("model") if isinstance(body, dict) else None,
            "path": inner.path,
            "headers": headers.lower(inner.headers),
            "body": body,
        }
        answer = await self.asked("llm_input", payload, context)
        if isinstance(answer, Change):
            changed = answer.payload
            response = plugin_pb2.PluginResponse(
                modified=True,
                headers=headers.canonical({**headers.lower(inner.headers), **changed.get("headers", {})}),
                body=json.dumps(changed["body"]).encode() if changed.get("body") is not None else b"",
            )
        else:
            response = refusal(answer)
        for key, value in context.shared.items():
            if told.get(key) != value:
                response.context_updates[key] = text_of(value)
        return response

    async def response_headers(self, request: Any, _: Any) -> Any:
        shown = headers.lower(request.headers)
        payload = {
            "upstream": request.context.llm_slug,
            "method": "",
            "path": "",
            "headers": shown,
            "status_code": None,
            "ended": "ok",
        }
        answer = await self.asked("http_post_forwarding_call", payload, self.context(request.context))
        if not isinstance(answer, Change):
            return plugin_pb2.HeadersResponse()
        merged = {**shown, **headers.lower(answer.payload)}
        return plugin_pb2.HeadersResponse(modified=True, headers=headers.canonical(merged))

    async def response_body(self, request: Any, _: Any) -> Any:
        shown = headers.lower(request.headers)
        payload = output(request.context, shown, request.body, None, streamed=False)
        answer = await self.asked("llm_output", payload, self.context(request.context))
        if isinstance(answer, Block):
            raise RuntimeError(f"an answer cannot be blocked here: {answer.reason}")
        if answer is None:
            return plugin_pb2.ResponseWriteResponse()
        changed = answer.payload
        body = request.body
        if "body" in changed:
            body = b"" if changed["body"] is None else json.dumps(changed["body"]).encode()
        merged = headers.canonical(changed.get("headers", shown))
        return plugin_pb2.ResponseWriteResponse(modified=True, body=body, headers=merged)

    async def stream_complete(self, request: Any, _: Any) -> Any:
        shown = headers.lower(request.headers)
        payload = output(request.context, shown, request.accumulated_response, request.status_code, streamed=True)
        await self.asked("llm_output", payload, self.context(request.context))
        return plugin_pb2.StreamCompleteResponse(handled="llm_output" in self.has)

    async def proxy_log(self, request: Any, _: Any) -> Any:
        record = {**fields(request), "status": request.response_code}
        for name in ("request_body", "response_body"):
            record[name] = getattr(request, name).decode(errors="replace")
        return await self.record("record_proxy_log", record, request)

    async def analytics(self, request: Any, _: Any) -> Any:
        record = {**fields(request), "model": request.model_name}
        return await self.record("record_analytics", record, request)

    async def budget_usage(self, request: Any, _: Any) -> Any:
        return await self.record("record_budget_usage", fields(request), request)

    async def record(self, hook: str, record: dict[str, Any], request: Any) -> Any:
        try:
            await self.asked(hook, record, self.context(request.context))
        except Exception as error:
            return plugin_pb2.DataCollectionResponse(success=False, error_message=str(error) or type(error).__name__)
        return plugin_pb2.DataCollectionResponse(success=True, handled=hook in self.has)

    # Its endpoints.

    async def registrations(self, _: Any, __: Any) -> Any:
        told = [
            plugin_pb2.EndpointRegistration(
                path=one.path,
                methods=one.methods,
                description=one.description,
                require_auth=one.auth,
                stream_response=one.stream,
                metadata=one.metadata,
            )
            for one in self.endpoints
        ]
        return plugin_pb2.GetEndpointRegistrationsResponse(registrations=told)

    async def endpoint(self, request: Any, _: Any) -> Any:
        found = endpoint_for(self.endpoints, request.method, request.relative_path)
        if found is None:
            return plugin_pb2.EndpointResponse(status_code=501, error_message="the plugin has no such endpoint")
        answer = await run(getattr(self.plugin, found.method), asked(request), self.context(request.context))
        if not isinstance(answer, Response):
            raise TypeError(f"{found.method} returned {type(answer).__name__}: return a Response")
        body = answer.body.encode() if isinstance(answer.body, str) else answer.body
        told = headers.canonical(answer.headers)
        return plugin_pb2.EndpointResponse(status_code=answer.status, headers=told, body=body)

    async def endpoint_stream(self, request: Any, context: Any) -> AsyncIterator[Any]:
        found = endpoint_for(self.endpoints, request.method, request.relative_path)
        if found is None:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "the plugin has no such endpoint")
            return
        try:
            async for chunk in chunks(self.plugin, found, asked(request), self.context(request.context)):
                yield chunk
        except Exception as error:
            yield chunk_of("ERROR", error_message=str(error) or type(error).__name__)


async def chunks(plugin: Plugin, found: Endpoint, request: EndpointRequest, context: Context) -> AsyncIterator[Any]:
    """A stream as the messages of one: its head, its pieces, its end."""
    begun = False
    stream = getattr(plugin, found.method)(request, context)
    try:
        async for piece in stream:
            if isinstance(piece, Response):
                if begun:
                    raise TypeError(f"{found.method} yielded a Response when its stream had begun")
                yield chunk_of("HEADERS", status_code=piece.status, headers=headers.canonical(piece.headers))
                begun, piece = True, piece.body
                if not piece:
                    continue
            if not begun:
                yield chunk_of("HEADERS", status_code=200)
                begun = True
            yield chunk_of("BODY", data=piece.encode() if isinstance(piece, str) else piece)
        if not begun:
            yield chunk_of("HEADERS", status_code=200)
        yield chunk_of("DONE")
    finally:
        await stream.aclose()


def chunk_of(kind: str, **rest: Any) -> Any:
    return plugin_pb2.EndpointResponseChunk(type=kind, **rest)


def asked(request: Any) -> EndpointRequest:
    """A request to an endpoint as methods see it."""
    app = None
    if request.HasField("app"):
        app = {
            name: getattr(request.app, name)
            for name in ("id", "name", "description", "owner_email", "is_active", "monthly_budget", "rate_limit")
        }
        app["metadata"] = dict(request.app.metadata)
    return EndpointRequest(
        method=request.method,
        path=request.path,
        relative_path=request.relative_path,
        segments=tuple(request.path_segments),
        headers=headers.lower(request.headers),
        body=request.body,
        query=request.query_string,
        remote_addr=request.remote_addr,
        host=request.host,
        authenticated=request.authenticated,
        app=app,
        scopes=tuple(request.scopes),
    )


def empty(answer: Any) -> Answering:
    """Answers the same to everything."""

    async def call(_: Any, __: Any) -> Any:
        return answer

    return call


def failing(function: Answering) -> Answering:
    """What a handler raises is the error of its call."""

    async def call(request: Any, context: Any) -> Any:
        try:
            return await function(request, context)
        except Exception as error:
            await context.abort(grpc.StatusCode.UNKNOWN, str(error) or type(error).__name__)

    return call


def refusal(answer: Block | Change | None) -> Any:
    """The message of an answer that refuses, or says nothing."""
    if not isinstance(answer, Block):
        return plugin_pb2.PluginResponse()
    return plugin_pb2.PluginResponse(
        block=True,
        status_code=answer.status or 0,
        headers=headers.canonical(answer.headers),
        body=answer.body,
        error_message=answer.reason,
    )


def accepted(record: Mapping[str, Any]) -> Any:
    """A caller's record as the message has it: what it has no place for is a claim."""
    claims = {key: text_of(value) for key, value in record.get("metadata", {}).items()}
    for key in ("tenant", "email", "full_name"):
        if record.get(key):
            claims[{"full_name": "name"}.get(key, key)] = str(record[key])
    for key in ("teams", "scopes"):
        if record.get(key):
            claims[key] = ",".join(record[key])
    return plugin_pb2.AuthResponse(
        authenticated=True,
        user_id=str(record.get("email") or record.get("user") or ""),
        app_id=str(record.get("app") or ""),
        claims=claims,
    )


def output(about: Any, shown: dict[str, str], body: bytes, status: int | None, *, streamed: bool) -> dict[str, Any]:
    """What a model answered. A stream that is no JSON is its text."""
    read = json_or_none(body)
    return {
        "llm": about.llm_slug,
        "vendor": about.vendor,
        "model": read.get("model") if isinstance(read, dict) else None,
        "status_code": status,
        "headers": shown,
        "streamed": streamed,
        "body": body.decode(errors="replace") if read is None and body else read,
    }


def fields(message: Any) -> dict[str, Any]:
    """The plain fields of a record."""
    skipped = ("context", "request_body", "response_body")
    names = [field.name for field in message.DESCRIPTOR.fields if field.name not in skipped]
    return {name: getattr(message, name) for name in names}


def json_or_none(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
