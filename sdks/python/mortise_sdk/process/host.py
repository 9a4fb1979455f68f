"""What the plugin may ask of its gateway, over the way back."""

import json
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import grpc

from ..context import HostError
from ..wire import microgateway_management_pb2 as management
from ..wire import plugin_events_pb2 as events
from .library import Broker

MANAGEMENT = "/microgateway_management.MicrogatewayManagementService/"
EVENTS = "/plugin_events.PluginEventService/"


class Host:
    """Values and events at the gateway."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._service = 0
        self._plugin = 0

    def knows(self, config: Mapping[str, str]) -> None:
        """Takes the numbers by which the gateway and the plugin are known."""
        self._service = number(config, "_service_broker_id", "service_broker_id") or self._service
        self._plugin = number(config, "_plugin_id", "plugin_id") or self._plugin

    async def _call(self, method: str, request: Any, answer: Any) -> Any:
        channel = await self._channel()
        call = channel.unary_unary(
            method, request_serializer=type(request).SerializeToString, response_deserializer=answer.FromString
        )
        return await call(request)

    async def _channel(self) -> grpc.aio.Channel:
        if not self._service:
            raise HostError("the gateway offers this plugin no services")
        try:
            return await self._broker.dial(self._service)
        except TimeoutError as error:
            raise HostError("the gateway did not say where its services are") from error

    def _about(self, scope: str) -> Any:
        return management.PluginContext(plugin_id=self._plugin, method_scope=scope)

    async def get(self, key: str) -> bytes | None:
        request = management.ReadPluginKVRequest(context=self._about("kv.readwrite"), key=key)
        try:
            return (await self._call(f"{MANAGEMENT}ReadPluginKV", request, management.ReadPluginKVResponse)).value
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.NOT_FOUND:
                return None
            raise HostError(f"reading {key!r}: {error.details()}") from error

    async def set(self, key: str, value: bytes, ttl: float | None = None) -> bool:
        request = management.WritePluginKVRequest(context=self._about("kv.readwrite"), key=key, value=value)
        if ttl is not None:
            request.expire_at.FromNanoseconds(int((time.time() + ttl) * 1e9))
        try:
            return (await self._call(f"{MANAGEMENT}WritePluginKV", request, management.WritePluginKVResponse)).created
        except grpc.aio.AioRpcError as error:
            raise HostError(f"writing {key!r}: {error.details()}") from error

    async def delete(self, key: str) -> bool:
        request = management.DeletePluginKVRequest(context=self._about("kv.readwrite"), key=key)
        try:
            return (await self._call(f"{MANAGEMENT}DeletePluginKV", request, management.DeletePluginKVResponse)).deleted
        except grpc.aio.AioRpcError as error:
            raise HostError(f"deleting {key!r}: {error.details()}") from error

    async def publish(self, topic: str, payload: Any) -> None:
        data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        request = events.PublishRequest(topic=topic, payload=data, plugin_id=str(self._plugin))
        try:
            answer = await self._call(f"{EVENTS}Publish", request, events.PublishResponse)
        except grpc.aio.AioRpcError as error:
            raise HostError(f"publishing {topic!r}: {error.details()}") from error
        if not answer.success:
            raise HostError(f"publishing {topic!r}: {answer.error_message}")

    async def subscribe(self, topic: str | None = None) -> AsyncIterator[Any]:
        """Events of a topic, or all, as they come; each has `id`, `topic`, `origin`, `direction` and `payload`."""
        channel = await self._channel()
        request = events.SubscribeRequest(
            topic=topic or "", subscribe_all=topic is None, plugin_id=str(self._plugin)
        )
        call = channel.unary_stream(
            f"{EVENTS}Subscribe",
            request_serializer=events.SubscribeRequest.SerializeToString,
            response_deserializer=events.EventMessage.FromString,
        )
        async for event in call(request):
            yield event


def number(config: Mapping[str, str], *keys: str) -> int:
    """The first of the keys that holds a number."""
    texts = (config.get(key, "") for key in keys)
    return next((int(text) for text in texts if text.isdigit() and int(text) > 0), 0)
