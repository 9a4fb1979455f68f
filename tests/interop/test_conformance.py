"""The official MCP conformance suite, server side: against its fixture directly and through the gateway; and against a
server that is an endpoint of a plugin, by itself and as that endpoint."""

import hashlib
import json
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from harness.processes import HERE, Program, free_port, go_program, node, npm_program


@pytest.fixture(scope="module")
def fixture_url(tmp_path_factory):
    """The server the suite expects, which passes it directly."""
    port = free_port()
    script = str(HERE / "typescript" / "conformance_server.mjs")
    program = Program("conformance fixture", [node(), script, str(port)], tmp_path_factory.mktemp("fixture") / "log")
    program.wait_for_port(port)
    yield f"http://127.0.0.1:{port}/mcp"
    program.stop()


def run_suite(url: str, directory, *extra: str) -> str:
    """Runs every scenario; gives its output, and fails with it when the suite says so."""
    command = [*npm_program("conformance"), "server", "--url", url, "--suite", "all", *extra]
    # The suite's own checks of the Host header want a name, not an address.
    command[command.index(url)] = url.replace("127.0.0.1", "localhost")
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)
    output = done.stdout + done.stderr
    summary = output[output.find("=== SUMMARY") :]
    assert done.returncode == 0, f"the conformance suite fails:\n{output[-20_000:]}"
    return summary


@pytest.mark.direct
@pytest.mark.timeout(300)
def test_fixture_passes_every_check_directly(fixture_url, tmp_path):
    summary = run_suite(fixture_url, tmp_path)
    print(summary)
    assert "Total: 44 passed, 0 failed" in summary


@pytest.mark.timeout(300)
def test_gateway_passes_what_the_fixture_passes(stage, fixture_url, tmp_path):
    """All but one check: `server-sse-polling` looks for the priming event of a stream that a server opens before it
    has anything to say. Directly the fixture gets a warning there; the gateway opens a stream when there is a message
    for it, so the suite finds nothing to check."""
    gateway = stage.gateway(("conformance",), lambda: {"upstreams": {"fixture": {"url": fixture_url}}})
    summary = run_suite(gateway.url, tmp_path)
    print(summary)
    assert "Total: 43 passed, 0 failed" in summary


@pytest.fixture(scope="module")
def plugin(tmp_path_factory) -> Path:
    """The suite's server as a plugin in Go, which serves plain HTTP too."""
    program = tmp_path_factory.mktemp("endpoint") / "plugin"
    return go_program("examples/plugins", "./mcp-server/conformance", program)


@pytest.fixture
def plugin_url(plugin, tmp_path):
    """That server by itself, without a gateway."""
    port = free_port()
    program = Program("plain server", [str(plugin), "-listen", f"127.0.0.1:{port}"], tmp_path / "plain.log")
    program.wait_for_port(port)
    yield f"http://127.0.0.1:{port}/mcp"
    program.stop()


def checks(url: str, results: Path) -> list[tuple[str, str, str]]:
    """Every check of the suite against a server: scenario, name, what came of it."""
    results.mkdir()
    print(run_suite(url, results, "--output-dir", str(results)))
    found = []
    for file in sorted(results.glob("**/checks.json")):
        # The folder's name is the scenario's with the time after it.
        scenario = re.sub(r"-\d{4}-\d\d-\d\dT.*", "", file.parent.name)
        found += [(scenario, check["name"], check["status"]) for check in json.loads(file.read_text())]
    # What was sent and received is told too, in no certain number.
    return [check for check in found if check[2] != "INFO"]


@pytest.mark.timeout(300)
def test_endpoint_of_a_plugin_passes_what_its_server_passes_by_itself(stage, plugin, plugin_url, tmp_path):
    """Sessions, streams, requests to the client, and a stream that is closed and taken up again: through the gateway
    each check comes out as it does without one, warnings included."""

    def config() -> dict:
        entry = {"name": "suite", "kind": "process", "command": f"file://{plugin}", "config": {"slug": "suite"}}
        app = {"name": "suite", "tokens": [{"sha256": hashlib.sha256(b"sesame").hexdigest()}]}
        return {"plugins": [{**entry, "offers": ["custom_endpoint"]}], "apps": [app]}

    gateway = stage.gateway(("conformance-endpoint",), config)
    endpoint = f"{gateway.base.rstrip('/')}/plugins/suite/mcp?token=sesame"
    with ThreadPoolExecutor() as both:
        directly = both.submit(checks, plugin_url, tmp_path / "directly")
        through = both.submit(checks, endpoint, tmp_path / "through")
        directly, through = directly.result(), through.result()
    assert through == directly
    passed = [name for _, name, status in through if status == "SUCCESS"]
    assert len(passed) == 47, through
    for name in ["ServerSendsPrimingEvent", "ServerSendsRetryField", "ServerDisconnectResume", "ServerSSEStreamsFunctional"]:
        assert name in passed, name
