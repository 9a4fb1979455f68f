"""The official MCP conformance suite, server side: against its fixture directly, and through the gateway."""

import subprocess

import pytest
from harness.processes import HERE, Program, free_port, node, npm_program


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
