"""The conformance plugin of the Python kit: it does what sdks/conformance/README.md says."""

import json
import os

from mortise_sdk import Plugin, Response, block, change, endpoint
from mortise_sdk.process import serve


class Conformance(Plugin):
    """Does what every kit's plugin can do."""

    name = "conformance"
    id = "test.mortise.conformance"
    services = ("kv.readwrite",)
    config_schema = {"type": "object", "properties": {"slug": {"type": "string"}}}

    def start(self):
        if reason := self.config.get("refuse"):
            raise RuntimeError(reason)

    def stop(self):
        self.note("shutdown")

    def note(self, line):
        if path := self.config.get("journal"):
            with open(path, "a", encoding="utf-8") as journal:
                print(line, file=journal)

    async def http_pre_request(self, payload, context):
        match payload["headers"].get("x-conformance", "").split():
            case ["block"]:
                headers = {"retry-after": "7"}
                return block("blocked on demand", status=429, headers=headers, body="blocked on demand")
            case ["block-plain"]:
                return block("no more of this")
            case ["set"]:
                return change({"x-conformance-set": "1"})
            case ["fail"]:
                raise RuntimeError("fails on demand")
            case ["panic"]:
                return 1 / 0
            case ["config", key]:
                return tell(self.config.get(key, ""))
            case ["about"]:
                return tell(f"{payload['method']} {payload['path']} {context.request_id}")
            case ["pid"]:
                return tell(str(os.getpid()))
            case ["write", key, value]:
                await context.kv.set(key, value.encode())
                return tell("done")
            case ["read", key]:
                value = await context.kv.get(key)
                return tell("not found" if value is None else value)
            case ["delete", key]:
                await context.kv.delete(key)
                return tell("done")
            case ["publish", topic]:
                await context.events.publish(topic, {"from": "conformance"})
                return tell("done")
            case ["print"]:
                print("printed on demand")
                context.log.info("logged on demand", kit="python")

    def http_auth_resolve_user(self, payload, context):
        token = (payload["credentials"] or {}).get("credentials", "")
        if not token.startswith("token-of-"):
            return block("nobody knows this token")
        name = token.removeprefix("token-of-")
        return change({"email": f"{name}@example.com", "app": "7", "tenant": "acme"})

    def llm_input(self, payload, context):
        told = context.shared.get("seen_by")
        context.shared["seen_by"] = "conformance"
        body = json.dumps(payload["body"])
        if "forbidden" in body:
            return block(f"not for {context.user}")
        if "replace me" in body:
            return change({"body": {"model": "small"}})
        if "context" in body and told:
            return change({"headers": {"x-seen-by": told}})

    def http_post_forwarding_call(self, payload, context):
        return change({"x-conformance-seen": payload["headers"].get("content-type", "")})

    def llm_output(self, payload, context):
        body = json.dumps(payload["body"], separators=(",", ":"))
        if payload["streamed"]:
            self.note(f"stream: {body}")
        elif "empty me" in body:
            return change({"headers": {}, "body": None})
        elif "secret" in body:
            return change({"body": json.loads(body.replace("secret", "******"))})

    def record_proxy_log(self, payload, context):
        self.note(f"log: {payload['status']} {payload['request_id']}")
        if payload["status"] >= 500:
            raise RuntimeError("the disk is full")

    def record_analytics(self, payload, context):
        self.note(f"analytics: {payload['model']}")

    def record_budget_usage(self, payload, context):
        self.note(f"budget: {payload['tokens_used']}")

    @endpoint("/echo", ["GET", "POST", "PUT", "DELETE", "PATCH"])
    def echo(self, request, context):
        """Echoes the request"""
        return answer(200, {
            "method": request.method,
            "path": request.path,
            "relative_path": request.relative_path,
            "segments": request.segments,
            "query": request.query,
            "body": request.body.decode(),
            "header": request.headers.get("x-conformance", ""),
            "authenticated": request.authenticated,
        })

    @endpoint("/whoami", auth=True)
    def whoami(self, request, context):
        """Tells the caller"""
        app = request.app or {}
        return answer(200, {"app": app.get("name"), "metadata": app.get("metadata"), "scopes": request.scopes})

    @endpoint("/fail")
    def fail(self, request, context):
        """Fails"""
        raise RuntimeError("fails on demand")

    @endpoint("/stream")
    async def stream(self, request, context):
        """Streams"""
        yield Response(status=201, headers={"content-type": "text/event-stream"})
        for at in range(3):
            yield f"data: {at}\n\n"

    @endpoint("/stream-fail")
    async def stream_fail(self, request, context):
        """Fails to stream"""
        raise RuntimeError("no stream today")
        yield b""

    @endpoint("/*")
    def rest(self, request, context):
        """Everything else"""
        return answer(404, {"missing": request.relative_path})


def tell(text):
    return block("told", status=418, body=text)


def answer(status, value):
    headers = {"content-type": "application/json", "x-echo": "1"}
    return Response(json.dumps(value), status, headers)


if __name__ == "__main__":
    serve(Conformance)
