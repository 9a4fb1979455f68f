"""The author's loop: a plugin made from each template is built, passes its own tests and the contract, and changes a call.

Packages come from what `make setup` has installed, so that nothing is fetched here.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
import tomllib
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml
from harness.gateway import Gateway, binary
from harness.processes import NODE_MODULES, REPOSITORY, Program, free_port, node, python

EXTERNAL = ["python-external", "typescript-external", "rust-external"]
CALL = ["--call", "echo", "--args", json.dumps({"message": "my secret plan"})]


def environment() -> dict[str, str]:
    """Where programs and packages are."""
    cargo = Path.home() / ".cargo" / "bin"
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    channel = tomllib.loads((REPOSITORY / "rust-toolchain.toml").read_text())["toolchain"]["channel"]
    return {
        **os.environ,
        "PATH": f"{binary().parent}:{cargo}:{os.environ['PATH']}",
        "PYTHON": python(2),
        "NODE": node(),
        "TSC": str(NODE_MODULES / "typescript" / "bin" / "tsc"),
        # What the workspace has built is not built again.
        "CARGO_TARGET_DIR": str(target),
        # With the compiler that it was built with; outside the checkout another may be the default, or none.
        "RUSTUP_TOOLCHAIN": channel,
        "CARGO_NET_OFFLINE": "true",
        "NO_COLOR": "1",
    }


def run(*command: str, folder: Path, seconds: int = 60) -> str:
    """Runs a command that must succeed; what it printed."""
    ran = subprocess.run(
        command, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds
    )
    assert ran.returncode == 0, f"{command} ended with {ran.returncode}:\n{ran.stdout[-6000:]}"
    return ran.stdout


def mcpplugins(folder: Path) -> str:
    """The command of the documents: `mortise` under that name."""
    link = folder / "bin" / "mcpplugins"
    link.parent.mkdir()
    link.symlink_to(binary())
    return str(link)


def made(folder: Path, template: str) -> Path:
    """A plugin made from a template, with its packages in place."""
    project = folder / template
    command = [str(binary()), "plugin", "new", "word-filter", "--template", template, "--destination", str(project)]
    run(*command, "--mortise-source", str(REPOSITORY), folder=folder)
    if template.startswith("typescript"):
        (project / "node_modules").symlink_to(NODE_MODULES)
    if template.startswith("rust"):
        shutil.copy(REPOSITORY / "Cargo.lock", project / "Cargo.lock")
    return project


@pytest.fixture(scope="module", params=EXTERNAL)
def project(request, tmp_path_factory) -> Path:
    """A plugin of its own process."""
    return made(tmp_path_factory.mktemp("loop"), request.param)


@pytest.mark.timeout(1300)
def test_a_plugin_from_a_template_passes_its_own_tests(project):
    run("make", "test", folder=project, seconds=1200)


@pytest.mark.timeout(1300)
def test_a_plugin_from_a_template_keeps_the_contract(project):
    told = run(str(binary()), "plugin", "test", ".", "--format", "json", folder=project, seconds=1200)
    told = json.loads(told[told.index("{") :])
    assert told["ok"] and told["warnings"] == 0, told
    assert any("900000 bytes" in check["check"] for check in told["checks"])


@pytest.mark.timeout(1300)
def test_a_plugin_from_a_template_changes_a_call(project):
    told = run(str(binary()), "plugin", "dev", "--port", "0", *CALL, "--once", folder=project, seconds=1200)
    assert "echo: my ****** plan" in told, told


@pytest.mark.timeout(2200)
def test_a_native_plugin_from_a_template_is_a_gateway(tmp_path):
    project = made(tmp_path, "rust-native")
    run("make", "test", folder=project, seconds=1200)
    told = run(str(binary()), "plugin", "dev", "--port", "0", *CALL, "--once", folder=project, seconds=900)
    assert "echo: my ****** plan" in told, told


@pytest.mark.timeout(1300)
@pytest.mark.parametrize("template", ["go-process", "python-process", "rust-process"])
def test_a_program_from_a_template_is_started_by_the_gateway(template, tmp_path):
    project = made(tmp_path, template)
    env = environment()
    env["PATH"] = f"{env['PATH']}:{REPOSITORY / '.tools' / 'go' / 'bin'}"
    if template.startswith("python"):
        env["PYTHON"] = str(REPOSITORY / ".venv" / "sdk" / "bin" / "python")
    tested = subprocess.run(["make", "test"], cwd=project, env=env, capture_output=True, text=True, timeout=1200)
    assert tested.returncode == 0, tested.stdout[-3000:] + tested.stderr[-3000:]
    log = tmp_path / "dev.log"
    with log.open("wb") as output:
        command = [str(binary()), "plugin", "dev", "--port", "0", *CALL]
        dev = subprocess.Popen(command, cwd=project, env=env, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_for(lambda: "echo: my secret plan" in log.read_text(), log, seconds=900)
        url = re.search(r"the gateway is at (\S+)/mcp", log.read_text())[1]
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{url}/internal/x", timeout=10)
        assert refused.value.code == 404 and b"nothing here" in refused.value.read()
    finally:
        dev.send_signal(signal.SIGINT)
        dev.wait(timeout=20)


def test_a_python_class_from_a_template_runs_in_the_gateway(tmp_path):
    run(mcpplugins(tmp_path), "bootstrap", "-d", "my-plugin", "--template_type", "native", folder=tmp_path)
    project = tmp_path / "my-plugin"
    (project / "call.json").write_text(json.dumps({"name": "echo", "result": {"content": [{"type": "text", "text": "a secret"}]}}))
    command = ["plugins", "test", "MyPlugin", "--config", "config.yaml", "--hook", "tool_post_invoke", "--payload", "call.json"]
    told = run(str(binary()), *command, "--format", "json", folder=project)
    told = json.loads(told[told.index("{") :])
    assert told["payload"]["result"]["content"][0]["text"] == "a ******", told


def test_bootstrap_of_the_documents_makes_a_server_and_overwrites_nothing(tmp_path):
    command = [mcpplugins(tmp_path), "bootstrap", "--destination", "./my-security-plugin"]
    run(*command, "--no_input", folder=tmp_path)
    project = tmp_path / "my-security-plugin"
    (project / ".env").write_text((project / ".env.template").read_text())
    run("make", "test", folder=project)
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert again.returncode == 1 and "is not empty" in again.stderr
    assert yaml.safe_load((project / "plugin-manifest.yaml").read_text())["name"] == "MySecurityPlugin"


def children() -> list[str]:
    """Command lines of all processes that belong to a plugin of these tests."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if "-m word_filter" in line or "mortise-dev-" in line:
            lines.append(line)
    return lines


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_change_is_taken_up_and_nothing_is_left_at_the_end(how, tmp_path):
    project = made(tmp_path, "python-external")
    log = tmp_path / "dev.log"
    before = set(children())
    with log.open("wb") as output:
        command = [str(binary()), "plugin", "dev", "--port", "0", *CALL]
        dev = subprocess.Popen(command, cwd=project, env=environment(), stdout=output, stderr=subprocess.STDOUT)

    def wait(text: str, seconds: float = 30) -> float:
        begun = time.monotonic()
        while text not in log.read_text():
            assert dev.poll() is None and time.monotonic() < begun + seconds, log.read_text()
            time.sleep(0.02)
        return time.monotonic() - begun

    try:
        wait("echo: my ****** plan")
        file = project / "word_filter" / "plugin.py"
        text = file.read_text()
        file.write_text(text.replace('word: str = "secret"', 'word: str = "plan"'))
        assert wait("has changed") < 1.5, "a change is seen within a second"
        wait("echo: my secret ******")
        file.write_text(text + "\nthis is no Python\n")
        wait("ended before it listened")
        file.write_text(text)
        deadline = time.monotonic() + 30
        while log.read_text().count("echo: my ****** plan") < 2:
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
    finally:
        dev.send_signal(how)
        dev.wait(timeout=20)
    deadline = time.monotonic() + 15
    while set(children()) - before:
        assert time.monotonic() < deadline, set(children()) - before
        time.sleep(0.05)


OURS = "# ours\nplugins:\n  - name: mask   # stays\n    kind: builtin.pii_filter\n    hooks: [tool_post_invoke]\n"


@pytest.fixture
def watching(stage, tmp_path):
    """A gateway that watches a plugin file of its own."""
    file = tmp_path / "plugins.yaml"
    file.write_text(OURS)
    gateway = Gateway(tmp_path / "gateway", {"upstreams": {"fastmcp": {"url": stage.upstream("fastmcp")}}, "plugins_files": [str(file)]})
    yield gateway, file
    gateway.stop()


@pytest.mark.clients("python-sdk-2")
def test_a_plugin_enters_a_running_gateway_and_leaves_it(watching, connect, tmp_path):
    gateway, file = watching
    project = made(tmp_path, "python-external")
    session = connect(gateway.url)
    assert session.text("echo", message="my secret plan") == "my secret plan"
    command = [str(binary()), "plugin", "dev", "--into", str(file)]
    with (tmp_path / "dev.log").open("wb") as output:
        dev = subprocess.Popen(command, cwd=project, env=environment(), stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_for(lambda: session.text("echo", message="my secret plan") == "my ****** plan", tmp_path / "dev.log")
    finally:
        dev.send_signal(signal.SIGTERM)
        dev.wait(timeout=20)
    assert file.read_text() == OURS
    wait_for(lambda: session.text("echo", message="my secret plan") == "my secret plan", tmp_path / "dev.log")


def wait_for(condition, log: Path, seconds: float = 30) -> None:
    """Waits until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


def test_servers_that_break_the_contract_are_told_from_those_that_keep_it(tmp_path):
    liar = tmp_path / "liar.py"
    liar.write_text(
        "import json, sys\n"
        "for line in sys.stdin:\n"
        "    asked = json.loads(line)\n"
        "    if 'id' not in asked: continue\n"
        "    params, method = asked.get('params') or {}, asked['method']\n"
        "    told = {'plugin_name': 'Liar', 'result': 'yes'}\n"
        "    if params.get('name') == 'get_plugin_config':\n"
        "        told = {'name': 'Liar', 'hooks': ['tool_pre_invoke']}\n"
        "    result = {'content': [{'type': 'text', 'text': json.dumps(told)}]}\n"
        "    if method == 'initialize':\n"
        "        result = {'protocolVersion': params['protocolVersion'], 'capabilities': {'tools': {}},\n"
        "                  'serverInfo': {'name': 'liar', 'version': '1'}}\n"
        "    if method == 'tools/list':\n"
        "        names = ['invoke_hook', 'get_plugin_config']\n"
        "        result = {'tools': [{'name': name, 'inputSchema': {'type': 'object'}} for name in names]}\n"
        "    print(json.dumps({'jsonrpc': '2.0', 'id': asked['id'], 'result': result}), flush=True)\n"
    )
    command = [str(binary()), "plugin", "test", "--plugin", "Liar", "--timeout", "2", "--format", "json"]
    ran = subprocess.run([*command, "--command", python(2), str(liar)], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    failed = [check["check"] for check in json.loads(ran.stdout)["checks"] if check["result"] == "failed"]
    assert "tool_pre_invoke: answers" in failed, failed
    assert any("at once" in check for check in failed), failed


class Service(BaseHTTPRequestHandler):
    """OpenAI's moderation endpoint, which flags a word."""

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        results = []
        for text in asked["input"]:
            bad = "forbidden" in text
            results.append({"flagged": bad, "categories": {"violence": bad}, "category_scores": {"violence": 0.9 if bad else 0.1}})
        body = json.dumps({"id": "m", "model": asked["model"], "results": results}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def moderation(tmp_path_factory):
    """The moderation server in TypeScript, compiled, and the service it asks."""
    folder = tmp_path_factory.mktemp("moderation")
    source = REPOSITORY / "plugins" / "openai-moderation-ts"
    shutil.copytree(source, folder / "plugin", ignore=shutil.ignore_patterns("node_modules", "dist"))
    (folder / "plugin" / "node_modules").symlink_to(NODE_MODULES)
    run(node(), environment()["TSC"], folder=folder / "plugin")
    service = HTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=service.serve_forever, daemon=True).start()
    env = {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": f"http://127.0.0.1:{service.server_port}/v1"}
    yield [node(), str(folder / "plugin" / "dist" / "server.js")], env
    service.shutdown()


@pytest.fixture(params=["stdio", "http"])
def moderated(request, stage, moderation, tmp_path):
    """A gateway whose calls that server looks at."""
    command, env = moderation
    server = None
    way = {"proto": "STDIO", "cmd": command, "env": env}
    if request.param == "http":
        port = free_port()
        env = {**env, "PLUGINS_TRANSPORT": "http", "PLUGINS_SERVER_PORT": str(port)}
        server = Program("moderation", command, tmp_path / "moderation.log", env)
        server.wait_for_port(port)
        way = {"proto": "STREAMABLEHTTP", "url": f"http://127.0.0.1:{port}/mcp"}
    entry = {"name": "OpenAIModeration", "kind": "external", "mcp": way}
    config = {"upstreams": {"fastmcp": {"url": stage.upstream("fastmcp")}}, "plugins": [entry]}
    gateway = Gateway(tmp_path / "gateway", config)
    yield gateway
    gateway.stop()
    if server:
        server.stop()


@pytest.mark.clients("python-sdk-1")
def test_a_moderation_server_in_typescript_guards_calls(moderated, connect):
    session = connect(moderated.url)
    blocked = session.call("echo", message="a forbidden thing")
    assert "OPENAI_MODERATION_FLAGGED" in blocked["content"][0]["text"], blocked
    assert session.text("echo", message="hello") == "hello"
