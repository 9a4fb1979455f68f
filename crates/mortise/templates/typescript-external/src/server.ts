/**
 * Serves the plugin over MCP, in the contract of plugin servers: `invoke_hook`, `get_plugin_config`, `get_plugin_configs`.
 *
 * Over HTTP, or over standard input and output, as `PLUGINS_TRANSPORT` says. Nothing here has to be changed for another
 * hook.
 */

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { pathToFileURL } from "node:url";

import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import { CallToolRequestSchema, ListToolsRequestSchema } from "@modelcontextprotocol/sdk/types.js";

import { plugin, settingsFromEnv, type Context, type Payload } from "./plugin.js";

export const NAME = "{{plugin}}";
const hooks = plugin(settingsFromEnv());

const text = { type: "string" } as const;
const object = { type: "object" } as const;
const tools = [
  { name: "get_plugin_config", inputSchema: { ...object, properties: { name: text }, required: ["name"] } },
  { name: "get_plugin_configs", inputSchema: object },
  {
    name: "invoke_hook",
    inputSchema: {
      ...object,
      properties: { hook_type: text, plugin_name: text, payload: object, context: object },
      required: ["hook_type", "plugin_name", "payload", "context"],
    },
  },
];

/** What gateways are told of the plugin. */
export function entry() {
  return {
    name: NAME,
    kind: "external",
    description: "{{about}}",
    version: "0.1.0",
    hooks: Object.keys(hooks),
    tags: ["guard"],
    mode: "enforce",
    priority: 100,
    conditions: [],
  };
}

/** The answer where there is no decision. */
function failed(plugin_name: string, message: string) {
  const error = { message, plugin_name, code: "", details: {}, mcp_error_code: -32603 };
  return { plugin_name, error };
}

/** Has the plugin look at a call. */
export async function invoke(hook: string, plugin_name: string, payload: Payload, context: Context) {
  const handler = Object.hasOwn(hooks, hook) ? hooks[hook] : undefined;
  if (plugin_name !== NAME || !handler) return failed(plugin_name, `Unable to find ${hook} for plugin ${plugin_name}.`);
  try {
    const result = await handler(payload, context);
    const kept = [context.state, context.metadata, context.global_context?.state];
    const told = kept.some((values) => values && Object.keys(values).length > 0);
    return { plugin_name, result, ...(told ? { context } : {}) };
  } catch (error) {
    // Whatever it was, it costs this call and no other.
    console.error(`${hook} failed:`, error);
    return failed(plugin_name, String(error));
  }
}

async function answer(tool: string, given: Record<string, any>): Promise<unknown> {
  switch (tool) {
    case "get_plugin_config":
      return String(given.name).toLowerCase() === NAME.toLowerCase() ? entry() : {};
    case "get_plugin_configs":
      return entry();
    case "invoke_hook":
      return invoke(String(given.hook_type), String(given.plugin_name), given.payload ?? {}, given.context ?? {});
    default:
      throw new Error(`there is no tool ${tool}`);
  }
}

function mcpServer(): Server {
  const server = new Server({ name: NAME, version: "0.1.0" }, { capabilities: { tools: {} } });
  server.setRequestHandler(ListToolsRequestSchema, () => ({ tools }));
  server.setRequestHandler(CallToolRequestSchema, async ({ params }) => {
    const told = await answer(params.name, params.arguments ?? {});
    return { content: [{ type: "text", text: JSON.stringify(told) }] };
  });
  return server;
}

/** One request over HTTP. Without sessions: a restart is nothing to a gateway. */
async function respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = new URL(request.url ?? "/", "http://localhost").pathname;
  if (path === "/health") {
    response.setHeader("content-type", "application/json").end(JSON.stringify({ status: "healthy" }));
  } else if (path !== "/mcp") {
    response.writeHead(404).end();
  } else if (request.method !== "POST") {
    response.writeHead(405, { allow: "POST" }).end();
  } else {
    const server = mcpServer();
    const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined, enableJsonResponse: true });
    response.on("close", () => void transport.close());
    await server.connect(transport);
    await transport.handleRequest(request, response);
  }
}

async function main(): Promise<void> {
  const transport = process.env.PLUGINS_TRANSPORT || (process.stdin.isTTY ? "http" : "stdio");
  if (transport === "stdio") {
    await mcpServer().connect(new StdioServerTransport());
    process.stdin.on("end", () => process.exit(0));
    return;
  }
  const host = process.env.PLUGINS_SERVER_HOST ?? "127.0.0.1";
  const port = Number(process.env.PLUGINS_SERVER_PORT ?? 8000);
  const listener = createServer((request, response) => {
    respond(request, response).catch((error: unknown) => {
      console.error(error);
      if (!response.headersSent) response.writeHead(500);
      response.end();
    });
  });
  // Gateways keep connections for longer than Node does by default.
  listener.keepAliveTimeout = 120_000;
  listener.listen(port, host, () => console.error(`serving ${NAME} at http://${host}:${port}/mcp`));
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => process.exit(0));
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) await main();
