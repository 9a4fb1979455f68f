//! `apps`: who may call, with which tokens, as whom, and what they may reach.

use std::{collections::BTreeSet, fmt};

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::place::Findings;

/// A program that calls the gateway, and who it acts for.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AppConfig {
    /// Unique name.
    pub name: String,
    /// Its tokens; any of them will do. Without one the app cannot call.
    #[serde(default)]
    pub tokens: Vec<TokenConfig>,
    /// The user it acts for, usually an e-mail address. Plugins see it.
    #[serde(default)]
    pub user: Option<String>,
    /// The user's name for people.
    #[serde(default)]
    pub full_name: Option<String>,
    /// The tenant its calls belong to.
    #[serde(default)]
    pub tenant: Option<String>,
    /// Teams of the user.
    #[serde(default)]
    pub teams: Vec<String>,
    /// Whether the user administers the gateway. Default false.
    #[serde(default)]
    pub is_admin: bool,
    /// Free data, shown to plugins.
    #[serde(default)]
    pub metadata: Map<String, Value>,
    /// Money it may spend on LLM calls in a month (UTC), in what the models' `prices` are in. Past it they are refused
    /// until the next one.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub monthly_budget: Option<f64>,
    /// Day of the month on which its budget begins anew, 1 to 28. Default 1.
    #[serde(default = "first")]
    #[schemars(range(min = 1, max = 28))]
    pub budget_reset_day: u8,
    /// LLM calls per minute.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub rate_limit: Option<u64>,
    /// Tokens of LLM calls per minute, in and out.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub token_limit: Option<u64>,
    /// LLMs it may use. Not given, all; an empty list, none.
    #[serde(default)]
    pub llms: Option<Vec<String>>,
    /// Tools over HTTP it may use, by slug. Not given, all; an empty list, none.
    #[serde(default)]
    pub tools: Option<Vec<String>>,
    /// Data sources it may use, by slug. Not given, all; an empty list, none.
    #[serde(default)]
    pub datasources: Option<Vec<String>>,
    /// Virtual servers it may use. Not given, all of them and `/mcp`; given, only these, and not `/mcp`; an empty
    /// list, none.
    #[serde(default)]
    pub servers: Option<Vec<String>>,
}

fn first() -> u8 {
    1
}

/// A token of an app. Only its SHA-256 is written down: `printf %s "$TOKEN" | sha256sum` prints it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenConfig {
    /// SHA-256 of the token, 64 hexadecimal digits.
    pub sha256: String,
    /// What the token may be used for; shown to plugins. An empty list means anything.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// When it ends: a time (`2027-01-31T12:00:00Z`), or a day (`2027-01-31`) to whose end in UTC it is good. Not
    /// given, never.
    #[serde(default)]
    pub expires: Option<String>,
}

/// Validated [`AppConfig`].
#[derive(Clone, Debug)]
pub struct App {
    /// Its name.
    pub name: String,
    /// Its tokens.
    pub tokens: Vec<Token>,
    /// The user it acts for.
    pub user: Option<String>,
    /// The user's name for people.
    pub full_name: Option<String>,
    /// The tenant its calls belong to.
    pub tenant: Option<String>,
    /// Teams of the user.
    pub teams: Vec<String>,
    /// Whether the user administers the gateway.
    pub is_admin: bool,
    /// Free data.
    pub metadata: Map<String, Value>,
    /// Money it may spend on LLM calls in a month; `None` for no limit.
    pub monthly_budget: Option<f64>,
    /// Day of the month on which that begins anew, 1 to 28.
    pub budget_reset_day: u8,
    /// LLM calls per minute; `None` for no limit.
    pub rate_limit: Option<u64>,
    /// Tokens of LLM calls per minute; `None` for no limit.
    pub token_limit: Option<u64>,
    /// LLMs it may use, `None` for all.
    pub llms: Option<BTreeSet<String>>,
    /// Tools over HTTP it may use, `None` for all.
    pub tools: Option<BTreeSet<String>>,
    /// Data sources it may use, `None` for all.
    pub datasources: Option<BTreeSet<String>>,
    /// Virtual servers it may use, `None` for all and `/mcp`.
    pub servers: Option<BTreeSet<String>>,
}

/// Validated [`TokenConfig`].
#[derive(Clone, Debug)]
pub struct Token {
    /// SHA-256 of the token.
    pub digest: TokenDigest,
    /// What it may be used for.
    pub scopes: Vec<String>,
    /// When it ends.
    pub expires: Option<Timestamp>,
}

/// SHA-256 of a token.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenDigest(pub [u8; 32]);

impl TokenDigest {
    /// Reads 64 hexadecimal digits.
    #[must_use]
    pub fn parse(hex: &str) -> Option<Self> {
        if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let mut digest = [0; 32];
        for (at, byte) in digest.iter_mut().enumerate() {
            *byte = u8::from_str_radix(hex.get(2 * at..2 * at + 2)?, 16).ok()?;
        }
        Some(Self(digest))
    }

    /// The digest of a token.
    #[must_use]
    pub fn of(token: &[u8]) -> Self {
        use sha2::Digest;
        Self(sha2::Sha256::digest(token).into())
    }

    /// The digest as 64 hexadecimal digits.
    #[must_use]
    pub fn to_hex(self) -> String {
        self.0.iter().fold(String::with_capacity(64), |mut hex, byte| {
            hex.extend([byte >> 4, byte & 15].map(|digit| char::from_digit(digit.into(), 16).unwrap_or('0')));
            hex
        })
    }
}

/// Not a secret, but no business of logs either.
impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest(..)")
    }
}

/// Checks one app.
pub(super) fn settle(index: usize, raw: AppConfig, found: &mut Findings<'_>) -> App {
    let path = format!("apps[{index}]");
    let tokens = raw.tokens.into_iter().enumerate();
    let tokens = tokens
        .filter_map(|(at, token)| settle_token(&format!("{path}.tokens[{at}]"), token, found))
        .collect();
    App {
        name: raw.name,
        tokens,
        user: raw.user,
        full_name: raw.full_name,
        tenant: raw.tenant,
        teams: raw.teams,
        is_admin: raw.is_admin,
        metadata: raw.metadata,
        monthly_budget: raw.monthly_budget.filter(|budget| budget.is_finite()),
        budget_reset_day: raw.budget_reset_day.clamp(1, 28),
        rate_limit: raw.rate_limit,
        token_limit: raw.token_limit,
        llms: raw.llms.map(|names| names.into_iter().collect()),
        tools: raw.tools.map(|names| names.into_iter().collect()),
        datasources: raw.datasources.map(|names| names.into_iter().collect()),
        servers: raw.servers.map(|names| names.into_iter().collect()),
    }
}

fn settle_token(path: &str, raw: TokenConfig, found: &mut Findings<'_>) -> Option<Token> {
    let digest = TokenDigest::parse(&raw.sha256);
    if digest.is_none() {
        let message = "this is not a SHA-256: it has 64 hexadecimal digits";
        found.error(&format!("{path}.sha256"), message).help = Some(
            "`printf %s \"$TOKEN\" | sha256sum` prints it; the token itself is never written down".into(),
        );
    }
    let expires = raw.expires.as_deref().map(end_of);
    if expires == Some(None) {
        found.error(&format!("{path}.expires"), "this is not a time").help =
            Some("write 2027-01-31T12:00:00Z, or 2027-01-31 for the end of that day".into());
    }
    Some(Token { digest: digest?, scopes: raw.scopes, expires: expires.flatten() })
}

/// The moment that a text means: a moment, or the end of a day in UTC.
pub(crate) fn end_of(text: &str) -> Option<Timestamp> {
    text.parse::<Timestamp>().ok().or_else(|| {
        let day: Date = text.parse().ok()?;
        Some(day.tomorrow().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_read_in_either_case_and_nothing_else_is() {
        let digest = TokenDigest::of(b"abc");
        let hex = digest.to_hex();
        assert_eq!(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(TokenDigest::parse(&hex.to_uppercase()), Some(digest));
        for wrong in ["", &hex[1..], &format!("+{}", &hex[1..]), &"é".repeat(32)] {
            assert_eq!(TokenDigest::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_day_is_good_to_its_end() {
        assert_eq!(end_of("2027-01-31"), "2027-02-01T00:00:00Z".parse().ok());
        assert_eq!(end_of("2027-01-31T12:00:00+02:00"), "2027-01-31T10:00:00Z".parse().ok());
        assert_eq!(end_of("soon"), None);
    }
}
