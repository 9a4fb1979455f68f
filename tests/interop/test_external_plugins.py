"""Plugin servers of other projects behind the gateway: what they block, change and remember is seen by a client."""

import contextlib
import os
import signal
import time

import pytest
import yaml
from harness.gateway import Gateway
from harness.peers import RpcError
from harness.processes import HERE, REPOSITORY, Program, free_port, python

PLUGINS = HERE / "servers" / "plugins"
CLIENT = "python-sdk-2"


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


@pytest.fixture(scope="module", params=["stdio", "http"])
def cpex(request, started) -> Gateway:
    """A gateway with two plugins of a cpex server. Hooks, mode and priority are the server's."""
    if request.param == "http":
        port = free_port()
        started.program(cpex_server, port)

        def way(_name):
            return {"proto": "STREAMABLEHTTP", "url": f"http://127.0.0.1:{port}/mcp"}
    else:
        way = over_stdio
    plugins = [{"name": name, "kind": "external", "mcp": way(name)} for name in ["Blocker", "Stateful"]]
    return started.gateway(f"cpex-{request.param}", plugins)


@pytest.fixture(scope="module", params=["stdio", "http", "sse"])
def elder(request, started) -> Gateway:
    """A gateway with the plugin of a server of the first generation."""
    command = [python(1), str(PLUGINS / "tool_per_hook.py"), request.param]
    if request.param == "stdio":
        way = {"proto": "stdio", "cmd": command}
    else:
        port = free_port()
        started.program(lambda directory: serve(directory, f"elder-{port}", [*command, str(port)], port))
        path = {"http": "mcp", "sse": "sse"}[request.param]
        way = {"proto": {"http": "http", "sse": "SSE"}[request.param], "url": f"http://127.0.0.1:{port}/{path}"}
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
