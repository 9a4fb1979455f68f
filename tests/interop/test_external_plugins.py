"""Plugin servers of other projects behind the gateway: what they block, change and remember is seen by a client."""

import contextlib
import datetime
import ipaddress
import os
import signal
import time
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from harness.gateway import Gateway
from harness.peers import RpcError
from harness.processes import HERE, REPOSITORY, Program, free_port, python

PLUGINS = HERE / "servers" / "plugins"
CLIENT = "python-sdk-1"


def cpex_python() -> str:
    """The interpreter that has cpex."""
    path = REPOSITORY / ".venv" / "cpex" / "bin" / "python"
    assert path.exists(), f"{path} is missing: run `make setup`"
    return str(path)


CPEX = ["-m", "cpex.framework.external.mcp.server.runtime"]
CPEX_ENV = {"PLUGINS_CONFIG_PATH": str(PLUGINS / "config.yaml"), "PYTHONPATH": str(PLUGINS), "PLUGINS_LOG_LEVEL": "WARNING"}


def serve(directory, name: str, command: list[str], port: int, env: dict | None = None) -> Program:
    """A plugin server that listens."""
    program = Program(name, command, directory / f"{name}.log", env)
    program.wait_for_port(port)
    return program


def cpex_server(directory, port: int) -> Program:
    """The plugin server of cpex over streamable HTTP."""
    env = {**CPEX_ENV, "PLUGINS_TRANSPORT": "http", "PLUGINS_SERVER_PORT": str(port)}
    return serve(directory, f"cpex-{port}", [cpex_python(), *CPEX], port, env)


def over_stdio(name: str) -> dict:
    """A plugin of the cpex server, started by the gateway."""
    return {"proto": "STDIO", "cmd": [cpex_python(), *CPEX], "env": {**CPEX_ENV, "PLUGINS_TRANSPORT": "stdio"}}


@pytest.fixture(scope="module")
def fastmcp_upstream(stage):
    """The upstream behind all gateways here."""
    return {"fastmcp": {"url": stage.upstream("fastmcp")}}


@pytest.fixture(scope="module")
def started(tmp_path_factory, fastmcp_upstream):
    """Starts gateways and servers that end with the module."""
    directory = tmp_path_factory.mktemp("external")
    with contextlib.ExitStack() as stack:

        class Started:
            @staticmethod
            def program(make, *arguments) -> Program:
                program = make(directory, *arguments)
                stack.callback(program.stop)
                return program

            @staticmethod
            def gateway(name: str, plugins: list[dict]) -> Gateway:
                # As a file of ContextForge's format, which is what their users have.
                file = directory / f"{name}.yaml"
                file.write_text(yaml.safe_dump({"plugins": plugins}))
                config = {"upstreams": fastmcp_upstream, "plugins_files": [str(file)]}
                gateway = Gateway(directory / name, config)
                stack.callback(gateway.stop)
                return gateway

        yield Started


def cpex_on_a_socket(directory, path) -> Program:
    """The same over HTTP on a Unix socket."""
    env = {**CPEX_ENV, "PLUGINS_TRANSPORT": "http", "PLUGINS_SERVER_UDS": str(path)}
    program = Program("cpex-uds", [cpex_python(), *CPEX], directory / "cpex-uds.log", env)
    program.wait_until(path.is_socket)
    return program


@pytest.fixture(scope="module", params=["stdio", "http", "uds"])
def cpex(request, started, tmp_path_factory) -> Gateway:
    """A gateway with two plugins of a cpex server. Hooks, mode and priority are the server's."""
    if request.param == "uds":
        path = tmp_path_factory.mktemp("uds") / "plugins.sock"
        started.program(cpex_on_a_socket, path)

        def way(_name):
            return {"proto": "STREAMABLEHTTP", "url": "http://localhost/mcp", "uds": str(path)}
    elif request.param == "http":
        port = free_port()
        started.program(cpex_server, port)

        def way(_name):
            return {"proto": "STREAMABLEHTTP", "url": f"http://127.0.0.1:{port}/mcp"}
    else:
        way = over_stdio
    plugins = [{"name": name, "kind": "external", "mcp": way(name)} for name in ["Blocker", "Stateful"]]
    return started.gateway(f"cpex-{request.param}", plugins)


@pytest.fixture(scope="module", params=["stdio", "http", "sse", "ws"])
def elder(request, started) -> Gateway:
    """A gateway with the plugin of a server of the first generation."""
    command = [python(1), str(PLUGINS / "tool_per_hook.py"), request.param]
    if request.param == "stdio":
        way = {"proto": "stdio", "cmd": command}
    else:
        port = free_port()
        started.program(lambda directory: serve(directory, f"elder-{port}", [*command, str(port)], port))
        # The server lives at `/mcp` and says so.
        url, proto = {"http": ("http", "http"), "sse": ("http", "SSE"), "ws": ("ws", "websocket")}[request.param]
        way = {"proto": proto, "url": f"{url}://127.0.0.1:{port}/{request.param.replace('http', 'moved')}"}
    return started.gateway(f"elder-{request.param}", [{"name": "Elder", "kind": "external", "mcp": way}])


pytestmark = pytest.mark.clients(CLIENT)


def test_cpex_plugin_blocks_with_its_own_words(connect, cpex):
    result = connect(cpex.url).call("echo", message="a forbidden thing")
    assert result["isError"] is True
    assert "blocked by plugin Blocker: WORD" in result["content"][0]["text"]


def test_cpex_plugin_changes_arguments_and_carries_state_to_its_post_hook(connect, cpex):
    said = connect(cpex.url).text("echo", message="hello")
    assert said == "<hello> (asked hello, seen by Stateful)"


def test_cpex_plugin_changes_a_prompt(connect, cpex):
    messages = connect(cpex.url).get_prompt(name="greet", arguments={"name": "x"})["messages"]
    assert "greet-guest" in str(messages)


def test_error_of_a_cpex_plugin_blocks_as_an_error_and_the_next_call_passes(connect, cpex):
    session = connect(cpex.url)
    result = session.call("echo", message="explode")
    assert result["isError"] is True
    assert "PLUGIN_ERROR" in result["content"][0]["text"]
    assert session.text("echo", message="on").startswith("<on>")


def test_first_generation_blocks_without_an_envelope(connect, elder):
    result = connect(elder.url).call("echo", message="a forbidden thing")
    assert result["isError"] is True
    assert "blocked by plugin Elder: ELDER" in result["content"][0]["text"]


def test_first_generation_carries_state_to_its_post_hook(connect, elder):
    assert connect(elder.url).text("echo", message="hello") == "hello (asked hello)"


def test_first_generation_knows_prompts_by_name(connect, elder):
    messages = connect(elder.url).get_prompt(name="greet", arguments={"name": "x"})["messages"]
    assert "greet-elder" in str(messages)


def test_restarted_server_is_found_again_without_a_call_lost_to_a_forgotten_session(connect, started):
    port = free_port()
    server = started.program(cpex_server, port)
    entry = {"name": "Blocker", "kind": "external", "mcp": {"proto": "http", "url": f"http://127.0.0.1:{port}/mcp"}}
    gateway = started.gateway("restart", [entry])
    session = connect(gateway.url)
    assert session.text("echo", message="before") == "before"

    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait()
    away = session.call("echo", message="away")
    assert away["isError"] is True and "PLUGIN_" in away["content"][0]["text"]

    started.program(cpex_server, port)
    deadline = time.monotonic() + 30
    while (result := session.call("echo", message="after")).get("isError"):
        assert time.monotonic() < deadline, result
        time.sleep(0.1)
    assert session.call("echo", message="forbidden")["isError"] is True


def test_unknown_plugin_of_a_server_is_told_by_name(started, connect):
    port = free_port()
    started.program(cpex_server, port)
    entry = {"name": "Nobody", "kind": "external", "hooks": ["tool_pre_invoke"], "mode": "enforce"}
    gateway = started.gateway("unknown", [{**entry, "mcp": {"proto": "http", "url": f"http://127.0.0.1:{port}/mcp"}}])
    result = connect(gateway.url).call("echo", message="x")
    assert result["isError"] is True
    assert "PLUGIN_UNAVAILABLE" in result["content"][0]["text"]
    assert "knows no plugin `Nobody`" in gateway.log.read_text()


def test_prompts_that_nobody_guards_pass(connect, started):
    way = over_stdio("Stateful")
    gateway = started.gateway("tools-only", [{"name": "Stateful", "kind": "external", "mcp": way}])
    assert connect(gateway.url).get_prompt(name="greet", arguments={"name": "x"})["messages"]
    with pytest.raises(RpcError):
        connect(gateway.url).get_prompt(name="no-such-prompt", arguments={})


def certificates(directory) -> dict[str, str]:
    """Files of an authority, and of a server and a client that it vouches for."""
    now = datetime.datetime.now(datetime.timezone.utc)

    def name(text):
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    def write(stem, key, certificate):
        kind = serialization.PrivateFormat.PKCS8
        (directory / f"{stem}.key").write_bytes(
            key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption())
        )
        (directory / f"{stem}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def signed(stem, issuer_key, issuer, is_authority):
        key = issuer_key if is_authority else ec.generate_private_key(ec.SECP256R1())
        builder = x509.CertificateBuilder().subject_name(name(stem)).issuer_name(issuer).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
        builder = builder.not_valid_after(now + datetime.timedelta(days=1))
        builder = builder.add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        builder = builder.add_extension(names, critical=False)
        write(stem, key, builder.sign(issuer_key, hashes.SHA256()))

    authority = ec.generate_private_key(ec.SECP256R1())
    signed("authority", authority, name("authority"), True)
    signed("server", authority, name("authority"), False)
    signed("client", authority, name("authority"), False)
    return {path.name: str(path) for path in directory.glob("*.*")}


def test_server_that_wants_a_certificate_is_reached_with_one_and_not_without(connect, started, tmp_path):
    files = certificates(tmp_path)
    port = free_port()
    secure = [files["server.crt"], files["server.key"], files["authority.crt"]]
    command = [python(1), str(PLUGINS / "tool_per_hook.py"), "https", str(port), *secure]
    started.program(lambda directory: serve(directory, f"elder-tls-{port}", command, port))
    mcp = {"proto": "STREAMABLEHTTP", "url": f"https://127.0.0.1:{port}/mcp", "reconnect_attempts": 1}
    for kind, tls, guarded in [
        ("mutual", {"ca_bundle": files["authority.crt"], "certfile": files["client.crt"], "keyfile": files["client.key"]}, True),
        ("unchecked", {"verify": False, "client_cert": files["client.crt"], "client_key": files["client.key"]}, True),
        ("nameless", {"ca_bundle": files["authority.crt"]}, False),
        ("distrustful", {"certfile": files["client.crt"], "keyfile": files["client.key"]}, False),
    ]:
        gateway = started.gateway(f"tls-{kind}", [{"name": "Elder", "kind": "external", "mcp": {**mcp, "tls": tls}}])
        text = connect(gateway.url).call("echo", message="forbidden")["content"][0]["text"]
        assert ("Elder: ELDER" if guarded else "PLUGIN_UNAVAILABLE") in text, f"{kind}: {text}"


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_killed_gateway_leaves_no_server_behind(started):
    gateway = started.gateway("killed", [{"name": "Blocker", "kind": "external", "mcp": over_stdio("Blocker")}])
    tasks = Path(f"/proc/{gateway.process.pid}/task").glob("*/children")
    servers = [int(word) for task in tasks for word in task.read_text().split()]
    assert servers, "the gateway has started its server"
    gateway.process.kill()
    gateway.process.wait()
    deadline = time.monotonic() + 20
    while any(alive(pid) for pid in servers):
        assert time.monotonic() < deadline, "a server outlives its gateway"
        time.sleep(0.05)
