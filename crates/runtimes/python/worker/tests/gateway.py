"""The gateway's side of a worker, for tests: starts one as the gateway does and talks frames with it."""

import itertools
import json
import pathlib
import socket
import subprocess
import sys
import tempfile
import textwrap

WORKER = pathlib.Path(__file__).resolve().parent.parent
PACKAGE = WORKER / "mortise_worker"
SECONDS = 20


class Worker:
    """A running worker with a folder for plugins."""

    def __init__(self, interpreter=sys.executable, **settings):
        self.folder = tempfile.TemporaryDirectory()
        ours, theirs = socket.socketpair()
        ours.settimeout(SECONDS)
        boot = (WORKER / "boot.py").read_text()
        command = [interpreter, "-c", boot, json.dumps(settings)]
        self.process = subprocess.Popen(
            command, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
        )
        theirs.close()
        self.link, self.numbers, self.logs, self.early = ours, itertools.count(1), [], {}
        sources = {f"mortise_worker.{path.stem}": path.read_text() for path in PACKAGE.glob("*.py")}
        sources["mortise_worker"] = sources.pop("mortise_worker.__init__")
        self.send(sources)
        self.hello = self.read()["hello"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.link.close()
        try:
            self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        finally:
            self.process.stdout.close()
            self.folder.cleanup()

    def write(self, name, text):
        """Writes a module into the folder of plugins."""
        path = pathlib.Path(self.folder.name) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))

    def send(self, message):
        """Sends a frame."""
        body = json.dumps(message).encode()
        self.link.sendall(len(body).to_bytes(4, "big") + body)

    def receive(self, length):
        """Reads exactly that many bytes."""
        data = b""
        while len(data) < length:
            part = self.link.recv(length - len(data))
            if not part:
                raise EOFError(self.process.stdout.read().decode())
            data += part
        return data

    def read(self):
        """The next frame that is no log line."""
        while True:
            message = json.loads(self.receive(int.from_bytes(self.receive(4), "big")))
            if "log" not in message:
                return message
            self.logs.append(message["log"])

    def begin(self, do, **fields):
        """Sends a request and gives its number."""
        number = next(self.numbers)
        self.send({"id": number, "do": do, **fields})
        return number

    def answer(self, number):
        """The answer to a request, in whatever order they come."""
        while number not in self.early:
            message = self.read()
            self.early[message.pop("id")] = message
        return self.early.pop(number)

    def load(self, path, hooks=("tool_pre_invoke", "tool_post_invoke"), plugin=1, config=None):
        """Loads a class."""
        entry = {"name": f"p{plugin}", "kind": path, "hooks": list(hooks), "mode": "enforce", "config": config or {}}
        fields = {"plugin": plugin, "class": path, "folders": [self.folder.name], "config": entry}
        return self.answer(self.begin("load", hooks=[[hook] for hook in hooks], **fields))

    def begin_call(self, payload, hook="tool_pre_invoke", plugin=1, context=None):
        """Starts a call."""
        context = context or {"state": {}, "metadata": {}, "global_context": {"request_id": "r1"}}
        return self.begin("call", plugin=plugin, hook=hook, payload=payload, context=context)

    def call(self, payload, **fields):
        """Calls a hook."""
        return self.answer(self.begin_call(payload, **fields))
