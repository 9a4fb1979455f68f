"""Who may do what here is written into the metadata of apps: `notes_access` and `allowed_operations`."""

import json

from mortise_sdk import Plugin, Response, endpoint
from mortise_sdk.process import serve


def answer(status, value):
    return Response(json.dumps(value), status, {"content-type": "application/json"})


class Notes(Plugin):
    """Notes, for apps that may."""

    name = "notes"
    id = "com.example.notes"
    services = ("kv.readwrite",)

    @endpoint("/*", ["GET", "PUT", "DELETE"], auth=True)
    async def notes(self, request, context):
        """Keeps notes"""
        if not request.authenticated or request.app is None:
            return answer(401, {"error": "unauthorized"})
        metadata = request.app["metadata"]
        if metadata.get("notes_access") != "allowed":
            return answer(403, {"error": f"{request.app['name']} has no access to notes"})
        # Data that are lists come as JSON; a text is a list with commas.
        allowed = metadata.get("allowed_operations", "")
        allowed = json.loads(allowed) if allowed.startswith("[") else [one for one in allowed.split(",") if one]
        if allowed and request.method not in allowed:
            return answer(405, {"error": f"{request.app['name']} may {', '.join(allowed)}"})
        key = f"{request.app['name']}:{'/'.join(request.segments)}"
        match request.method:
            case "PUT":
                new = await context.kv.set(key, request.body)
                return answer(201 if new else 200, {"kept": len(request.body)})
            case "DELETE":
                return answer(200, {"deleted": await context.kv.delete(key)})
        note = await context.kv.get(key)
        if note is None:
            return answer(404, {"error": "there is no such note"})
        return Response(note, headers={"content-type": "text/plain; charset=utf-8"})


if __name__ == "__main__":
    serve(Notes)
