"""Starts the programs under test and ends them; keeps what they print for the failure message."""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
REPOSITORY = HERE.parent.parent
NODE_MODULES = HERE / "typescript" / "node_modules"


def python(major: int) -> str:
    """The interpreter that has the MCP SDK of this major version."""
    path = REPOSITORY / ".venv" / f"mcp{major}" / "bin" / "python"
    assert path.exists(), f"{path} is missing: run `make setup`"
    return str(path)


def node() -> str:
    """Node 22, as the conformance suite and the inspector need it; brought by npm, not by the system.

    Taken from the package for this machine: npm 9 forgets the link in `.bin` when it drops the other machines'.
    """
    paths = sorted(NODE_MODULES.glob("node-linux-*/bin/node"))
    assert paths, f"no Node 22 in {NODE_MODULES}: run `make setup`"
    return str(paths[0])


def go_program(module: str, package: str, to: Path) -> Path:
    """Builds a program in Go."""
    own = REPOSITORY / ".tools" / "go" / "bin" / "go"
    go = str(own) if own.exists() else shutil.which("go")
    assert go, "Go is missing: scripts/setup/go.sh"
    # Without debug information, which nobody reads and which takes most of the time.
    command = [go, "build", "-ldflags=-s -w", "-o", str(to), package]
    subprocess.run(command, cwd=REPOSITORY / module, check=True)
    return to


def npm_program(name: str) -> list[str]:
    """The command of a program that an npm package brings."""
    return [node(), str(NODE_MODULES / ".bin" / name)]


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Program:
    """A child process whose output goes to a file."""

    def __init__(self, name: str, command: list[str], log: Path, env: dict[str, str] | None = None):
        assert shutil.which(command[0]), f"{name}: {command[0]} is not there"
        self.name, self.log = name, log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, **(env or {})}
            )

    def wait_until(self, ready, seconds: float = 30) -> None:
        """Waits for a condition, and fails with the program's output if it ends or is too slow."""
        deadline = time.monotonic() + seconds
        while not ready():
            assert self.process.poll() is None, f"{self.name} ended with {self.process.returncode}:\n{self.output()}"
            assert time.monotonic() < deadline, f"{self.name} was not ready in {seconds} s:\n{self.output()}"
            time.sleep(0.02)

    def wait_for_port(self, port: int) -> None:
        """Waits until something accepts connections there."""

        def accepts() -> bool:
            with socket.socket() as probe:
                probe.settimeout(1)
                return probe.connect_ex(("127.0.0.1", port)) == 0

        self.wait_until(accepts)

    def output(self) -> str:
        """The last lines it printed."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-60:])

    def stop(self) -> int:
        """Asks it to end, then makes it; gives its exit code."""
        self.process.terminate()
        try:
            return self.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
