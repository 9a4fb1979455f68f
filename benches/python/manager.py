"""The Python framework's own plugin manager calling a plugin server, one call after another.

    python manager.py CONFIG SECONDS SIZE

Prints one line of JSON: how long each call took in microseconds (median, p99), calls a second, and this process's CPU
time a call in microseconds.
"""

import asyncio
import json
import sys
import time

from cpex.framework import GlobalContext, PluginManager, ToolPreInvokePayload

# Calls before the clock starts: connections, imports and caches are not what is asked for.
WARM_UP = 50


async def main(config: str, seconds: float, size: int) -> None:
    manager = PluginManager(config)
    await manager.initialize()
    payload = ToolPreInvokePayload(name="echo", args={"text": "x" * size})

    async def call() -> None:
        result, _ = await manager.invoke_hook(
            "tool_pre_invoke", payload, global_context=GlobalContext(request_id="bench")
        )
        if not result.continue_processing:
            raise SystemExit(f"the call was blocked: {result.violation}")

    for _ in range(WARM_UP):
        await call()
    micros, began, cpu = [], time.perf_counter(), time.process_time()
    while time.perf_counter() - began < seconds:
        at = time.perf_counter()
        await call()
        micros.append((time.perf_counter() - at) * 1e6)
    spent, cpu = time.perf_counter() - began, time.process_time() - cpu
    micros.sort()
    told = {
        "median": micros[len(micros) // 2],
        "p99": micros[int((len(micros) - 1) * 0.99)],
        "calls": len(micros),
        "seconds": spent,
        "cpu": cpu * 1e6 / len(micros),
    }
    print(json.dumps(told), flush=True)
    await manager.shutdown()


asyncio.run(main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3])))
