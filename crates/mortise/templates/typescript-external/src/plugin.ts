/**
 * What the plugin decides. How it is served is `server.ts`.
 *
 * A hook is an entry of `hooks`. It is given the payload and the plugin's context, and answers `passed()`, `blocked(…)`
 * or `changed(payload)`. What it leaves in `context.state` is there again in the hook after.
 */

export type Payload = Record<string, any>;
export type Context = { state?: Record<string, unknown>; metadata?: Record<string, unknown>; global_context?: Record<string, any> };

export type Answer = {
  continue_processing: boolean;
  modified_payload?: Payload;
  violation?: { code: string; reason: string; description: string; details: Record<string, unknown> };
  metadata?: Record<string, unknown>;
};

export type Hook = (payload: Payload, context: Context) => Answer | Promise<Answer>;

/** The call goes on as it is. */
export const passed = (): Answer => ({ continue_processing: true });

/** The call goes on with this payload. */
export const changed = (payload: Payload): Answer => ({ continue_processing: true, modified_payload: payload });

/** The call must not go on. */
export const blocked = (code: string, reason: string, description: string): Answer => ({
  continue_processing: false,
  violation: { code, reason, description, details: {} },
});

export type Settings = { word: string; replacement: string; blockedTools: string[] };

/** Set up by variables, which `.env.template` lists. */
export function settingsFromEnv(env: NodeJS.ProcessEnv = process.env): Settings {
  return {
    word: env.PLUGIN_WORD ?? "secret",
    replacement: env.PLUGIN_REPLACEMENT ?? "******",
    blockedTools: (env.PLUGIN_BLOCKED_TOOLS ?? "delete_everything").split(",").map((name) => name.trim()),
  };
}

/** The plugin: a function for each hook. */
export function plugin(settings: Settings): Record<string, Hook> {
  return {
    /** Before a tool is called. */
    tool_pre_invoke(payload) {
      if (typeof payload.name !== "string") throw new TypeError("the payload has no `name`");
      if (settings.blockedTools.includes(payload.name)) {
        return blocked("TOOL_BLOCKED", "this tool is not allowed", `\`${payload.name}\` is switched off here`);
      }
      return passed();
    },

    /** After a tool has answered. */
    tool_post_invoke(payload) {
      if (payload.result === undefined) throw new TypeError("the payload has no `result`");
      const parts: { text?: unknown }[] = payload.result?.content ?? [];
      let found = false;
      for (const part of parts) {
        if (settings.word && typeof part.text === "string" && part.text.includes(settings.word)) {
          part.text = part.text.replaceAll(settings.word, settings.replacement);
          found = true;
        }
      }
      return found ? changed(payload) : passed();
    },
  };
}
