//! A process plugin in Rust: replaces words in what models answer, and says so in a header.
//!
//! The same value would run within a gateway: only the main function knows that it is a program of its own.

use std::{collections::BTreeMap, io::Write as _, process::ExitCode};

use mortise_sdk::{
    plugin_api::{
        Cx, Headers, Hook, Native, Needs, PluginError, TextPart, Verdict,
        hooks::{HttpPostForwardingCall, LlmOutput, http::ForwardingPayload},
        native::TextVerdict,
    },
    process::{About, Program},
};
use serde::Deserialize;
use serde_json::json;

/// What it is told.
#[derive(Deserialize)]
struct Config {
    /// Words, and what stands in their place.
    replace: BTreeMap<String, String>,
    /// The header it sets.
    #[serde(default = "reviewed")]
    header: String,
}

fn reviewed() -> String {
    "x-reviewed-by".to_owned()
}

struct Modifier(Config);

impl Modifier {
    fn headers(&self, _: &ForwardingPayload, _: &mut Cx<'_>) -> Result<Verdict<Headers>, PluginError> {
        Ok(Verdict::Change([(self.0.header.as_str(), "response-modifier")].into_iter().collect()))
    }

    /// Is shown every text of an answer, whatever its shape.
    #[expect(clippy::needless_pass_by_value, reason = "the shape that handlers of texts have")]
    fn text(&self, part: TextPart<'_>, verdict: &mut TextVerdict, _: &mut Cx<'_>) -> Result<(), PluginError> {
        for (word, instead) in &self.0.replace {
            for (at, found) in part.text.match_indices(word.as_str()) {
                verdict.edits.replace(part.id, at..at + found.len(), instead.as_str());
            }
        }
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let about = About::new("response-modifier", "1.0.0")
        .describe("Replaces words in what models answer")
        .schema(json!({
            "type": "object",
            "required": ["replace"],
            "properties": {
                "replace": { "type": "object", "additionalProperties": { "type": "string" } },
                "header": { "type": "string" },
            },
        }));
    let program = Program::new(about, |config| {
        let modifier = Modifier(config.read()?);
        let plugin = Native::new(modifier)
            .on::<HttpPostForwardingCall>(Needs::change().without_body(), Modifier::headers)
            .on_texts(&[LlmOutput::ID], Needs::change(), Modifier::text);
        Ok(plugin.into_plugin())
    });
    match program.serve().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}
