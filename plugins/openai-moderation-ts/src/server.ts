/**
 * The plugin as a server of the first generation: a tool for each hook, results without an envelope, an entry without
 * `kind`. Over standard input and output, or over HTTP with `PLUGINS_TRANSPORT=http`.
 */

import { createServer } from "node:http";

import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import { z } from "zod";

import { Moderation } from "./moderation.js";

const moderation = new Moderation();
const call = { plugin_name: z.string(), payload: z.looseObject({ args: z.unknown() }), context: z.unknown() };

function told(value: unknown) {
  return { content: [{ type: "text" as const, text: JSON.stringify(value) }] };
}

function plugin(): McpServer {
  const server = new McpServer({ name: "openai-moderation", version: "1.0.0" });
  for (const hook of ["tool_pre_invoke", "prompt_pre_fetch"]) {
    const about = { description: `Has moderation look at what ${hook} shows`, inputSchema: call };
    server.registerTool(hook, about, async ({ payload }) => told(await moderation.look(payload.args)));
  }
  const asked = { description: "The plugin's entry", inputSchema: { name: z.string() } };
  server.registerTool("get_plugin_config", asked, ({ name }) =>
    told({
      name,
      description: "OpenAI Content Moderation",
      version: "1.0.0",
      hooks: ["tool_pre_invoke", "prompt_pre_fetch"],
      tags: ["openai", "moderation", "content-safety"],
      mode: "enforce",
      priority: 30,
    }),
  );
  return server;
}

if (process.env.PLUGINS_TRANSPORT === "http") {
  const host = process.env.PLUGINS_SERVER_HOST ?? "127.0.0.1";
  const port = Number(process.env.PLUGINS_SERVER_PORT ?? 8000);
  const listener = createServer(async (request, response) => {
    if (request.method !== "POST") return void response.writeHead(405, { allow: "POST" }).end();
    const server = plugin();
    const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined, enableJsonResponse: true });
    response.on("close", () => void server.close());
    await server.connect(transport);
    await transport.handleRequest(request, response);
  });
  listener.listen(port, host, () => console.error(`serving at http://${host}:${port}/mcp`));
} else {
  await plugin().connect(new StdioServerTransport());
}
