"""The plugin manager of cpex, with plugins of kind `external`: what a gateway of that family does with a plugin server.

    python cpex_client.py CONFIG

Reads calls as JSON lines `{"hook", "payload", "user", "keep"}` and answers each with what came of it, as one JSON line.
Calls with the same `keep` share a request, as the hooks of one do.
"""

import asyncio
import json
import sys

from cpex.framework import (
    GlobalContext,
    PluginManager,
    PromptPrehookPayload,
    ToolPostInvokePayload,
    ToolPreInvokePayload,
)

PAYLOADS = {
    "tool_pre_invoke": ToolPreInvokePayload,
    "tool_post_invoke": ToolPostInvokePayload,
    "prompt_pre_fetch": PromptPrehookPayload,
}


async def main() -> None:
    manager = PluginManager(sys.argv[1])
    await manager.initialize()
    print(json.dumps({"plugins": manager.plugin_count}), flush=True)
    contexts, globals_ = {}, {}
    for line in iter(sys.stdin.readline, ""):
        call = json.loads(line)
        keep = call.get("keep", "request")
        shared = globals_.setdefault(keep, GlobalContext(request_id=keep, user=call.get("user"), server_id="s1"))
        payload = PAYLOADS[call["hook"]](**call["payload"])
        try:
            result, contexts[keep] = await manager.invoke_hook(
                call["hook"], payload, global_context=shared, local_contexts=contexts.get(keep)
            )
            told = json.loads(result.model_dump_json())
            told["plugin_name"] = result.violation.plugin_name if result.violation else None
        except Exception as error:  # noqa: BLE001 whatever it raises is what the test looks at
            told = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(told), flush=True)
    await manager.shutdown()


asyncio.run(main())
