"""An MCP server of bytes: what it answers is written out by hand, so that no library tidies it.

It serves the tests of what must survive unchanged: unknown fields, unknown methods, numbers beyond 2^53 and
floats with many digits. It needs no session, keeps the bodies it was sent, and gives them back at GET /seen.

    python raw_server.py PORT
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# Text, not objects: the tests compare it with what comes out of the gateway, number by number.
RESULT = (
    '{"content":[{"type":"text","text":"ok","x-vendor":{"deep":[1,{"a":null}]}}],'
    '"structuredContent":{"big":9223372036854775808123,"negative":-9007199254740993,"float":0.1000000000000000055511,'
    '"exponent":1E+400,"empty":{},"null":null},"isError":false,"x-unknown":"kept","_meta":{"vendor/trace":"t-1"}}'
)
TOOLS = (
    '{"tools":[{"name":"raw","description":"Answers exact bytes","inputSchema":{"type":"object","additionalProperties":true},'
    '"execution":{"taskSupport":"optional"},"x-vendor":{"rank":18446744073709551616}}],"x-list":"kept"}'
)
INITIALIZE = (
    '{"protocolVersion":%s,"capabilities":{"tools":{"listChanged":false},"experimental":{"vendor/x":{"y":1}}},'
    '"serverInfo":{"name":"raw","version":"1.0.0"}}'
)
KNOWN_VERSIONS = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"]


class Handler(BaseHTTPRequestHandler):
    """One JSON-RPC message per POST, answered with application/json."""

    protocol_version = "HTTP/1.1"
    seen: list[str] = []

    def log_message(self, *_args):
        """Silent: a test's output is its own."""

    def do_GET(self):
        """The bodies received so far, or 405: it offers no stream."""
        if self.path == "/seen":
            self.answer(200, json.dumps(self.seen))
        else:
            self.answer(405, "")

    def do_DELETE(self):
        """It keeps no session to end."""
        self.answer(405, "")

    def do_POST(self):
        """Answers by method."""
        body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
        self.seen.append(body)
        message = json.loads(body)
        if "id" not in message:
            self.answer(202, "")
            return
        method = message.get("method")
        if method == "initialize":
            asked = message["params"]["protocolVersion"]
            result = INITIALIZE % json.dumps(asked if asked in KNOWN_VERSIONS else KNOWN_VERSIONS[-1])
        elif method == "tools/list":
            result = TOOLS
        elif method == "tools/call":
            result = RESULT
        elif method == "ping":
            result = "{}"
        elif method == "vendor/thing":
            result = '{"vendor":"answer","big":9223372036854775808123}'
        else:
            error = '{"code":-32601,"message":"Method not found","data":{"vendor":1}}'
            self.answer(200, '{"jsonrpc":"2.0","id":%s,"error":%s}' % (json.dumps(message["id"]), error))
            return
        self.answer(200, '{"jsonrpc":"2.0","id":%s,"result":%s}' % (json.dumps(message["id"]), result))

    def answer(self, status: int, body: str) -> None:
        """Writes one complete answer."""
        data = body.encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class Server(ThreadingHTTPServer):
    """Sends small answers at once."""

    daemon_threads = True
    request_queue_size = 128


if __name__ == "__main__":
    Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
