"""The real MCP servers the gateway stands before: how each is started, over HTTP and over stdio."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .processes import HERE, Program, free_port, npm_program, python


@dataclass(frozen=True)
class Upstream:
    """A server program: its command over stdio (none if it cannot), and over HTTP on a port."""

    name: str
    stdio: Callable[[], list[str]] | None
    http: Callable[[int], tuple[list[str], dict[str, str]]]

    def serve(self, directory: Path) -> tuple[Program, str]:
        """Starts it over streamable HTTP; gives the process and its URL."""
        port = free_port()
        command, env = self.http(port)
        program = Program(self.name, command, directory / f"{self.name}.log", env)
        program.wait_for_port(port)
        return program, f"http://127.0.0.1:{port}/mcp"


def script(name: str) -> str:
    """The path of one of our own servers."""
    return str(HERE / "servers" / name)


UPSTREAMS = {
    upstream.name: upstream
    for upstream in [
        Upstream(
            "fastmcp",
            stdio=lambda: [python(1), script("fastmcp_server.py"), "stdio"],
            http=lambda port: ([python(1), script("fastmcp_server.py"), "http", str(port)], {}),
        ),
        # The same program on FastMCP 4: speaks the stateless revision too.
        Upstream(
            "fastmcp4",
            stdio=lambda: [python(2), script("fastmcp_server.py"), "stdio"],
            http=lambda port: ([python(2), script("fastmcp_server.py"), "http", str(port)], {}),
        ),
        Upstream(
            "everything",
            stdio=lambda: [*npm_program("mcp-server-everything"), "stdio"],
            http=lambda port: ([*npm_program("mcp-server-everything"), "streamableHttp"], {"PORT": str(port)}),
        ),
        Upstream("raw", stdio=None, http=lambda port: ([python(1), script("raw_server.py"), str(port)], {})),
    ]
}
