// The server that the MCP conformance suite expects to find: its tools, prompts and resources by name.
//
// The suite brings no server of its own. This one, on the official SDK, passes it directly; what then fails behind
// the gateway is the gateway's. Answers are dictated by the suite's requirements, not by taste.
//
//     node conformance_server.mjs PORT

import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { createMcpExpressApp } from "@modelcontextprotocol/sdk/server/express.js";
import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import {
  CallToolRequestSchema,
  CompleteRequestSchema,
  CreateMessageResultSchema,
  ElicitResultSchema,
  GetPromptRequestSchema,
  ListPromptsRequestSchema,
  ListResourcesRequestSchema,
  ListResourceTemplatesRequestSchema,
  ListToolsRequestSchema,
  ReadResourceRequestSchema,
  SetLevelRequestSchema,
  SubscribeRequestSchema,
  UnsubscribeRequestSchema,
} from "@modelcontextprotocol/sdk/types.js";

const PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
const WAV = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA=";

const text = (value) => ({ type: "text", text: value });
const image = { type: "image", data: PNG, mimeType: "image/png" };
const string = (description) => ({ type: "string", description });
const object = (properties = {}, extra = {}) => ({
  type: "object",
  properties,
  required: Object.keys(properties),
  ...extra,
});

const elicit = (extra, message, requestedSchema) =>
  extra.sendRequest({ method: "elicitation/create", params: { message, requestedSchema } }, ElicitResultSchema);
const completed = ({ action, content }) =>
  text(`Elicitation completed: action=${action}, content=${JSON.stringify(content ?? {})}`);

const DEFAULTS_SCHEMA = {
  type: "object",
  properties: {
    name: { type: "string", default: "John Doe" },
    age: { type: "integer", default: 30 },
    score: { type: "number", default: 95.5 },
    status: { type: "string", enum: ["active", "inactive", "pending"], default: "active" },
    verified: { type: "boolean", default: true },
  },
};
const titled = (words) => words.map((word, i) => ({ const: `value${i + 1}`, title: word }));
const ENUMS_SCHEMA = {
  type: "object",
  properties: {
    untitledSingle: { type: "string", enum: ["option1", "option2", "option3"] },
    titledSingle: { type: "string", oneOf: titled(["First Option", "Second Option", "Third Option"]) },
    legacyEnum: {
      type: "string",
      enum: ["opt1", "opt2", "opt3"],
      enumNames: ["Option One", "Option Two", "Option Three"],
    },
    untitledMulti: { type: "array", items: { type: "string", enum: ["option1", "option2", "option3"] } },
    titledMulti: { type: "array", items: { anyOf: titled(["First Choice", "Second Choice", "Third Choice"]) } },
  },
};

// name -> { description, schema, call(arguments, extra) -> content blocks }
const TOOLS = {
  test_simple_text: { call: () => [text("This is a simple text response for testing.")] },
  test_image_content: { call: () => [image] },
  test_audio_content: { call: () => [{ type: "audio", data: WAV, mimeType: "audio/wav" }] },
  test_embedded_resource: {
    call: () => [
      {
        type: "resource",
        resource: {
          uri: "test://embedded-resource",
          mimeType: "text/plain",
          text: "This is an embedded resource content.",
        },
      },
    ],
  },
  test_multiple_content_types: {
    call: () => [
      text("Multiple content types test:"),
      image,
      {
        type: "resource",
        resource: {
          uri: "test://mixed-content-resource",
          mimeType: "application/json",
          text: '{"test":"data","value":123}',
        },
      },
    ],
  },
  test_tool_with_logging: {
    async call(_args, extra) {
      for (const data of ["Tool execution started", "Tool processing data", "Tool execution completed"]) {
        await extra.sendNotification({ method: "notifications/message", params: { level: "info", data } });
        await pause(50);
      }
      return [text("Logged three lines.")];
    },
  },
  test_error_handling: {
    call() {
      throw new Error("This tool intentionally returns an error for testing");
    },
  },
  test_tool_with_progress: {
    async call(_args, extra) {
      const progressToken = extra._meta?.progressToken;
      for (const progress of [0, 50, 100]) {
        if (progressToken !== undefined)
          await extra.sendNotification({
            method: "notifications/progress",
            params: { progressToken, progress, total: 100 },
          });
        await pause(50);
      }
      return [text(String(progressToken))];
    },
  },
  test_sampling: {
    schema: object({ prompt: string("The prompt to send to the LLM") }),
    async call({ prompt }, extra) {
      const params = { messages: [{ role: "user", content: text(prompt) }], maxTokens: 100 };
      const answer = await extra.sendRequest({ method: "sampling/createMessage", params }, CreateMessageResultSchema);
      return [text(`LLM response: ${answer.content.text}`)];
    },
  },
  test_elicitation: {
    schema: object({ message: string("The message to show the user") }),
    async call({ message }, extra) {
      const wanted = object({ username: string("User's response"), email: string("User's email address") });
      const { action, content } = await elicit(extra, message, wanted);
      return [text(`User response: action: ${action}, content: ${JSON.stringify(content ?? {})}`)];
    },
  },
  test_elicitation_sep1034_defaults: {
    call: async (_args, extra) => [completed(await elicit(extra, "Please review the defaults", DEFAULTS_SCHEMA))],
  },
  test_elicitation_sep1330_enums: {
    call: async (_args, extra) => [completed(await elicit(extra, "Please choose", ENUMS_SCHEMA))],
  },
  json_schema_2020_12_tool: {
    description: "Tool with JSON Schema 2020-12 features",
    schema: {
      $schema: "https://json-schema.org/draft/2020-12/schema",
      type: "object",
      $defs: {
        address: { type: "object", properties: { street: { type: "string" }, city: { type: "string" } } },
      },
      properties: { name: { type: "string" }, address: { $ref: "#/$defs/address" } },
      additionalProperties: false,
    },
    call: (args) => [text(JSON.stringify(args))],
  },
  test_reconnection: {
    description: "Closes its own stream; the answer waits for the client to come back",
    async call(_args, extra) {
      extra.closeSSEStream?.();
      await pause(100);
      return [text("You came back.")];
    },
  },
};

const user = (...contents) => ({ messages: contents.map((content) => ({ role: "user", content })) });
// name -> { arguments, get(arguments) -> result }
const PROMPTS = {
  test_simple_prompt: { get: () => user(text("This is a simple prompt for testing.")) },
  test_prompt_with_arguments: {
    arguments: ["arg1", "arg2"],
    get: ({ arg1, arg2 }) => user(text(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`)),
  },
  test_prompt_with_embedded_resource: {
    arguments: ["resourceUri"],
    get: ({ resourceUri }) =>
      user(
        {
          type: "resource",
          resource: { uri: resourceUri, mimeType: "text/plain", text: "Embedded resource content for testing." },
        },
        text("Please process the embedded resource above."),
      ),
  },
  test_prompt_with_image: { get: () => user(image, text("Please analyze the image above.")) },
};

const RESOURCES = {
  "test://static-text": { mimeType: "text/plain", text: "This is the content of the static text resource." },
  "test://static-binary": { mimeType: "image/png", blob: PNG },
  "test://watched-resource": { mimeType: "text/plain", text: "Watched resource content." },
};

function readResource(uri) {
  const id = /^test:\/\/template\/([^/]+)\/data$/.exec(uri)?.[1];
  if (id !== undefined) {
    const data = { id, templateTest: true, data: `Data for ID: ${id}` };
    return { contents: [{ uri, mimeType: "application/json", text: JSON.stringify(data) }] };
  }
  if (!(uri in RESOURCES)) throw new Error(`no resource ${uri}`);
  return { contents: [{ uri, ...RESOURCES[uri] }] };
}

async function callTool({ params }, extra) {
  try {
    const tool = TOOLS[params.name];
    if (!tool) throw new Error(`no tool ${params.name}`);
    return { content: await tool.call(params.arguments ?? {}, extra) };
  } catch (error) {
    return { isError: true, content: [text(error.message)] };
  }
}

function makeServer() {
  const capabilities = { tools: {}, prompts: {}, resources: { subscribe: true }, logging: {}, completions: {} };
  const server = new Server({ name: "conformance-fixture", version: "1.0.0" }, { capabilities });
  const list = (table, make) => Object.entries(table).map(([name, entry]) => make(name, entry));
  server.setRequestHandler(ListToolsRequestSchema, () => ({
    tools: list(TOOLS, (name, { description = `The suite's ${name}`, schema = object() }) => ({
      name,
      description,
      inputSchema: schema,
    })),
  }));
  server.setRequestHandler(CallToolRequestSchema, callTool);
  server.setRequestHandler(ListPromptsRequestSchema, () => ({
    prompts: list(PROMPTS, (name, prompt) => ({
      name,
      description: `The suite's ${name}`,
      arguments: (prompt.arguments ?? []).map((argument) => ({ name: argument, required: true })),
    })),
  }));
  server.setRequestHandler(GetPromptRequestSchema, ({ params }) => {
    const prompt = PROMPTS[params.name];
    if (!prompt) throw new Error(`no prompt ${params.name}`);
    return prompt.get(params.arguments ?? {});
  });
  server.setRequestHandler(ListResourcesRequestSchema, () => ({
    resources: list(RESOURCES, (uri, { mimeType }) => ({ uri, mimeType, name: uri, description: `The suite's ${uri}` })),
  }));
  server.setRequestHandler(ListResourceTemplatesRequestSchema, () => ({
    resourceTemplates: [{ uriTemplate: "test://template/{id}/data", name: "template", description: "By id" }],
  }));
  server.setRequestHandler(ReadResourceRequestSchema, ({ params }) => readResource(params.uri));
  server.setRequestHandler(CompleteRequestSchema, () => ({
    completion: { values: ["paris", "park", "party"], total: 150, hasMore: false },
  }));
  for (const schema of [SubscribeRequestSchema, UnsubscribeRequestSchema, SetLevelRequestSchema])
    server.setRequestHandler(schema, () => ({}));
  return server;
}

// Keeps a stream's events so that a client may come back for those it missed.
class EventStore {
  events = [];

  async storeEvent(streamId, message) {
    this.events.push({ streamId, message });
    return String(this.events.length);
  }

  async getStreamIdForEventId(eventId) {
    return this.events[Number(eventId) - 1]?.streamId;
  }

  async replayEventsAfter(lastEventId, { send }) {
    const { streamId } = this.events[Number(lastEventId) - 1];
    for (const [i, event] of this.events.entries())
      if (i >= Number(lastEventId) && event.streamId === streamId && event.message.jsonrpc)
        await send(String(i + 1), event.message);
    return streamId;
  }
}

const transports = new Map();
const app = createMcpExpressApp(); // refuses foreign Host and Origin headers
app.all("/mcp", async (request, response) => {
  let transport = transports.get(request.headers["mcp-session-id"]);
  if (!transport && request.headers["mcp-session-id"]) return response.status(404).end();
  if (!transport) {
    transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      eventStore: new EventStore(),
      retryInterval: 500,
      onsessioninitialized: (id) => transports.set(id, transport),
    });
    await makeServer().connect(transport);
  }
  await transport.handleRequest(request, response, request.body);
});
app.listen(Number(process.argv[2]), "127.0.0.1");
