//! What is kept, field by field. Each is its document in the database; what is looked for has a column beside it.
//!
//! Checked here is what no database and no gateway has to be asked for: lengths, characters, ranges. Whether names exist
//! is the gateway's to say.

mod app;
mod llm;
mod plugin;
mod price;
mod token;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub use app::App;
pub use llm::Llm;
pub use plugin::Plugin;
pub use price::Price;
pub use token::Token;

use crate::{StoreError, changes::What, sql::Value};

/// Longest name, in bytes.
const MAX_NAME: usize = 200;

/// Largest document, in bytes.
pub(crate) const MAX_DOCUMENT: usize = 512 * 1024;

/// An entity with what the database knows of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stored<T> {
    /// Its number, never given twice.
    pub id: i64,
    /// Its fields.
    #[serde(flatten)]
    pub fields: T,
    /// When it was made, in UTC.
    pub created: String,
    /// When it was last changed.
    pub updated: String,
}

/// A kind of entity that a collection keeps.
pub trait Entity: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Its table.
    const TABLE: &'static str;
    /// What one is called: `app`.
    const WORD: &'static str;
    /// What a change of one is noted as; `None` where gateways need not know at once.
    const CHANGE: Option<What>;
    /// Columns that are read back beside the document.
    const BESIDE: &'static [&'static str] = &[];

    /// Columns beside the document, with their values. Always the same, in the same order.
    fn columns(&self) -> Vec<(&'static str, Value)>;

    /// Takes over the values of [`Entity::BESIDE`].
    fn beside(&mut self, _values: &[Value]) {}

    /// Checks what can be checked by looking at it.
    ///
    /// # Errors
    /// The first field that is wrong.
    fn check(&self) -> Result<(), StoreError>;
}

/// A moment of the database, for people and programs.
pub(crate) fn shown(milliseconds: i64) -> String {
    Timestamp::from_millisecond(milliseconds).map(|at| at.to_string()).unwrap_or_default()
}

/// What a search looks through: texts in lower case, as databases differ in what a letter's lower case is.
pub(crate) fn words<'t>(texts: impl IntoIterator<Item = Option<&'t str>>) -> Value {
    let texts: Vec<String> = texts.into_iter().flatten().map(str::to_lowercase).collect();
    texts.join("\n").into()
}

pub(crate) fn unfit(what: &'static str, field: &'static str, why: impl Into<String>) -> StoreError {
    StoreError::Unfit { what, field, why: why.into() }
}

/// A name: not empty, not too long, nothing that cannot be seen.
pub(crate) fn check_name(what: &'static str, field: &'static str, name: &str) -> Result<(), StoreError> {
    if name.trim().is_empty() || name.len() > MAX_NAME {
        return Err(unfit(what, field, format!("has 1 to {MAX_NAME} bytes")));
    }
    if name.trim() != name || name.chars().any(char::is_control) {
        return Err(unfit(what, field, "has no spaces at its ends and no control characters"));
    }
    Ok(())
}

/// A word of a path: letters, digits, `-` and `_`.
pub(crate) fn check_slug(what: &'static str, slug: &str) -> Result<(), StoreError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let begins = slug.starts_with(|c: char| c.is_ascii_alphanumeric());
    if !begins || slug.len() > MAX_NAME || !slug.chars().all(fits) {
        return Err(unfit(
            what,
            "slug",
            "is letters, digits, `-`, `_` and `.`, and begins with a letter or digit",
        ));
    }
    Ok(())
}

/// A text that is shown and not looked up.
pub(crate) fn check_text(
    what: &'static str,
    field: &'static str,
    text: Option<&str>,
) -> Result<(), StoreError> {
    match text {
        Some(text) if text.len() > 4096 || text.contains('\0') => {
            Err(unfit(what, field, "has at most 4096 bytes, and none of them 0"))
        }
        _ => Ok(()),
    }
}

/// An amount of money.
pub(crate) fn check_amount(
    what: &'static str,
    field: &'static str,
    amount: Option<f64>,
) -> Result<(), StoreError> {
    match amount {
        Some(amount) if !amount.is_finite() || amount < 0.0 => {
            Err(unfit(what, field, "is a number that is not negative"))
        }
        _ => Ok(()),
    }
}

/// A name in lower case with dashes: `My GPT 4` becomes `my-gpt-4`.
pub(crate) fn slug_of(name: &str) -> String {
    let mut slug = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            c if c.is_ascii_alphanumeric() => slug.push(c.to_ascii_lowercase()),
            _ if slug.is_empty() || slug.ends_with('-') => {}
            _ => slug.push('-'),
        }
    }
    slug.trim_end_matches('-').to_owned()
}

pub(crate) fn yes() -> bool {
    true
}
