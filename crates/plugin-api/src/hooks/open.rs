//! Hooks whose payload is any JSON: those registered at start, and the names of the newest framework for which
//! Mortise has no moment of its own yet.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::define::{applied, payload, put};
use crate::content::{scan::Select, view::json};
use crate::{
    Family, HookId, HookSpec, Json, Limit, May, Moment, Payload, PluginError, Rule,
    hook::{Codec, ErasedApplied, Example, SchemaOf},
};

/// The payload of an open hook, and its answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct Open(pub Json);

payload!(Open, "open",
    subject: |_p| None,
    size: |p| p.0.size(),
    carriers: |p| [json("", &p.0, Select::All)],
    replace: |p, edited| { put!(edited, json p.0); });

/// The row of an open hook.
pub(crate) fn row(
    id: HookId,
    name: Arc<str>,
    about: Arc<str>,
    moment: Moment,
    may: May,
    schema: SchemaOf,
) -> HookSpec {
    HookSpec {
        id,
        name,
        aliases: &[],
        family: Family::Open,
        moment,
        may,
        rule: Rule::Chain,
        limit: Limit::Content,
        pair: None,
        about,
        writable: &["*"],
        serves: false,
        example: Example::of("null"),
        codec: Codec {
            decode: |json, _| Ok(Box::new(read(json)?)),
            decode_change: |json, _| Ok(Box::new(read(json)?)),
            apply: |payload, change| match (
                payload.as_any().downcast_ref::<Open>(),
                change.downcast::<Open>(),
            ) {
                (Some(old), Ok(new)) => {
                    let applied = applied(old, *new, Vec::new());
                    let payload = applied.payload.map(|payload| Box::new(payload) as Box<dyn Payload>);
                    Ok(ErasedApplied { payload, refused: applied.refused })
                }
                _ => Err(PluginError::InvalidAnswer("not the JSON of an open hook".to_owned())),
            },
            payload_schema: schema.clone(),
            change_schema: schema,
        },
    }
}

fn read(json: &[u8]) -> Result<Open, PluginError> {
    Json::parse(json.to_vec()).map(Open).map_err(|error| PluginError::Payload {
        hook: "open",
        action: "decoded",
        reason: error.to_string(),
    })
}

/// Registers the open names that exist from the start.
pub(crate) fn add_rows(rows: &mut Vec<HookSpec>) {
    let decisive = May { block: true, change: true };
    let silent = May { block: false, change: false };
    let mut add = |name: String, moment, may, about: String, example: Example| {
        // The standard table is far smaller than the id space.
        let id = HookId(rows.len() as u16);
        let schema = SchemaOf::Type(|| schemars::schema_for!(Open));
        rows.push(HookSpec { example, ..row(id, name.into(), about.into(), moment, may, schema) });
    };
    let shown = |payload, answer, about| Example::of(payload).answered(answer, about);
    for (name, about, example) in [
        (
            "identity_resolve",
            "Who presents this token: answer an identity, reject it, or abstain.",
            shown(
                r#"{"raw_token": "**********", "source": "bearer", "headers": {}, "client_host": "192.0.2.7", "client_port": 51234}"#,
                r#"{"subject": {"id": "ann@example.com"}, "rejected": false}"#,
                "The token belongs to Ann.",
            ),
        ),
        (
            "token_delegate",
            "On whose behalf: answer a delegated token.",
            shown(
                r#"{"subject": {"id": "ann@example.com"}, "audience": "docs"}"#,
                r#"{"token": "**********"}"#,
                "A token for the one upstream.",
            ),
        ),
        (
            "evaluate",
            "Evaluate a message on its own.",
            shown(
                r#"{"message": {"role": "user", "content": "I am Ann Lee"}, "hook": "evaluate"}"#,
                r#"{"message": {"role": "user", "content": "I am [NAME]"}, "hook": "evaluate"}"#,
                "A name is masked.",
            ),
        ),
    ] {
        add(name.to_owned(), Moment::Before, decisive, about.to_owned(), example);
    }
    for name in ["tool_pre_invoke", "prompt_pre_fetch", "resource_pre_fetch"] {
        let about = format!("{name} in the common message format.");
        add(
            format!("cmf.{name}"),
            Moment::Before,
            decisive,
            about,
            shown(ASKED, ASKED_MASKED, "A name is masked."),
        );
    }
    for name in ["tool_post_invoke", "prompt_post_fetch", "resource_post_fetch"] {
        let about = format!("{name} in the common message format.");
        add(format!("cmf.{name}"), Moment::After, decisive, about, Example::of(ANSWERED));
    }
    for subject in ["server", "gateway"] {
        for event in ["register", "update", "delete", "status_change"] {
            // Registration of servers has typed hooks of its own.
            if (subject, event) == ("server", "register") {
                continue;
            }
            let before = shown(PEER, PEER_TAGGED, "A tag is added.");
            let about = format!("Before the {event} of a {subject}.");
            add(format!("{subject}_pre_{event}"), Moment::Before, decisive, about, before);
            let about = format!("After the {event} of a {subject}.");
            add(format!("{subject}_post_{event}"), Moment::AfterTheFact, silent, about, Example::of(PEER));
        }
    }
}

const ASKED: &str = r#"{"message": {"role": "user", "content": "I am Ann Lee"}}"#;
const ASKED_MASKED: &str = r#"{"message": {"role": "user", "content": "I am [NAME]"}}"#;
const ANSWERED: &str = r#"{"message": {"role": "assistant", "content": "Good day"}}"#;
const PEER: &str = r#"{"name": "east", "url": "https://east.example.com/mcp", "tags": []}"#;
const PEER_TAGGED: &str = r#"{"name": "east", "url": "https://east.example.com/mcp", "tags": ["reviewed"]}"#;
