"""`mortise plugin serve` before other projects' clients, and other projects' gRPC and socket servers behind the gateway."""

import contextlib
import json
import socket
import subprocess

import pytest
import yaml
from harness.gateway import Gateway, binary
from harness.processes import HERE, REPOSITORY, Program, free_port

PLUGINS = HERE / "servers" / "plugins"
SERVED = {
    "plugins": [
        {
            "name": "Pii",
            "kind": "builtin.pii_filter",
            "hooks": ["tool_pre_invoke", "tool_post_invoke"],
            "priority": 10,
            "config": {"detect_email": True, "default_mask_strategy": "redact"},
        },
        {
            "name": "Sql",
            "kind": "plugins.sql_sanitizer.sql_sanitizer.SQLSanitizerPlugin",
            "hooks": ["tool_pre_invoke"],
            "priority": 20,
        },
        {
            "name": "Deny",
            "kind": "plugins.deny_filter.deny.DenyListPlugin",
            "hooks": ["prompt_pre_fetch"],
            "config": {"words": ["forbidden-word"]},
        },
    ]
}


def cpex_python() -> str:
    """The interpreter that has cpex."""
    path = REPOSITORY / ".venv" / "cpex" / "bin" / "python"
    assert path.exists(), f"{path} is missing: run `make setup`"
    return str(path)


def served_file(directory):
    """The plugin list of our server."""
    file = directory / "served.yaml"
    file.write_text(yaml.safe_dump(SERVED))
    return file


def serve(directory, transport: str, *where: str) -> tuple[Program, str]:
    """Our server, and where it listens."""
    ready = directory / f"ready-{transport}"
    command = [str(binary()), "plugin", "serve", "--config", str(served_file(directory)), "--transport", transport]
    program = Program(f"plugins-{transport}", [*command, *where, "--ready-file", str(ready)], directory / f"{transport}.log")
    program.wait_until(lambda: ready.exists() and ready.read_text().strip() != "")
    return program, ready.read_text().strip()


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """Of a short name, as sockets need one."""
    return tmp_path_factory.mktemp("s")


@pytest.fixture(scope="module")
def over_http(directory):
    """Our server over HTTP."""
    program, url = serve(directory, "http", "--port", "0")
    yield url
    program.stop()


def context(request: str = "r1") -> dict:
    """The context of a call as clients send it."""
    return {"state": {}, "global_context": {"request_id": request, "state": {}, "metadata": {}}, "metadata": {}}


def invoke(session, plugin: str, hook: str, payload: dict) -> dict:
    """Calls a plugin as today's clients do."""
    return json.loads(
        session.text("invoke_hook", hook_type=hook, plugin_name=plugin, payload=payload, context=context())
    )


@pytest.mark.clients("python-sdk-1", "python-sdk-2", "fastmcp-4", "typescript")
def test_clients_of_both_generations_are_served(connect, over_http):
    session = connect(over_http)
    tools = {tool["name"] for tool in session.list_tools()}
    assert {"get_plugin_config", "get_plugin_configs", "invoke_hook", "tool_pre_invoke", "prompt_pre_fetch"} <= tools

    entry = json.loads(session.text("get_plugin_config", name="PII"))
    assert entry["name"] == "Pii" and entry["hooks"] == ["tool_pre_invoke", "tool_post_invoke"]
    assert json.loads(session.text("get_plugin_config", name="nobody")) == {}

    told = invoke(session, "Pii", "tool_pre_invoke", {"name": "t", "args": {"to": "ann@example.com", "n": None}})
    changed = told["result"]["modified_payload"]
    assert changed["name"] == "t" and "ann@" not in changed["args"]["to"] and changed["args"]["n"] is None

    told = invoke(session, "Sql", "tool_pre_invoke", {"name": "t", "args": {"query": "DROP TABLE users"}})
    assert told["result"]["continue_processing"] is False
    assert told["result"]["violation"]["code"] == "SQL_SANITIZER"

    # The first generation: a tool for each hook, prompts by `name`.
    told = json.loads(
        session.text(
            "prompt_pre_fetch",
            plugin_name="Deny",
            payload={"name": "greet", "args": {"x": "forbidden-word"}},
            context=context(),
        )
    )
    assert told["result"]["continue_processing"] is False

    told = invoke(session, "Nobody", "tool_pre_invoke", {"name": "t", "args": {}})
    assert "Nobody" in told["error"]["message"]
    missing = session.call("invoke_hook", hook_type="tool_pre_invoke")
    assert missing["isError"] is True


def way_to(transport: str, directory, stack) -> dict:
    """The block of an entry that reaches our server over a transport."""
    if transport == "stdio":
        command = [str(binary()), "plugin", "serve", "--transport", "stdio", "--config", str(served_file(directory))]
        return {"mcp": {"proto": "STDIO", "cmd": command}}
    where = ["--uds", str(directory / f"{transport}.sock")] if transport == "unix" else ["--port", "0"]
    program, address = serve(directory, transport, *where)
    stack.callback(program.stop)
    return {
        "http": {"mcp": {"proto": "STREAMABLEHTTP", "url": address.replace("127.0.0.1", "localhost")}},
        "grpc": {"grpc": {"target": address.removeprefix("grpc://")}},
        "unix": {"unix_socket": {"path": str(directory / "unix.sock")}},
    }[transport]


@pytest.mark.parametrize("transport", ["http", "stdio", "grpc", "unix"])
def test_plugin_manager_of_cpex_takes_our_plugins(transport, directory):
    with contextlib.ExitStack() as stack:
        way = way_to(transport, directory, stack)
        entries = []
        for plugin in SERVED["plugins"]:
            entries.append({"name": plugin["name"], "kind": "external", "hooks": plugin["hooks"], **way})
        file = directory / f"cpex-{transport}.yaml"
        file.write_text(yaml.safe_dump({"plugins": entries, "plugin_dirs": []}))
        log = stack.enter_context((directory / f"cpex-{transport}.log").open("w+"))
        client = subprocess.Popen(
            [cpex_python(), str(HERE / "clients" / "cpex_client.py"), str(file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        stack.callback(client.kill)

        def answer() -> dict:
            for line in client.stdout:
                if line.startswith("{"):
                    return json.loads(line)
            log.seek(0)
            raise AssertionError(log.read()[-3000:])

        def ask(hook: str, payload: dict, **more) -> dict:
            client.stdin.write(json.dumps({"hook": hook, "payload": payload, **more}) + "\n")
            client.stdin.flush()
            return answer()

        assert answer() == {"plugins": 3}

        told = ask("tool_pre_invoke", {"name": "t", "args": {"to": "ann@example.com", "n": 3}}, user="ann")
        assert told["continue_processing"] is True, told
        assert "ann@" not in told["modified_payload"]["args"]["to"] and told["modified_payload"]["args"]["n"] == 3

        told = ask("tool_pre_invoke", {"name": "t", "args": {"query": "DROP TABLE users"}})
        assert told["continue_processing"] is False, told
        assert told["violation"]["code"] == "SQL_SANITIZER" and told["plugin_name"] == "Sql"

        told = ask("prompt_pre_fetch", {"prompt_id": "greet", "args": {"x": "forbidden-word"}})
        assert told["continue_processing"] is False and told["plugin_name"] == "Deny", told

        result = {"content": [{"type": "text", "text": "mail bob@example.com"}], "isError": False}
        told = ask("tool_post_invoke", {"name": "t", "result": result})
        assert "bob@" not in json.dumps(told["modified_payload"]), told


def cpex_server(transport: str, directory, stack) -> dict:
    """The gRPC or socket server of cpex, and the block of an entry that reaches it."""
    env = {"PLUGINS_CONFIG_PATH": str(PLUGINS / "config.yaml"), "PYTHONPATH": str(PLUGINS), "PLUGINS_LOG_LEVEL": "WARNING"}
    module = ["-m", f"cpex.framework.external.{transport}.server.runtime"]
    if transport == "grpc":
        port = free_port()
        command = [cpex_python(), *module, "--port", str(port)]
        program = Program("cpex-grpc", command, directory / "cpex-grpc.log", env)
        stack.callback(program.stop)
        program.wait_for_port(port)
        return {"grpc": {"target": f"127.0.0.1:{port}"}}
    path = directory / "cpex.sock"
    program = Program("cpex-unix", [cpex_python(), *module], directory / "cpex-unix.log", {**env, "UNIX_SOCKET_PATH": str(path)})
    stack.callback(program.stop)

    def listens() -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(path)) == 0

    program.wait_until(listens)
    return {"unix_socket": {"path": str(path)}}


@pytest.fixture(scope="module", params=["grpc", "unix"])
def guarded(request, stage, directory):
    """The gateway with two plugins of a server of cpex."""
    with contextlib.ExitStack() as stack:
        way = cpex_server(request.param, directory, stack)
        hooks = {"Blocker": ["tool_pre_invoke", "prompt_pre_fetch"], "Stateful": ["tool_pre_invoke", "tool_post_invoke"]}
        plugins = [{"name": name, "kind": "external", "hooks": hooks[name], **way} for name in hooks]
        file = directory / f"{request.param}-plugins.yaml"
        file.write_text(yaml.safe_dump({"plugins": plugins}))
        config = {"upstreams": {"fastmcp": {"url": stage.upstream("fastmcp")}}, "plugins_files": [str(file)]}
        gateway = Gateway(directory / f"gateway-{request.param}", config)
        stack.callback(gateway.stop)
        yield gateway


@pytest.mark.clients("python-sdk-2")
def test_servers_of_cpex_guard_our_calls(connect, guarded):
    session = connect(guarded.url)
    blocked = session.call("echo", message="a forbidden thing")
    assert blocked["isError"] is True
    assert "blocked by plugin Blocker: WORD" in blocked["content"][0]["text"]
    assert session.text("echo", message="hello") == "<hello> (asked hello, seen by Stateful)"
    messages = session.get_prompt(name="greet", arguments={"name": "x"})["messages"]
    assert "greet-guest" in str(messages)
    failed = session.call("echo", message="explode")
    assert failed["isError"] is True and "PLUGIN_ERROR" in failed["content"][0]["text"]
    assert session.text("echo", message="on").startswith("<on>")
