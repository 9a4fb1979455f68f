//! Asks a Llama Guard model, behind any endpoint for chat completions of OpenAI's shape, whether a call is safe.
//!
//! The model answers `safe`, or `unsafe` and the codes of the hazards on a line of their own. Anything else is no
//! verdict: a model that chats instead of judging must not let a call pass. The texts of a call are judged together,
//! since what is harmless in parts need not be as a whole.

pub mod config;
mod verdict;

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, sync::Arc};

use mortise_plugin_api::{
    Answer, BuildError, Call, Context, Hook, HookId, NativeKind, Needs, Plugin, PluginError, Reply,
    Violation,
    hooks::{AgentPostInvoke, LlmOutput, PromptPreFetch, TEXT_HOOKS, ToolPostInvoke, ToolPreInvoke},
    host::{Host, LogLevel},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::service::{Action, Asking, Cache, Judge, Key, Reach, Service, between, cache, noted, pieces};
use config::Config;
use verdict::Hazard;

/// Tokens a verdict takes at most.
const MOST_TOKENS: u32 = 64;

/// The kind, for registration.
#[must_use]
pub fn kind() -> NativeKind {
    NativeKind {
        name: "llama_guard",
        class_paths: &[],
        about: "Asks a Llama Guard model behind an OpenAI-compatible endpoint whether what passes is safe.",
        hooks: &[PromptPreFetch::ID, ToolPreInvoke::ID, ToolPostInvoke::ID],
        config_schema: NativeKind::schema_of::<Config>,
        build,
    }
}

fn build(config: &Value) -> Result<Arc<dyn Plugin>, BuildError> {
    let config: Config = NativeKind::read(config)?;
    between("max_text_length", config.max_text_length as u64, 10, 1_000_000)?;
    let url = config.endpoint()?;
    let reach = Reach {
        name: "the model",
        field: "url",
        url: &url,
        token: config.api_key.as_deref(),
        headers: &config.headers,
        timeout_ms: config.timeout_ms,
        max_answer_bytes: config.max_answer_bytes,
        on_failure: config.on_failure,
    };
    let mut allowed = BTreeSet::new();
    for (at, code) in config.allowed_categories.iter().enumerate() {
        let hazard = Hazard::read(code).ok_or_else(|| {
            BuildError::new(format!("allowed_categories[{at}]"), "is no code of a hazard, such as S7")
        })?;
        allowed.insert(hazard);
    }
    let guard = LlamaGuard {
        service: Service::new(&reach)?,
        cache: cache(config.cache_seconds, config.cache_entries)?,
        allowed,
        config,
    };
    Ok(Arc::new(Asking { judge: guard, hooks: TEXT_HOOKS, needs: Needs::block() }))
}

struct LlamaGuard {
    service: Service,
    /// The hazards of a text, by the text and who says it.
    cache: Option<Cache<Hazards>>,
    allowed: BTreeSet<Hazard>,
    config: Config,
}

/// Hazards of a text; none of a safe one.
type Hazards = Arc<BTreeSet<Hazard>>;

/// A chat completion, as far as it is read.
#[derive(Deserialize)]
struct Completion {
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    message: Message,
}

#[derive(Deserialize)]
struct Message {
    content: Option<String>,
}

impl Judge for LlamaGuard {
    fn service(&self) -> &Service {
        &self.service
    }

    fn judge<'a>(&'a self, call: Call<'a>, _: Context<'a>) -> Answer<'a> {
        let (longest, most) = (self.config.max_text_length, self.config.max_text_bytes);
        let pieces = match pieces::joined(call.payload.payload(), longest, most) {
            Ok(pieces) => pieces,
            Err(error) => return Answer::Ready(Err(error)),
        };
        let answers = is_answer(call.hook);
        let now = call.host.instant();
        let known = |text: &String| self.cache.as_ref()?.get(&key(text, answers), now);
        if let Some(known) = pieces.iter().map(known).collect::<Option<Vec<Hazards>>>() {
            return Answer::Ready(Ok(self.decide(&known, call.host)));
        }
        Answer::Later(Box::pin(async move {
            let mut found = Vec::with_capacity(pieces.len());
            for text in &pieces {
                found.push(match self.cache.as_ref().and_then(|cache| cache.get(&key(text, answers), now)) {
                    Some(known) => known,
                    None => self.ask(text, answers, call.host).await?,
                });
            }
            Ok(self.decide(&found, call.host))
        }))
    }
}

/// Whether a model or agent said what is shown at a hook; all else is said to one.
fn is_answer(hook: HookId) -> bool {
    hook == LlmOutput::ID || hook == AgentPostInvoke::ID
}

fn key(text: &str, answers: bool) -> Key {
    Key::of([&[u8::from(answers)][..], text.as_bytes()])
}

impl LlamaGuard {
    async fn ask(&self, text: &str, answers: bool, host: &dyn Host) -> Result<Hazards, PluginError> {
        let turn = |role: &str, content: &str| json!({"role": role, "content": content});
        // The model's template wants turns that alternate and begin with a user.
        let messages =
            if answers { vec![turn("user", ""), turn("assistant", text)] } else { vec![turn("user", text)] };
        let question = json!({
            "model": self.config.model,
            "messages": messages,
            "temperature": 0,
            "max_tokens": MOST_TOKENS,
            "stream": false,
        });
        let completion: Completion = self.service.ask_for(host, question.to_string().into()).await?;
        let said = completion.choices.into_iter().next().and_then(|choice| choice.message.content);
        let hazards = said.as_deref().and_then(verdict::read);
        let hazards = Arc::new(hazards.ok_or_else(|| self.service.invalid("neither `safe` nor `unsafe`"))?);
        if let Some(cache) = &self.cache {
            cache.put(key(text, answers), hazards.clone(), host.instant(), None);
        }
        Ok(hazards)
    }

    fn decide(&self, found: &[Hazards], host: &dyn Host) -> Reply {
        let counts = |hazard: &&Hazard| !self.allowed.contains(*hazard);
        let hazards: BTreeSet<&Hazard> =
            found.iter().flat_map(|hazards| hazards.iter()).filter(counts).collect();
        if hazards.is_empty() {
            return Reply::pass();
        }
        let codes: Vec<String> = hazards.iter().map(|hazard| hazard.code()).collect();
        if self.config.action == Action::Audit {
            host.log(LogLevel::Warn, "the model would block", &[("categories", &codes.join(","))]);
            return noted("llama_guard", json!({"safe": false, "categories": codes}));
        }
        let names: Vec<String> = hazards.iter().map(|hazard| hazard.name().to_owned()).collect();
        let violation = Violation::new("CONTENT_MODERATION", "Unsafe content")
            .describe(format!("The content was found to be unsafe: {}", names.join(", ")))
            .detail("categories", codes)
            .detail("names", names)
            .http_status(422);
        Reply { violation: Some(Box::new(violation)), ..Reply::pass() }
    }
}
