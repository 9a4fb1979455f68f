/** What the plugin decides: nothing is called with text that OpenAI's moderation flags. */

import OpenAI from "openai";

export type Answer = {
  continue_processing: boolean;
  violation?: { reason: string; description: string; code: string; details: Record<string, unknown> };
  metadata?: Record<string, unknown>;
};

/** The strings in arguments, however deep. */
export function texts(value: unknown): string[] {
  if (typeof value === "string") return value.trim() ? [value] : [];
  if (value && typeof value === "object") return Object.values(value).flatMap(texts);
  return [];
}

export class Moderation {
  /** `OPENAI_API_KEY` and `OPENAI_BASE_URL` are read by the client itself. */
  readonly #openai = new OpenAI({ timeout: 5_000, maxRetries: 1 });
  readonly #model = process.env.OPENAI_MODERATION_MODEL ?? "omni-moderation-latest";

  async look(args: unknown): Promise<Answer> {
    const input = texts(args);
    if (input.length === 0) return { continue_processing: true };
    try {
      const { results } = await this.#openai.moderations.create({ input, model: this.#model });
      const flagged = results.filter((result) => result.flagged);
      if (flagged.length === 0) {
        const scores = results.flatMap((result) => Object.values(result.category_scores));
        return { continue_processing: true, metadata: { openai_moderation_score: Math.max(0, ...scores) } };
      }
      const names = flagged.flatMap((result) => Object.entries(result.categories).filter(([, is]) => is));
      const categories = [...new Set(names.map(([name]) => name))];
      return {
        continue_processing: false,
        violation: {
          reason: "Content policy violation",
          description: `OpenAI Moderation flagged: ${categories.join(", ")}`,
          code: "OPENAI_MODERATION_FLAGGED",
          details: { flagged_categories: categories },
        },
      };
    } catch (error) {
      // Open where the service is away. To be closed, throw: the gateway's mode decides then.
      return { continue_processing: true, metadata: { moderation_error: String(error) } };
    }
  }
}
