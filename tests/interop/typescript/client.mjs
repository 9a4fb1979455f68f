// A remote-controlled MCP client on the official TypeScript SDK: JSON lines in, JSON lines out.
//
// Speaks the same small language as ../clients/python_client.py, so that each test is written once and runs with
// every client. It decides nothing: expectations live in the tests.

import { createInterface } from "node:readline";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  McpError,
} from "@modelcontextprotocol/sdk/types.js";

class Session {
  constructor(spec) {
    this.spec = spec;
    this.notifications = [];
    this.waiters = new Set();
    this.requests = [];
  }

  async open() {
    const { sampling, elicitation, roots, url } = this.spec;
    const capabilities = {};
    if (sampling !== undefined) capabilities.sampling = {};
    if (elicitation !== undefined) capabilities.elicitation = {};
    if (roots !== undefined) capabilities.roots = { listChanged: true };
    this.client = new Client({ name: "interop-typescript", version: "1.0.0" }, { capabilities });
    this.client.fallbackNotificationHandler = async (notification) => {
      this.notifications.push(notification);
      for (const waiter of this.waiters) waiter();
    };
    this.answerServer({ sampling, elicitation, roots });
    this.transport = new StreamableHTTPClientTransport(new URL(url));
    await this.client.connect(this.transport);
    return {
      protocolVersion: this.transport.protocolVersion,
      serverInfo: this.client.getServerVersion(),
      capabilities: this.client.getServerCapabilities(),
      instructions: this.client.getInstructions(),
    };
  }

  answerServer({ sampling, elicitation, roots }) {
    if (sampling !== undefined)
      this.client.setRequestHandler(CreateMessageRequestSchema, async (request) => {
        this.requests.push({ method: request.method, params: request.params });
        return { role: "assistant", content: { type: "text", text: sampling }, model: "fake-model" };
      });
    if (elicitation !== undefined)
      this.client.setRequestHandler(ElicitRequestSchema, async (request) => {
        this.requests.push({ method: request.method, params: request.params });
        return elicitation ? { action: "accept", content: elicitation } : { action: "decline" };
      });
    if (roots !== undefined)
      this.client.setRequestHandler(ListRootsRequestSchema, async (request) => {
        this.requests.push({ method: request.method });
        return { roots: roots.map((uri) => ({ uri })) };
      });
  }

  async close() {
    await this.transport.terminateSession();
    await this.client.close();
    return null;
  }

  list_tools = async () => (await this.client.listTools()).tools;
  list_prompts = async () => (await this.client.listPrompts()).prompts;
  list_resources = async () => (await this.client.listResources()).resources;
  list_resource_templates = async () => (await this.client.listResourceTemplates()).resourceTemplates;
  get_prompt = ({ name, arguments: args }) => this.client.getPrompt({ name, arguments: args });
  read_resource = ({ uri }) => this.client.readResource({ uri });
  complete = ({ ref, argument, context }) =>
    this.client.complete({ ref, argument, ...(context ? { context: { arguments: context } } : {}) });
  set_level = ({ level }) => this.client.setLoggingLevel(level);
  ping = () => this.client.ping();
  server_requests = async () => this.requests;

  async call_tool({ name, arguments: args }) {
    const progress = [];
    const onprogress = ({ progress: value, total, message }) => progress.push({ progress: value, total, message });
    const result = await this.client.callTool({ name, arguments: args }, undefined, { onprogress });
    return { result, progress };
  }

  call_many = ({ calls }) => Promise.all(calls.map((call) => this.client.callTool(call)));

  // Cancels the call at its first progress report.
  async call_and_cancel({ name, arguments: args }) {
    const abort = new AbortController();
    const onprogress = () => abort.abort("the test says so");
    await this.client
      .callTool({ name, arguments: args }, undefined, { onprogress, signal: abort.signal })
      .catch((error) => {
        if (!abort.signal.aborted) throw error;
      });
    return "cancelled";
  }

  // The notifications of this method, once so many have come (at most ten seconds).
  async wait_for({ method, count = 1 }) {
    const matching = () => this.notifications.filter((notification) => notification.method === method);
    if (matching().length < count)
      await new Promise((resolve) => {
        const done = () => {
          clearTimeout(timer);
          this.waiters.delete(check);
          resolve();
        };
        const check = () => matching().length >= count && done();
        const timer = setTimeout(done, 10_000);
        this.waiters.add(check);
      });
    return matching();
  }
}

const sessions = new Map();

async function perform(order) {
  const { session, op, arguments: args = {} } = order;
  if (op === "open") {
    const opened = new Session(args);
    sessions.set(session, opened);
    return opened.open();
  }
  const target = sessions.get(session);
  if (op === "close") sessions.delete(session);
  return target[op](args);
}

// The SDK puts its own words before the server's message; the wire's message is what tests compare.
function describe(error) {
  if (error instanceof McpError) {
    const message = error.message.replace(`MCP error ${error.code}: `, "");
    return { error: { code: error.code, message, data: error.data ?? null } };
  }
  return { crash: String(error?.stack ?? error) };
}

for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line);
  perform(order)
    .then((value) => ({ value: value ?? null }), describe)
    .then((answer) => process.stdout.write(`${JSON.stringify({ id: order.id, ...answer })}\n`));
}
process.exit(0);
