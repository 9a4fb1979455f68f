//! Asks a moderation endpoint of OpenAI's shape what the texts of a call are about, and goes by category.
//!
//! Texts are judged one by one, so that a verdict can be kept by what the text says (it depends on nothing else) and a
//! text can be redacted without its neighbours. A text that is longer than the service looks at is cut and judged in
//! pieces, not cut off. What is said of a text is names of categories and scores, never the text.

mod categories;
pub mod config;
mod wire;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc};

use mortise_plugin_api::{
    Answer, BuildError, Call, Change, Context, Edits, Hook, NativeKind, Needs, Notes, Plugin, PluginError,
    Reply, Violation,
    hooks::{PromptPreFetch, TEXT_HOOKS, ToolPostInvoke, ToolPreInvoke},
    host::{Host, LogLevel},
};
use serde_json::{Value, json};

use crate::service::{
    Asking, Cache, Judge, Key, Service, cache,
    pieces::{self, Piece},
};
use categories::{Categories, Hit, Measure};
use config::Config;

/// The kind, for registration.
#[must_use]
pub fn kind() -> NativeKind {
    NativeKind {
        name: "openai_moderation",
        class_paths: &["plugins.content_moderation.content_moderation.ContentModerationPlugin"],
        about: "Asks a moderation endpoint of OpenAI's shape about texts, and blocks, redacts or reports by category.",
        hooks: &[PromptPreFetch::ID, ToolPreInvoke::ID, ToolPostInvoke::ID],
        config_schema: NativeKind::schema_of::<Config>,
        build,
    }
}

fn build(config: &Value) -> Result<Arc<dyn Plugin>, BuildError> {
    let config: Config = NativeKind::read(config)?;
    let settled = config.settle()?;
    let moderation = OpenAiModeration {
        service: Service::new(&settled.reach())?,
        cache: cache(settled.cache_seconds, config.cache_entries)?,
        categories: Categories::new(&settled)?,
        missing: settled.missing.clone(),
        model: settled.model.clone(),
        longest: settled.longest,
        audits: config.audit_decisions,
        config,
    };
    Ok(Arc::new(Asking { judge: moderation, hooks: TEXT_HOOKS, needs: Needs::change() }))
}

struct OpenAiModeration {
    service: Service,
    /// What was found in a text, by the text.
    cache: Option<Cache<Hits>>,
    categories: Categories,
    /// What is asked for and not here.
    missing: Option<String>,
    model: String,
    /// Longest piece, in characters.
    longest: usize,
    audits: bool,
    config: Config,
}

/// What was found in a piece of text; mostly nothing.
type Hits = Arc<[Hit]>;

impl Judge for OpenAiModeration {
    fn service(&self) -> &Service {
        &self.service
    }

    fn ready(&self) -> Result<(), PluginError> {
        match &self.missing {
            Some(missing) => Err(PluginError::Unavailable(missing.clone())),
            None => Ok(()),
        }
    }

    fn judge<'a>(&'a self, call: Call<'a>, _: Context<'a>) -> Answer<'a> {
        let pieces = match pieces::of(call.payload.payload(), self.longest, self.config.max_text_bytes) {
            Ok(pieces) => pieces,
            Err(error) => return Answer::Ready(Err(error)),
        };
        let now = call.host.instant();
        let known = |piece: &Piece| self.cache.as_ref()?.get(&key(piece), now);
        let found: Vec<Option<Hits>> = pieces.iter().map(known).collect();
        if found.iter().all(Option::is_some) {
            let found: Vec<Hits> = found.into_iter().flatten().collect();
            return Answer::Ready(Ok(self.decide(&pieces, &found, call.host)));
        }
        Answer::Later(Box::pin(async move {
            let found = self.ask(&pieces, found, call.host).await?;
            Ok(self.decide(&pieces, &found, call.host))
        }))
    }
}

fn key(piece: &Piece) -> Key {
    Key::of([piece.text.as_bytes()])
}

impl OpenAiModeration {
    /// Asks about the pieces of which nothing is known.
    async fn ask(
        &self,
        pieces: &[Piece],
        mut found: Vec<Option<Hits>>,
        host: &dyn Host,
    ) -> Result<Vec<Hits>, PluginError> {
        let open: Vec<usize> =
            (0..pieces.len()).filter(|at| found.get(*at).is_some_and(Option::is_none)).collect();
        for batch in wire::batches(&open, pieces) {
            let texts: Vec<&str> = batch.iter().filter_map(|at| Some(&*pieces.get(*at)?.text)).collect();
            let answer: wire::Answer =
                self.service.ask_for(host, wire::question(&self.model, &texts)).await?;
            if answer.results.len() != texts.len() {
                return Err(self.service.invalid("no result for each text"));
            }
            for (at, result) in batch.iter().zip(&answer.results) {
                let hits: Hits = self.categories.hits(result).into();
                if let (Some(cache), Some(piece)) = (&self.cache, pieces.get(*at)) {
                    cache.put(key(piece), hits.clone(), host.instant(), None);
                }
                if let Some(slot) = found.get_mut(*at) {
                    *slot = Some(hits);
                }
            }
        }
        Ok(found.into_iter().map(Option::unwrap_or_default).collect())
    }

    /// What all that was found comes to.
    fn decide(&self, pieces: &[Piece], found: &[Hits], host: &dyn Host) -> Reply {
        let mut scores: BTreeMap<&str, (f64, Measure)> = BTreeMap::new();
        let mut edits = Edits::new();
        for (piece, hits) in pieces.iter().zip(found) {
            for hit in hits.iter() {
                let worst = scores.entry(&hit.category).or_insert((hit.score, hit.measure));
                worst.0 = worst.0.max(hit.score);
            }
            if hits.iter().any(|hit| hit.measure == Measure::Redact) {
                edits.replace(piece.id, piece.range.clone(), self.config.redaction_text.as_str());
            }
        }
        if scores.is_empty() {
            return Reply::pass();
        }
        let of = |measure| -> Vec<&str> {
            scores.iter().filter(|(_, (_, found))| *found == measure).map(|(name, _)| *name).collect()
        };
        let blocks = of(Measure::Block);
        let told: Value =
            scores.iter().map(|(name, (score, _))| ((*name).to_owned(), json!(score))).collect();
        let word = if !blocks.is_empty() {
            "block"
        } else if edits.is_empty() {
            "warn"
        } else {
            "redact"
        };
        if self.audits {
            let names = scores.keys().copied().collect::<Vec<_>>().join(",");
            host.log(LogLevel::Info, "content moderated", &[("categories", &names), ("action", word)]);
        }
        let mut notes = Notes::default();
        notes.metadata.insert("content_moderation".to_owned(), json!({"action": word, "categories": told}));
        let mut reply = Reply { notes: Some(Box::new(notes)), ..Reply::pass() };
        if blocks.is_empty() {
            reply.change = (!edits.is_empty()).then_some(Change::Text(edits));
        } else {
            reply.violation = Some(Box::new(violation(&blocks, told)));
        }
        reply
    }
}

fn violation(blocks: &[&str], scores: Value) -> Violation {
    Violation::new("CONTENT_MODERATION", "Content policy violation")
        .describe(format!("The content was found to be of: {}", blocks.join(", ")))
        .detail("categories", blocks)
        .detail("scores", scores)
        .http_status(422)
}
