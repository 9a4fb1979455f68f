"""ContextForge itself, both ways: its gateway and its plugin manager with `mortise plugin serve`, and its plugin server behind
our gateway."""

import contextlib
import json
import subprocess
import urllib.request

import pytest
import yaml
from harness.gateway import Gateway, binary
from harness.processes import HERE, REPOSITORY, Program, free_port

PLUGINS = HERE / "servers" / "plugins"
SETTINGS = {
    "parallel_execution_within_band": False,
    "plugin_timeout": 30,
    "fail_on_plugin_error": False,
    "enable_plugin_api": True,
    "plugin_health_check_interval": 60,
}
SERVED = {
    "plugins": [
        {
            "name": "Pii",
            "kind": "builtin.pii_filter",
            "hooks": ["tool_pre_invoke", "tool_post_invoke"],
            "priority": 10,
            "config": {"detect_email": True, "default_mask_strategy": "redact"},
        },
        {"name": "Sql", "kind": "builtin.sql_sanitizer", "hooks": ["tool_pre_invoke"], "priority": 20},
        {"name": "Deny", "kind": "builtin.deny_list", "hooks": ["prompt_pre_fetch"], "config": {"words": ["forbidden-word"]}},
    ]
}


def contextforge_python() -> str:
    """The interpreter that has ContextForge."""
    path = REPOSITORY / ".venv" / "contextforge" / "bin" / "python"
    assert path.exists(), f"{path} is missing: run `make setup`"
    return str(path)


def our_server(transport: str, directory, stack) -> dict:
    """`mortise plugin serve`, and the block of an entry that reaches it."""
    file = directory / "served.yaml"
    file.write_text(yaml.safe_dump(SERVED))
    command = [str(binary()), "plugin", "serve", "--config", str(file), "--transport", transport]
    if transport == "stdio":
        # This release starts nothing but Python.
        script = directory / "serve.py"
        script.write_text(f"import os\nos.execv({command[0]!r}, {command!r})\n")
        return {"proto": "STDIO", "script": str(script)}
    ready = directory / "ready"
    program = Program("served", [*command, "--port", "0", "--ready-file", str(ready)], directory / "served.log")
    stack.callback(program.stop)
    program.wait_until(lambda: ready.exists() and ready.read_text().strip() != "")
    return {"proto": "STREAMABLEHTTP", "url": ready.read_text().strip()}


@pytest.mark.parametrize("transport", ["http", "stdio"])
def test_its_plugin_manager_takes_our_plugins(transport, tmp_path):
    with contextlib.ExitStack() as stack:
        way = our_server(transport, tmp_path, stack)
        entries = [{"name": p["name"], "kind": "external", "hooks": p["hooks"], "mcp": way} for p in SERVED["plugins"]]
        file = tmp_path / "contextforge.yaml"
        file.write_text(yaml.safe_dump({"plugins": entries, "plugin_dirs": [], "plugin_settings": SETTINGS}))
        calls = [
            {"hook": "tool_pre_invoke", "payload": {"name": "t", "args": {"to": "ann@example.com", "n": 3}}, "user": "ann"},
            {"hook": "tool_pre_invoke", "payload": {"name": "t", "args": {"query": "DROP TABLE users"}}},
            {"hook": "prompt_pre_fetch", "payload": {"prompt_id": "greet", "args": {"x": "forbidden-word"}}},
        ]
        ran = subprocess.run(
            [contextforge_python(), str(HERE / "clients" / "contextforge_client.py"), str(file)],
            input="".join(json.dumps(call) + "\n" for call in calls),
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=90,
        )
        told = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]
        assert len(told) == 4, ran.stderr[-3000:]
        plugins, masked, blocked, prompt = told
        assert plugins == {"plugins": 3}
        assert masked["modified_payload"]["args"] == {"to": "[REDACTED]", "n": 3}, masked
        assert (blocked["violation"]["code"], blocked["plugin_name"]) == ("SQL_SANITIZER", "Sql"), blocked
        assert prompt["continue_processing"] is False and prompt["plugin_name"] == "Deny", prompt


def asked(url: str, body: dict | None = None):
    """What a request to its API is answered, as JSON."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json", "accept": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=30) as answer:
        return json.load(answer)


@pytest.fixture(scope="module")
def their_gateway(stage, tmp_path_factory):
    """Its whole gateway, in front of our FastMCP server, with the plugins that `mortise plugin serve` serves."""
    directory = tmp_path_factory.mktemp("contextforge-gateway")
    with contextlib.ExitStack() as stack:
        way = our_server("http", directory, stack)
        entries = [{"name": p["name"], "kind": "external", "hooks": p["hooks"], "mcp": way} for p in SERVED["plugins"]]
        file = directory / "plugins.yaml"
        file.write_text(yaml.safe_dump({"plugins": entries, "plugin_dirs": [], "plugin_settings": SETTINGS}))
        port = free_port()
        command = [contextforge_python(), "-m", "uvicorn", "mcpgateway.main:app", "--host", "127.0.0.1", "--port", str(port)]
        env = {
            "DATABASE_URL": f"sqlite:///{directory}/gateway.db",
            "CACHE_TYPE": "memory",
            "AUTH_REQUIRED": "false",
            "MCPGATEWAY_UI_ENABLED": "false",
            "PLUGINS_ENABLED": "true",
            "PLUGIN_CONFIG_FILE": str(file),
        }
        program = Program("contextforge", command, directory / "gateway.log", env)
        stack.callback(program.stop)
        base = f"http://127.0.0.1:{port}"

        def is_ready() -> bool:
            with contextlib.suppress(OSError):
                return asked(f"{base}/health")["status"] == "healthy"
            return False

        program.wait_until(is_ready, seconds=90)
        asked(f"{base}/gateways", {"name": "ours", "url": stage.upstream("fastmcp"), "transport": "STREAMABLEHTTP"})
        yield base


def test_its_gateway_runs_our_plugins_on_its_calls(their_gateway):
    names = [tool["name"] for tool in asked(f"{their_gateway}/tools")]
    assert "ours-echo" in names, names

    def call(message: str) -> dict:
        params = {"name": "ours-echo", "arguments": {"message": message}}
        return asked(f"{their_gateway}/rpc", {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})

    passed = call("write to ann@example.com")
    text = passed["result"]["content"][0]["text"]
    assert "[REDACTED]" in text and "ann@example.com" not in text, passed
    blocked = call("DROP TABLE users")
    assert blocked["error"]["data"]["plugin_error_code"] == "SQL_SANITIZER", blocked
    assert blocked["error"]["data"]["plugin_name"] == "Sql", blocked


@pytest.fixture(scope="module", params=["http", "stdio"])
def guarded(request, stage, tmp_path_factory):
    """The gateway, with the plugin of a ContextForge plugin server."""
    directory = tmp_path_factory.mktemp(f"contextforge-{request.param}")
    entry = {
        "name": "Elder",
        "kind": "contextforge_guards.Guard",
        "hooks": ["tool_pre_invoke", "tool_post_invoke"],
        "mode": "enforce",
        "config": {"word": "forbidden"},
    }
    file = directory / "server.yaml"
    file.write_text(yaml.safe_dump({"plugins": [entry], "plugin_dirs": [], "plugin_settings": SETTINGS}))
    command = [contextforge_python(), "-m", "mcpgateway.plugins.framework.external.mcp.server.runtime"]
    port = free_port()
    env = {
        "PYTHONPATH": str(PLUGINS),
        "PLUGINS_CONFIG_PATH": str(file),
        "PLUGINS_TRANSPORT": request.param,
        "PLUGINS_SERVER_PORT": str(port),
    }
    with contextlib.ExitStack() as stack:
        if request.param == "stdio":
            way = {"proto": "STDIO", "cmd": command, "env": env, "cwd": str(directory)}
        else:
            program = Program("contextforge", command, directory / "server.log", env)
            stack.callback(program.stop)
            program.wait_for_port(port)
            way = {"proto": "STREAMABLEHTTP", "url": f"http://127.0.0.1:{port}/mcp"}
        plugins = [{"name": "Elder", "kind": "external", "mcp": way}]
        config = {"upstreams": {"fastmcp": {"url": stage.upstream("fastmcp")}}, "plugins": plugins}
        gateway = Gateway(directory / "gateway", config)
        stack.callback(gateway.stop)
        yield gateway


@pytest.mark.clients("python-sdk-1")
def test_its_plugin_server_guards_our_calls(connect, guarded):
    session = connect(guarded.url)
    blocked = session.call("echo", message="a forbidden thing")
    assert blocked["isError"] is True
    assert "blocked by plugin Elder: ELDER" in blocked["content"][0]["text"]
    assert session.text("echo", message="hello") == "hello (asked hello)"
