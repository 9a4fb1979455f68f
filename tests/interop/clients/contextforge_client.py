"""ContextForge's own plugin manager, with plugins of kind `external`: what that gateway does with a plugin server.

    python contextforge_client.py CONFIG

Reads calls as JSON lines `{"hook", "payload", "user"}` and answers each with what came of it, as one JSON line. For 0.9,
which has the framework in itself; later releases take cpex, whose manager `cpex_client.py` is.
"""

import asyncio
import json
import sys

from mcpgateway.plugins.framework import (
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
    for line in iter(sys.stdin.readline, ""):
        call = json.loads(line)
        shared = GlobalContext(request_id="request", user=call.get("user"), server_id="s1")
        try:
            payload = PAYLOADS[call["hook"]](**call["payload"])
            result, _contexts = await manager.invoke_hook(call["hook"], payload, global_context=shared)
            told = json.loads(result.model_dump_json())
            told["plugin_name"] = result.violation.plugin_name if result.violation else None
        except Exception as error:  # noqa: BLE001 whatever it raises is what the test looks at
            told = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(told), flush=True)
    await manager.shutdown()


asyncio.run(main())
