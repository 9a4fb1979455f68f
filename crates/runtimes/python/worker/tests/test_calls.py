"""What plugins do to calls."""

import unittest

from .gateway import Worker

OLD = """
    from mcpgateway.plugins.framework import (
        Plugin, PluginConfig, PluginContext, PluginViolation,
        PromptPosthookPayload, PromptPosthookResult, PromptPrehookPayload, PromptPrehookResult,
    )
    from mcpgateway.plugins.framework.models import PluginMode
    from mcpgateway.services.logging_service import LoggingService

    logger = LoggingService().get_logger(__name__)

    class Old(Plugin):
        def __init__(self, config: PluginConfig):
            super().__init__(config)
            assert config.mode == PluginMode.ENFORCE

        async def prompt_pre_fetch(self, payload: PromptPrehookPayload, context: PluginContext) -> PromptPrehookResult:
            assert payload.name == payload.prompt_id
            if payload.name == "forbidden":
                violation = PluginViolation(
                    reason="no", description="not this one", code="FORBIDDEN", details={"name": payload.name})
                return PromptPrehookResult(continue_processing=False, violation=violation)
            payload.args["who"] = payload.args["who"].upper()

        async def prompt_post_fetch(self, payload, context) -> PromptPosthookResult:
            for message in payload.result.messages:
                message.content.text = message.content.text.replace("crap", "crud")
            return PromptPosthookResult(modified_payload=payload)
"""

NEW = """
    from cpex.framework import Plugin, PluginResult, PluginViolationError, PluginViolation, ToolPreInvokePayload, hook
    from cpex.framework.hooks.tools import ToolPostInvokeResult

    class New(Plugin):
        async def initialize(self):
            self.count = self.config.config["start"]

        @hook("tool_pre_invoke")
        async def before(self, payload, context, extensions):
            self.count += 1
            context.state["count"] = self.count
            context.global_context.state["seen"] = payload.name
            if payload.name == "refused":
                raise PluginViolationError("no", PluginViolation(reason="r", description="d", code="RAISED"))
            if payload.name == "broken":
                raise ValueError("boom")
            return PluginResult(modified_payload=payload.model_copy(update={"args": {**payload.args, "n": self.count}}))

        def tool_post_invoke(self, payload, context):
            return ToolPostInvokeResult(metadata={"count": context.state["count"], "tenant": context.tenant_id})
"""


class Calls(unittest.TestCase):
    def test_first_generation_loads_by_the_stand_in_and_changes_in_place(self):
        with Worker() as worker:
            worker.write("plugins/old.py", OLD)
            hooks = ["prompt_pre_fetch", "prompt_post_fetch", "tool_pre_invoke"]
            self.assertEqual(worker.load("plugins.old.Old", hooks), {"hooks": hooks[:2]})
            answer = worker.call({"prompt_id": "greet", "args": {"who": "you"}}, hook="prompt_pre_fetch")
            self.assertEqual(answer["result"], {"modified_payload": {"prompt_id": "greet", "args": {"who": "YOU"}}})
            untouched = worker.call({"prompt_id": "greet", "args": {"who": "YOU"}}, hook="prompt_pre_fetch")
            self.assertEqual(untouched, {"result": {}})
            blocked = worker.call({"prompt_id": "forbidden"}, hook="prompt_pre_fetch")["result"]
            self.assertEqual((blocked["continue_processing"], blocked["violation"]["code"]), (False, "FORBIDDEN"))
            messages = [{"role": "user", "content": {"type": "text", "text": "crap", "annotations": None}}]
            rendered = {"prompt_id": "greet", "result": {"messages": messages, "description": None}}
            changed = worker.call(rendered, hook="prompt_post_fetch")["result"]["modified_payload"]
            content = changed["result"]["messages"][0]["content"]
            self.assertEqual(content, {"type": "text", "text": "crud", "annotations": None})

    def test_newest_generation_loads_by_the_stand_in_and_keeps_state(self):
        with Worker() as worker:
            worker.write("new.py", NEW)
            loaded = worker.load("new.New", config={"start": 6})
            self.assertEqual(loaded, {"hooks": ["tool_pre_invoke", "tool_post_invoke"]})
            answer = worker.call({"name": "t", "args": {"a": 1}})
            self.assertEqual(answer["result"]["modified_payload"]["args"], {"a": 1, "n": 7})
            context = answer["context"]
            self.assertEqual((context["state"], context["global_context"]["state"]), ({"count": 7}, {"seen": "t"}))
            context["global_context"].update(request_id="r1", tenant_id="acme")
            after = worker.call({"name": "t", "result": {}}, hook="tool_post_invoke", context=context)
            self.assertEqual(after["result"], {"metadata": {"count": 7, "tenant": "acme"}})
            refused = worker.call({"name": "refused", "args": {}})["result"]
            self.assertEqual(refused["violation"]["code"], "RAISED")
            broken = worker.call({"name": "broken", "args": {}})
            self.assertEqual(broken["error"], {"message": "ValueError('boom')"})
            self.assertEqual(broken["context"]["state"], {"count": 9}, "what it left before it failed")

    def test_many_calls_run_at_once_and_a_cancelled_one_is_told(self):
        with Worker() as worker:
            text = """
                import asyncio
                from cpex.framework import Plugin

                class Slow(Plugin):
                    waiting = []

                    async def tool_pre_invoke(self, payload, context):
                        if payload.name == "let go":
                            for one in self.waiting:
                                one.set()
                            return
                        mine = asyncio.Event()
                        self.waiting.append(mine)
                        await mine.wait()
            """
            worker.write("slow.py", text)
            worker.load("slow.Slow", ["tool_pre_invoke"])
            held = [worker.begin_call({"name": "wait"}) for _ in range(20)]
            worker.send({"cancel": held[3]})
            self.assertEqual(worker.answer(held[3]), {"cancelled": True})
            self.assertEqual(worker.call({"name": "let go"}), {"result": {}})
            for number in held[:3] + held[4:]:
                self.assertEqual(worker.answer(number), {"result": {}})

    def test_a_hook_that_blocks_its_thread_holds_up_no_other(self):
        with Worker() as worker:
            text = """
                import threading
                from mcpgateway.plugins.framework import Plugin

                class Blocking(Plugin):
                    gate = threading.Event()

                    def tool_pre_invoke(self, payload, context):
                        if payload.name == "wait":
                            self.gate.wait(20)
                        else:
                            self.gate.set()
            """
            worker.write("blocking.py", text)
            worker.load("blocking.Blocking", ["tool_pre_invoke"])
            held = worker.begin_call({"name": "wait"})
            self.assertEqual(worker.call({"name": "open"}), {"result": {}})
            self.assertEqual(worker.answer(held), {"result": {}})

    def test_what_is_printed_and_logged_is_sent_under_the_plugin(self):
        with Worker() as worker:
            text = """
                import logging, sys
                from cpex.framework import Plugin

                class Talking(Plugin):
                    async def tool_pre_invoke(self, payload, context):
                        print("printed", end="")
                        print(" on")
                        sys.stdout.buffer.write(b"as bytes\\n")
                        logging.getLogger("acme").error("logged %s", 1)
            """
            worker.write("talking.py", text)
            self.assertIn("hooks", worker.load("talking.Talking", ["tool_pre_invoke"], plugin=7))
            worker.call({"name": "t"}, plugin=7)
            self.assertEqual(worker.logs, [[7, "info", "printed on"], [7, "info", "as bytes"], [7, "error", "acme: logged 1"]])

    def test_numbers_and_text_of_any_kind_survive(self):
        with Worker() as worker:
            text = """
                from cpex.framework import Plugin

                class Add(Plugin):
                    async def tool_pre_invoke(self, payload, context):
                        payload.args["added"] = {"a", }
            """
            worker.write("add.py", text)
            worker.load("add.Add", ["tool_pre_invoke"])
            args = {"big": 2**70, "text": "\u0000 \U0001f600 \u2028", "none": None, "float": 0.1}
            changed = worker.call({"name": "t", "args": args})["result"]["modified_payload"]
            self.assertEqual(changed["args"], {**args, "added": ["a"]})


if __name__ == "__main__":
    unittest.main()
