//! Tokens of apps. Never the token: its SHA-256, and as much of its beginning as tells two apart.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Entity, check_name, shown, unfit, words, yes};
use crate::{StoreError, changes::What, sql::Value};

/// A token of an app.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// The app, by its number.
    pub app: i64,
    /// What it is for.
    #[serde(default)]
    pub name: Option<String>,
    /// How it begins.
    #[serde(default)]
    pub prefix: String,
    /// What it may be used for; shown to plugins. An empty list means anything.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// When it ends, in UTC; null for never.
    #[serde(default)]
    pub expires: Option<String>,
    /// Whether it lets anybody in.
    #[serde(default = "yes")]
    pub active: bool,
    /// When it was last used, to the minute; null for never.
    #[serde(default)]
    pub last_used: Option<String>,
    /// SHA-256 of the token, 64 hexadecimal digits. In a column of its own; never shown.
    #[serde(skip)]
    #[schemars(skip)]
    pub digest: String,
}

impl Entity for Token {
    const TABLE: &'static str = "tokens";
    const WORD: &'static str = "token";
    const CHANGE: Option<What> = Some(What::Token);
    const BESIDE: &'static [&'static str] = &["digest", "last_used"];

    fn columns(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("app", self.app.into()),
            ("digest", self.digest.as_str().into()),
            ("words", words([self.name.as_deref(), Some(&*self.prefix)])),
            ("active", self.active.into()),
        ]
    }

    fn beside(&mut self, values: &[Value]) {
        if let [Value::Text(Some(digest)), used] = values {
            self.digest.clone_from(digest);
            self.last_used = match used {
                Value::Int(Some(at)) => Some(shown(*at)),
                _ => None,
            };
        }
    }

    fn check(&self) -> Result<(), StoreError> {
        if let Some(name) = &self.name {
            check_name(Self::WORD, "name", name)?;
        }
        if self.digest.len() != 64 || !self.digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(unfit(Self::WORD, "digest", "is a SHA-256: 64 hexadecimal digits"));
        }
        let is_moment = |text: &String| text.parse::<jiff::Timestamp>().is_ok();
        if self.expires.as_ref().is_some_and(|text| !is_moment(text)) {
            return Err(unfit(Self::WORD, "expires", "is a moment like 2027-01-31T12:00:00Z"));
        }
        Ok(())
    }
}
