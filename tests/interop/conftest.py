"""Fixtures of the interop tests.

Most tests take `client` (each real client library) and `target` (the upstream directly, and through the gateway
with no and with five plugins, over HTTP and stdio). What fails only behind the gateway is the gateway's fault; what
fails directly too is the test's. Everything is started once per run and only when a test asks for it.
"""

from dataclasses import dataclass

import pytest

from harness.gateway import FIVE_PLUGINS, Gateway
from harness.peers import CLIENTS, Peer, Session
from harness.upstreams import UPSTREAMS


@dataclass(frozen=True)
class Target:
    """Where a test sends its calls."""

    url: str
    plugins: bool
    direct: bool

    @property
    def base(self) -> str:
        """The URL without the `/mcp` at its end."""
        return self.url.removesuffix("/mcp")


class Stage:
    """Starts servers, gateways and clients when first asked for, and ends them all."""

    def __init__(self, directory):
        self.directory = directory
        self.upstream_urls: dict[str, str] = {}
        self.gateways: dict[tuple, Gateway] = {}
        self.peers: dict[str, Peer] = {}
        self.programs = []

    def upstream(self, name: str) -> str:
        """The URL of an upstream server."""
        if name not in self.upstream_urls:
            program, self.upstream_urls[name] = UPSTREAMS[name].serve(self.directory)
            self.programs.append(program)
        return self.upstream_urls[name]

    def upstream_config(self, name: str, transport: str) -> dict:
        """The entry of that server in the gateway's `upstreams`."""
        if transport == "stdio":
            return {"command": UPSTREAMS[name].stdio()}
        return {"url": self.upstream(name)}

    def gateway(self, key: tuple, config) -> Gateway:
        """The gateway known under this key; `config` makes its configuration when it is not there yet."""
        if key not in self.gateways:
            directory = self.directory / "-".join(("gateway", *map(str, key)))
            self.gateways[key] = Gateway(directory, config())
            self.programs.append(self.gateways[key])
        return self.gateways[key]

    def target(self, upstream: str, kind: str) -> Target:
        """A target by its name in the test id: `direct`, `http`, `stdio`, `http-5-plugins`, `stdio-5-plugins`."""
        if kind == "direct":
            return Target(self.upstream(upstream), plugins=False, direct=True)
        transport, _, with_plugins = kind.partition("-")

        def config() -> dict:
            plugins = {"plugins": FIVE_PLUGINS} if with_plugins else {}
            return {"upstreams": {upstream: self.upstream_config(upstream, transport)}, **plugins}

        return Target(self.gateway((upstream, kind), config).url, plugins=bool(with_plugins), direct=False)

    def peer(self, name: str) -> Peer:
        """A running client program; a new one if the last one died."""
        if name not in self.peers or self.peers[name].process.poll() is not None:
            self.peers[name] = Peer(name)
        return self.peers[name]

    def stop(self) -> None:
        """Ends everything, clients first."""
        for peer in self.peers.values():
            peer.stop()
        for program in reversed(self.programs):
            program.stop()


@pytest.fixture(scope="session")
def stage(tmp_path_factory):
    """All programs of this run."""
    stage = Stage(tmp_path_factory.mktemp("interop"))
    yield stage
    stage.stop()


KINDS = ["direct", "http", "stdio", "http-5-plugins", "stdio-5-plugins"]
CLIENTS_OVER_STDIO = {"python-sdk-1", "fastmcp-4", "typescript"}
UPSTREAM_OF_FIXTURE = {"target": "fastmcp", "everything": "everything", "modern": "fastmcp4", "raw": "raw"}


def kinds_of(fixture: str) -> list[str]:
    """The kinds of target an upstream has."""
    return [kind for kind in KINDS if UPSTREAMS[UPSTREAM_OF_FIXTURE[fixture]].stdio or "stdio" not in kind]


def pytest_generate_tests(metafunc):
    """Gives each test that asks for clients or targets all of them."""
    for fixture in UPSTREAM_OF_FIXTURE:
        if fixture in metafunc.fixturenames:
            kinds = [
                pytest.param(kind, id=kind, marks=[pytest.mark.direct] if kind == "direct" else [])
                for kind in kinds_of(fixture)
            ]
            metafunc.parametrize(fixture, kinds, indirect=True, scope="session")
    if "peer" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("clients")
        names = list(marker.args if marker else CLIENTS)
        metafunc.parametrize("peer", names, indirect=True, scope="session")


def is_wanted(item) -> bool:
    """Whether this combination is worth its time: two clients suffice to tell stdio from HTTP upstreams."""
    chosen = getattr(item, "callspec", None)
    if chosen is None or "peer" not in chosen.params:
        return True
    over_stdio = any(str(value).startswith("stdio") for value in chosen.params.values())
    return not over_stdio or chosen.params["peer"] in CLIENTS_OVER_STDIO


def pytest_collection_modifyitems(items):
    """Direct first: where the test itself is wrong, that is said before anything else."""
    items[:] = [item for item in items if is_wanted(item)]
    items.sort(key=lambda item: 0 if item.get_closest_marker("direct") else 1)


@pytest.fixture
def target(stage, request) -> Target:
    """Our FastMCP server."""
    return stage.target("fastmcp", request.param)


@pytest.fixture
def everything(stage, request) -> Target:
    """The TypeScript server-everything."""
    return stage.target("everything", request.param)


@pytest.fixture
def modern(stage, request) -> Target:
    """Our FastMCP server on the SDK that speaks the stateless revision."""
    return stage.target("fastmcp4", request.param)


@pytest.fixture
def raw(stage, request) -> Target:
    """The server of exact bytes."""
    return stage.target("raw", request.param)


@pytest.fixture
def peer(stage, request) -> Peer:
    """A client library in its own process."""
    return stage.peer(request.param)


@pytest.fixture
def connect(peer):
    """Opens sessions with the client under test, and closes them after the test."""
    opened = []

    def open_session(url: str, **spec) -> Session:
        opened.append(Session(peer, url, **spec))
        return opened[-1]

    yield open_session
    for session in opened:
        session.close()
