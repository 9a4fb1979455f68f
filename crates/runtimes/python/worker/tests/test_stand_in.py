"""The objects that stand in for the framework's."""

import sys
import unittest

from .gateway import WORKER

sys.path.insert(0, str(WORKER))

from mortise_worker import framework as f  # noqa: E402
from mortise_worker.model import Model  # noqa: E402


class StandIn(unittest.TestCase):
    def test_models_behave_as_plugins_expect(self):
        payload = f.ToolPreInvokePayload(name="t", args={"a": 1})
        self.assertEqual(payload.model_dump(), {"name": "t", "args": {"a": 1}, "headers": None})
        self.assertEqual(payload.model_copy(update={"name": "u"}).name, "u")
        self.assertEqual(payload, f.ToolPreInvokePayload.model_validate({"name": "t", "args": {"a": 1}}))
        self.assertEqual(f.ToolPreInvokePayload.model_validate_json(payload.model_dump_json()), payload)
        self.assertIsNone(payload.headers)
        with self.assertRaises(ValueError):
            f.ToolPreInvokePayload(args={})
        self.assertIsNot(f.ToolPreInvokePayload(name="a").args, f.ToolPreInvokePayload(name="b").args)

    def test_prompts_have_both_names(self):
        payload = f.PromptPrehookPayload(name="greet")
        payload.name = "other"
        self.assertEqual((payload.prompt_id, payload.model_dump()), ("other", {"prompt_id": "other", "args": {}}))

    def test_results_are_generic_and_violations_take_the_documents_words(self):
        self.assertIs(f.PluginResult[f.ToolPreInvokePayload], f.PluginResult)
        violation = f.PluginViolation(reason="r", description="d", violation_code="C", plugin_name="p")
        self.assertEqual(violation.code, "C")

    def test_context_shows_what_is_shared_both_ways(self):
        context = f.PluginContext(global_context={"request_id": "r", "user": "u", "user_context": {"user_id": "u"}})
        self.assertEqual((context.user, context.global_context.user_context.is_admin), ("u", False))
        context.set_state("a", 1)
        self.assertEqual(context.get_state("a"), 1)
        self.assertTrue(f.PluginContext().is_empty())

    def test_own_payloads_can_be_declared(self):
        class Own(f.PluginPayload):
            text: str
            many: list = []

        self.assertEqual(Own(text="x").model_dump(), {"text": "x", "many": []})
        self.assertIsInstance(Own(text="x"), Model)

    def test_headers_are_a_dict_with_a_root(self):
        payload = f.ToolPreInvokePayload(name="t", headers={"A": "1"})
        self.assertEqual((payload.headers["A"], payload.headers.root), ("1", {"A": "1"}))
        self.assertEqual(f.HttpHeaderPayload({"B": "2"}).model_dump(), {"B": "2"})
        self.assertEqual(f.HttpHeaderPayload(root={"B": "2"}), {"B": "2"})


if __name__ == "__main__":
    unittest.main()
