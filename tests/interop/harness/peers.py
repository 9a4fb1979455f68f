"""Remote-controlled clients: a real client library in its own process, driven line by line."""

import itertools
import json
import subprocess
import threading
from queue import Empty, Queue

from .processes import HERE, REPOSITORY, node, python

# Name in test ids -> how its program is started. FastMCP and the SDK beneath it share an environment.
CLIENTS = {
    "python-sdk-1": lambda: [python(1), str(HERE / "clients" / "python_client.py"), "sdk"],
    "python-sdk-2": lambda: [python(2), str(HERE / "clients" / "python_client.py"), "sdk"],
    "fastmcp-3": lambda: [python(1), str(HERE / "clients" / "python_client.py"), "fastmcp"],
    "fastmcp-4": lambda: [python(2), str(HERE / "clients" / "python_client.py"), "fastmcp"],
    "typescript": lambda: [node(), str(HERE / "typescript" / "client.mjs")],
}

# Clients of language models, which speak the same small language.
LLM_CLIENTS = {
    "llm-python": lambda: [str(REPOSITORY / ".venv" / "llm" / "bin" / "python"), str(HERE / "clients" / "llm_client.py")],
    "llm-node": lambda: [node(), str(HERE / "typescript" / "llm_client.mjs")],
}


class RpcError(Exception):
    """The JSON-RPC error that the client library saw."""

    def __init__(self, error: dict):
        super().__init__(f"{error['code']}: {error['message']}")
        self.code, self.message, self.data = error["code"], error["message"], error.get("data")


class Peer:
    """One client program; sessions are opened in it as needed."""

    def __init__(self, name: str):
        self.name = name
        self.process = subprocess.Popen(
            (CLIENTS | LLM_CLIENTS)[name](), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.numbers = itertools.count(1)
        self.answers: Queue[dict | None] = Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout:
            if line.startswith("{"):
                self.answers.put(json.loads(line))
        self.answers.put(None)

    def perform(self, session: str, op: str, arguments: dict, seconds: float = 60):
        """Performs one operation; raises what the client library raised."""
        number = next(self.numbers)
        self.process.stdin.write(json.dumps({"id": number, "session": session, "op": op, "arguments": arguments}) + "\n")
        self.process.stdin.flush()
        while True:
            try:
                answer = self.answers.get(timeout=seconds)
            except Empty:
                raise AssertionError(f"{self.name}: `{op}` gave no answer in {seconds} s") from None
            assert answer is not None, f"{self.name} ended during `{op}`"
            if answer["id"] == number:
                break
        if "error" in answer:
            raise RpcError(answer["error"])
        assert "crash" not in answer, f"{self.name}: `{op}` failed:\n{answer.get('crash')}"
        return answer["value"]

    def stop(self) -> None:
        """Ends the program."""
        self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()


class Session:
    """An MCP session of a peer; operations are methods: `session.call_tool(name="echo", arguments={})`."""

    names = itertools.count(1)

    def __init__(self, peer: Peer, url: str, **spec):
        self.peer, self.name = peer, f"s{next(self.names)}"
        self.server = peer.perform(self.name, "open", {"url": url, **spec})

    def __getattr__(self, op: str):
        return lambda **arguments: self.peer.perform(self.name, op, arguments)

    def call(self, tool: str, /, **arguments) -> dict:
        """Calls a tool and gives its result."""
        return self.call_tool(name=tool, arguments=arguments)["result"]

    def text(self, tool: str, /, **arguments) -> str:
        """Calls a tool that must succeed, and gives its first text."""
        result = self.call(tool, **arguments)
        assert not result.get("isError"), result
        return result["content"][0]["text"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
