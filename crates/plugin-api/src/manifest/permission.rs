//! What a plugin asks to be allowed, in the words of the specification's `capabilities`.
//!
//! Asking is all it is: an operator grants. A word may carry a scope behind a further colon: `network:egress:api.acme:443`.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a permission is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the words say it")]
pub enum Action {
    HookInvoke,
    ReadContext,
    WriteContext,
    NetworkEgress,
    NetworkIngress,
    SecretsGet,
    FilesystemRead,
    FilesystemWrite,
    ExecProcess,
    MetricsEmit,
}

/// Whether a permission's word has a scope behind it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    Must,
    May,
    No,
}

const WORDS: [(Action, &str, Scope); 10] = [
    (Action::HookInvoke, "hook:invoke", Scope::Must),
    (Action::ReadContext, "read:context", Scope::No),
    (Action::WriteContext, "write:context", Scope::No),
    (Action::NetworkEgress, "network:egress", Scope::May),
    (Action::NetworkIngress, "network:ingress", Scope::May),
    (Action::SecretsGet, "secrets:get", Scope::May),
    (Action::FilesystemRead, "filesystem:read", Scope::May),
    (Action::FilesystemWrite, "filesystem:write", Scope::May),
    (Action::ExecProcess, "exec:process", Scope::May),
    (Action::MetricsEmit, "metrics:emit", Scope::No),
];

impl Action {
    /// Its word: `network:egress`.
    #[must_use]
    pub fn word(self) -> &'static str {
        WORDS.iter().find(|(action, ..)| *action == self).map_or("", |(_, word, _)| word)
    }

    /// All words.
    #[must_use]
    pub fn words() -> [&'static str; 10] {
        WORDS.map(|(_, word, _)| word)
    }
}

/// One permission that a plugin asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Permission {
    /// What it is about.
    pub action: Action,
    /// What exactly: a hook, host and port, the name of a secret, a path. `None` means all.
    pub scope: Option<Box<str>>,
}

/// Why a text is no permission.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PermissionError {
    /// Not one of the words.
    #[error("there is no permission `{0}`")]
    Word(String),
    /// `hook:invoke` without a hook.
    #[error("`hook:invoke` needs the hook behind it: `hook:invoke:tool_pre_invoke`")]
    NoHook,
    /// Something behind a word that takes nothing.
    #[error("`{0}` takes nothing behind it")]
    Scope(&'static str),
}

impl FromStr for Permission {
    type Err = PermissionError;

    fn from_str(text: &str) -> Result<Self, PermissionError> {
        let text = text.trim();
        for (action, word, takes) in WORDS {
            let Some(rest) = text.strip_prefix(word) else { continue };
            let scope = match rest.strip_prefix(':') {
                Some(scope) => Some(scope.trim()).filter(|scope| !scope.is_empty()),
                None if rest.is_empty() => None,
                None => continue,
            };
            return match (takes, scope) {
                (Scope::Must, None) => Err(PermissionError::NoHook),
                (Scope::No, Some(_)) => Err(PermissionError::Scope(word)),
                _ => Ok(Self { action, scope: scope.map(Into::into) }),
            };
        }
        Err(PermissionError::Word(text.chars().filter(|c| !c.is_control()).take(60).collect()))
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.action.word())?;
        match &self.scope {
            Some(scope) => write!(f, ":{scope}"),
            None => Ok(()),
        }
    }
}

impl TryFrom<String> for Permission {
    type Error = PermissionError;

    fn try_from(text: String) -> Result<Self, PermissionError> {
        text.parse()
    }
}

impl From<Permission> for String {
    fn from(value: Permission) -> Self {
        value.to_string()
    }
}
