"""How classes are found, and what is said when they cannot be used."""

import os
import signal
import time
import unittest

from .gateway import SECONDS, Worker

PLUGIN = """
    from cpex.framework import Plugin

    class Guard(Plugin):
        async def tool_pre_invoke(self, payload, context):
            {body}
"""


class Loading(unittest.TestCase):
    def test_where_a_plugin_computes_is_shown_when_asked(self):
        worker = Worker()
        worker.write("guard.py", PLUGIN.format(body="print('computing')\n            while True: pass"))
        worker.load("guard.Guard", ["tool_pre_invoke"])
        worker.begin_call({"name": "t"})
        time.sleep(0.2)
        os.kill(worker.process.pid, signal.SIGUSR2)
        shown = ""
        while "guard.py" not in shown:
            shown += worker.process.stdout.readline().decode()
        self.assertIn("tool_pre_invoke", shown)
        worker.link.close()
        worker.process.wait(SECONDS)
        worker.process.stdout.close()
        worker.folder.cleanup()

    def refused(self, text, path="guard.Guard", **fields):
        with Worker() as worker:
            worker.write("guard.py", text)
            return worker.load(path, **fields)["unavailable"]

    def test_reasons_name_what_is_wrong_and_where(self):
        self.assertIn("no module `gone`; looked in /", self.refused("", "gone.Guard"))
        self.assertIn("no class `Other` in `guard`", self.refused("class Guard: pass", "guard.Other"))
        self.assertIn("there: Guard", self.refused("class Guard: pass", "guard.Other"))
        reason = self.refused("\nimport no_such_package\n")
        self.assertIn("No module named 'no_such_package'", reason)
        self.assertIn("guard.py:2", reason)
        self.assertIn("-m pip install no_such_package", reason)
        self.assertIn("guard.py:1", self.refused("class Guard(:"))
        self.assertIn("KeyError('x')", self.refused("class Guard:\n    def __init__(self, config): config.config['x']"))
        begin = "class Guard:\n    __init__ = lambda self, config: None\n    def initialize(self): raise OSError('away')"
        self.assertIn("OSError('away')", self.refused(begin))
        self.assertIn("of the language itself", self.refused("", "os.path"))
        missing = "from cpex.framework import Plugin, NoSuchName"
        self.assertIn("cannot import name 'NoSuchName'", self.refused(missing))

    def test_own_folder_wins_over_an_installed_package_of_its_name_but_not_over_the_language(self):
        with Worker() as worker:
            worker.write("json.py", "raise RuntimeError('not this one')")
            worker.write("pip/guard.py", PLUGIN.format(body="import json; payload.name = json.dumps(1)"))
            self.assertEqual(worker.load("pip.guard.Guard", ["tool_pre_invoke"]), {"hooks": ["tool_pre_invoke"]})
            changed = worker.call({"name": "t"})["result"]["modified_payload"]
            self.assertEqual(changed["name"], "1")

    def test_memory_is_bounded(self):
        with Worker(memory_mb=400) as worker:
            worker.write("guard.py", PLUGIN.format(body="bytearray(600 << 20)"))
            worker.load("guard.Guard", ["tool_pre_invoke"])
            self.assertEqual(worker.call({"name": "t"})["error"]["message"], "MemoryError()")
            self.assertEqual(worker.answer(worker.begin("ping")), {})

    def test_worker_ends_with_its_gateway_even_while_a_plugin_computes(self):
        worker = Worker()
        worker.write("guard.py", PLUGIN.format(body="print('computing')\n            while True: pass"))
        worker.load("guard.Guard", ["tool_pre_invoke"])
        worker.begin_call({"name": "t"})
        time.sleep(0.2)
        worker.link.close()
        self.assertEqual(worker.process.wait(SECONDS), -signal.SIGKILL)
        worker.process.stdout.close()
        worker.folder.cleanup()

    def test_what_plugins_start_ends_with_the_worker(self):
        with Worker() as worker:
            body = "import subprocess; payload.name = str(subprocess.Popen(['sleep', '60']).pid)"
            worker.write("guard.py", PLUGIN.format(body=body))
            worker.load("guard.Guard", ["tool_pre_invoke"])
            child = int(worker.call({"name": "t"})["result"]["modified_payload"]["name"])
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            try:
                with open(f"/proc/{child}/stat", encoding="utf-8") as about:
                    if about.read().rsplit(")", 1)[1].split()[0] == "Z":
                        return
                os.kill(child, 0)
            except (ProcessLookupError, FileNotFoundError):
                return
            time.sleep(0.02)
        self.fail("it lives on")


if __name__ == "__main__":
    unittest.main()
