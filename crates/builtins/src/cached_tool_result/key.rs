//! What tells two calls apart: server, tool, arguments, and who calls.
//!
//! Keys are digests over parts of stated length, so that no two different calls have the same. Arguments are compared
//! as they are written, since numbers that a parser would round are different numbers; only the order of the members
//! does not count. Arguments that name a member twice have no key: whom it is read by decides what they mean.

use std::collections::BTreeMap;

use mortise_plugin_api::{Json, Request};
use serde::{Deserialize, Deserializer, de::Visitor};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::config::Scope;

/// A call, as a digest.
pub(super) type Key = [u8; 32];

/// The key of a call; `None` where the arguments are no object, or name a member twice. `fields` are the arguments that
/// count, all where it is empty.
pub(super) fn key(
    request: &Request,
    scope: Scope,
    tool: &str,
    args: &Json,
    fields: &[String],
) -> Option<Key> {
    let members: Members<'_> =
        if args.is_null() { Members::default() } else { serde_json::from_slice(args.text()).ok()? };
    let mut parts = Parts(Sha256::new());
    let caller = &request.caller;
    parts.optional(request.server_id.as_deref());
    parts.optional(request.upstream.as_deref());
    parts.text(tool);
    if scope != Scope::Shared {
        parts.optional(caller.tenant.as_deref());
    }
    if scope == Scope::Caller {
        parts.optional(caller.user.as_deref());
        parts.optional(caller.app.as_deref());
        parts.all(caller.teams.iter().map(|team| &**team));
        parts.all(caller.scopes.iter().map(|scope| &**scope));
    }
    let counts = |name: &str| fields.is_empty() || fields.iter().any(|field| field == name);
    for (name, value) in members.0.iter().filter(|(name, _)| counts(name)) {
        parts.text(name);
        parts.text(value.get());
    }
    Some(parts.0.finalize().into())
}

struct Parts(Sha256);

impl Parts {
    fn text(&mut self, text: &str) {
        self.0.update((text.len() as u64).to_le_bytes());
        self.0.update(text.as_bytes());
    }

    fn optional(&mut self, text: Option<&str>) {
        self.0.update([u8::from(text.is_some())]);
        self.text(text.unwrap_or_default());
    }

    fn all<'a>(&mut self, texts: impl Iterator<Item = &'a str>) {
        let mut texts: Vec<&str> = texts.collect();
        texts.sort_unstable();
        self.0.update((texts.len() as u64).to_le_bytes());
        for text in texts {
            self.text(text);
        }
    }
}

/// Members of an object, each once, with their values as written.
#[derive(Default)]
struct Members<'a>(BTreeMap<String, &'a RawValue>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object without members of the same name")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
                    if members.insert(name, value).is_some() {
                        return Err(serde::de::Error::custom("a member is there twice"));
                    }
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}
