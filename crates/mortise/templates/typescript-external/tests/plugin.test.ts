/** What the plugin decides, and what its server makes of that. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { plugin } from "../src/plugin.js";
import { NAME, entry, invoke } from "../src/server.js";

const hooks = plugin({ word: "secret", replacement: "******", blockedTools: ["rm"] });
const answered = (text: string) => ({ name: "echo", result: { content: [{ type: "text", text }] } });

test("the word is taken out of answers", async () => {
  const answer = await hooks.tool_post_invoke!(answered("my secret plan"), {});
  assert.deepEqual(answer.modified_payload, answered("my ****** plan"));
  assert.equal((await hooks.tool_post_invoke!(answered("nothing to see"), {})).modified_payload, undefined);
});

test("listed tools are blocked", async () => {
  const answer = await hooks.tool_pre_invoke!({ name: "rm", args: {} }, {});
  assert.equal(answer.violation?.code, "TOOL_BLOCKED");
  assert.ok((await hooks.tool_pre_invoke!({ name: "echo", args: {} }, {})).continue_processing);
});

test("hooks are served, and nothing else", async () => {
  assert.deepEqual(entry().hooks, ["tool_pre_invoke", "tool_post_invoke"]);
  const told = await invoke("toString", NAME, {}, {});
  assert.match(String("error" in told && told.error.message), /toString/);
});

test("a payload that is none is an error of that call", async () => {
  const told = await invoke("tool_pre_invoke", NAME, {}, {});
  assert.match(String("error" in told && told.error.message), /name/);
});
