//! How a document says that requests are authenticated, and what a key becomes by it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::{encode::encode, parameter::Place, refs};

/// A way to authenticate requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// The key itself, in this place.
    ApiKey {
        /// Where: header, query or cookie.
        place: Place,
        /// Under which name.
        name: String,
    },
    /// `Authorization: Basic`, of a key that is `user:password`.
    Basic,
    /// `Authorization: Bearer`; also where tokens come by OAuth 2 or OpenID Connect.
    Bearer,
}

/// What is added to every request. `Debug` shows no secret.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// A header.
    Header(String, String),
    /// A parameter of the query, encoded.
    Query(String, String),
    /// A cookie, encoded.
    Cookie(String, String),
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (what, name) = match self {
            Self::Header(name, _) => ("Header", name),
            Self::Query(name, _) => ("Query", name),
            Self::Cookie(name, _) => ("Cookie", name),
        };
        f.debug_tuple(what).field(name).finish_non_exhaustive()
    }
}

/// Why a key cannot be sent by a document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecurityError {
    /// The document has no such scheme.
    #[error("the document has no security scheme `{name}`; it has {}", told(known))]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// Those it has.
        known: Vec<String>,
    },
    /// The scheme is one that a key alone does not serve.
    #[error("the security scheme `{name}` is none that a key can be sent by")]
    Unusable {
        /// The scheme.
        name: String,
    },
}

fn told(known: &[String]) -> String {
    if known.is_empty() { "none".to_owned() } else { known.join(", ") }
}

impl Scheme {
    /// Reads one; `None` for what is not known.
    pub(crate) fn read(root: &Value, written: &Value) -> Option<Self> {
        let written = refs::resolve(root, written).ok()?;
        let text = |key: &str| written.get(key).and_then(Value::as_str);
        match text("type")? {
            "apiKey" => {
                let place = match text("in")? {
                    "header" => Place::Header,
                    "query" => Place::Query,
                    "cookie" => Place::Cookie,
                    _ => return None,
                };
                Some(Self::ApiKey { place, name: text("name")?.to_owned() })
            }
            "http" if text("scheme")?.eq_ignore_ascii_case("basic") => Some(Self::Basic),
            "http" if text("scheme")?.eq_ignore_ascii_case("bearer") => Some(Self::Bearer),
            "oauth2" | "openIdConnect" => Some(Self::Bearer),
            _ => None,
        }
    }

    /// What a key becomes.
    #[must_use]
    pub fn credential(&self, key: &str) -> Credential {
        let authorization = |text: String| Credential::Header("authorization".to_owned(), text);
        match self {
            Self::Bearer => authorization(format!("Bearer {key}")),
            // One without a colon is encoded already.
            Self::Basic if key.contains(':') => authorization(format!("Basic {}", STANDARD.encode(key))),
            Self::Basic => authorization(format!("Basic {key}")),
            Self::ApiKey { place: Place::Query, name } => Credential::Query(encode(name), encode(key)),
            Self::ApiKey { place: Place::Cookie, name } => Credential::Cookie(encode(name), encode(key)),
            Self::ApiKey { name, .. } => Credential::Header(name.clone(), key.to_owned()),
        }
    }
}
