// A remote-controlled client of language models on OpenAI's official Node library: JSON lines in, JSON lines out.
//
// Speaks the same small language as ../clients/llm_client.py. It decides nothing: expectations live in the tests.

import { createInterface } from "node:readline";
import OpenAI, { APIError } from "openai";

const TOOL = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};

async function all(stream) {
  const seen = [];
  for await (const item of stream) seen.push(item);
  return seen;
}

const operations = {
  async chat(client, { model, text, tools, stream }) {
    const call = { model, messages: [{ role: "user", content: text }] };
    if (tools) call.tools = [{ type: "function", function: { name: "weather", description: "d", parameters: TOOL } }];
    if (!stream) return await client.chat.completions.create(call);
    return await all(
      await client.chat.completions.create({ ...call, stream: true, stream_options: { include_usage: true } }),
    );
  },
  async response(client, { model, text, tools, stream }) {
    const call = { model, input: text };
    if (tools) call.tools = [{ type: "function", name: "weather", description: "d", parameters: TOOL, strict: true }];
    if (!stream) return await client.responses.create(call);
    return await all(await client.responses.create({ ...call, stream: true }));
  },
  async embeddings(client, { model, inputs }) {
    return await client.embeddings.create({ model, input: inputs });
  },
  async models(client) {
    return (await all(client.models.list())).map((model) => model.id).sort();
  },
};

function plain(value) {
  return JSON.parse(JSON.stringify(value, (name, inner) => (name === "_request_id" ? undefined : inner)));
}

const clients = new Map();

for await (const line of createInterface({ input: process.stdin })) {
  const { id, session, op, arguments: given } = JSON.parse(line);
  const [, baseURL, apiKey] = session.split(" ");
  if (!clients.has(session)) clients.set(session, new OpenAI({ baseURL, apiKey, maxRetries: 0, timeout: 20_000 }));
  const answer = { id };
  try {
    answer.value = plain(await operations[op](clients.get(session), given));
  } catch (error) {
    if (error instanceof APIError || error?.cause) {
      const retry = error.headers?.get?.("retry-after") ?? null;
      answer.error = {
        code: error.status ?? 0,
        message: error.message,
        data: { type: error.constructor.name, retry_after: retry, body: error.error ?? null },
      };
    } else {
      answer.crash = error.stack;
    }
  }
  console.log(JSON.stringify(answer));
}
