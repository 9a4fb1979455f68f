"""Plugins as processes: the handshake, and calls as a gateway makes them."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import grpc
import pytest

from mortise_sdk.process import NotStarted
from mortise_sdk.process.headers import canonical, client, lower
from mortise_sdk.process.serve import serving
from mortise_sdk.wire import config_provider_pb2, go_plugin_pb2, plugin_pb2

CONFORMANCE = Path(__file__).parent.parent / "conformance/plugin.py"
SERVICE = "/plugin.PluginService/"


class Peer:
    """A gateway, as far as a test needs one."""

    def __init__(self, folder):
        environment = {**os.environ, "AI_STUDIO_PLUGIN": "v1", "PLUGIN_UNIX_SOCKET_DIR": str(folder)}
        self.process = subprocess.Popen([sys.executable, CONFORMANCE], env=environment, stdout=subprocess.PIPE, text=True)
        fields = self.process.stdout.readline().rstrip("\n").split("|")
        assert fields[:3] == ["1", "1", "unix"] and fields[4:] == ["grpc", ""]
        self.channel = grpc.insecure_channel(f"unix:{fields[3]}", options=[("grpc.default_authority", "localhost")])

    def call(self, method, request, answer, service=SERVICE):
        call = self.channel.unary_unary(
            service + method, request_serializer=type(request).SerializeToString, response_deserializer=answer.FromString
        )
        return call(request, timeout=10)

    def stream(self, method, request, answer, service=SERVICE):
        call = self.channel.unary_stream(
            service + method, request_serializer=lambda message: message.SerializeToString(), response_deserializer=answer.FromString
        )
        return call(request, timeout=10)


@pytest.fixture(scope="module")
def peer(tmp_path_factory):
    # Paths of sockets are short.
    folder = Path("/tmp") / f"mortise-sdk-{os.getpid()}"
    folder.mkdir(mode=0o700)
    peer = Peer(folder)
    started = peer.call("Initialize", plugin_pb2.InitRequest(config={"greeting": "hi"}), plugin_pb2.InitResponse)
    assert started.success
    yield peer
    peer.call("Shutdown", go_plugin_pb2.Empty(), go_plugin_pb2.Empty, "/plugin.GRPCController/")
    assert peer.process.wait(10) == 0
    assert list(folder.iterdir()) == [], "the socket is gone with its process"
    folder.rmdir()


def test_process_without_its_cookie_says_what_it_is():
    with pytest.raises(NotStarted, match="started by its gateway"):
        from mortise_sdk import Plugin

        asyncio.run(serving(Plugin, {}))


def test_health_ping_and_manifest_are_answered(peer):
    check = peer.channel.unary_unary("/grpc.health.v1.Health/Check")
    assert check(b"\x0a\x06plugin", timeout=10) == b"\x08\x01"
    assert peer.call("Ping", plugin_pb2.PingRequest(timestamp=7), plugin_pb2.PingResponse).timestamp == 7
    asked = config_provider_pb2.GetManifestRequest()
    told = peer.call("GetManifest", asked, config_provider_pb2.GetManifestResponse, "/config_provider.ConfigProviderService/")
    hooks = json.loads(told.manifest_json)["capabilities"]["hooks"]
    assert hooks == ["pre_auth", "auth", "post_auth", "on_response", "data_collection", "custom_endpoint"]


def test_what_is_not_known_is_answered_so(peer):
    with pytest.raises(grpc.RpcError) as caught:
        peer.call("AcceptEdgePayload", plugin_pb2.EdgePayloadRequest(), plugin_pb2.EdgePayloadResponse)
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_what_is_printed_comes_by_the_stream(peer):
    output = peer.stream("StreamStdio", plugin_pb2.GetManifestRequest(), go_plugin_pb2.StdioData, "/plugin.GRPCStdio/")
    request = plugin_pb2.PluginRequest(headers={"X-Conformance": "print"})
    peer.call("ProcessPreAuth", request, plugin_pb2.PluginResponse)
    # Bytes as they come: the line's end may be a piece of its own.
    printed = b""
    while not printed.endswith(b"\n"):
        printed += next(output).data
    assert printed == b"printed on demand\n"
    output.cancel()


def test_session_is_over_in_time_or_closed(peer):
    asked = plugin_pb2.OpenSessionRequest(service_broker_id=1, plugin_id=3, timeout_ms=1)
    over = peer.call("OpenSession", asked, plugin_pb2.OpenSessionResponse)
    assert (over.close_reason, over.session_id) == (plugin_pb2.OpenSessionResponse.TIMEOUT, "session-3-1")


def test_headers_are_spelt_as_each_side_writes_them():
    assert canonical({"x-api-key": 1, "etag": "a"}) == {"X-Api-Key": "1", "Etag": "a"}
    assert lower({"X-Api-Key": "1"}) == {"x-api-key": "1"}
    for address, expected in [
        ("192.0.2.1:80", ("192.0.2.1", 80)),
        ("[::1]:80", ("::1", 80)),
        ("::1", ("::1", None)),
        ("", (None, None)),
    ]:
        assert client(address) == expected
