//! The tokens of a request, by system.
//!
//! A name is `system`, or `system:scope:type:name` with as many parts as are known. A token of type `PAT` is a personal
//! one.

use std::collections::BTreeMap;

/// Longest header that is read, in bytes.
const LONGEST: usize = 65_536;

/// The tokens. They have no `Debug`, and end with the request.
#[derive(Default)]
pub(super) struct Tokens(BTreeMap<String, String>);

/// A token that was found.
#[derive(PartialEq, Eq)]
pub(super) struct Found<'t> {
    pub(super) token: &'t str,
    pub(super) personal: bool,
}

impl Tokens {
    /// Reads a header; `None` where it is no JSON map of texts.
    pub(super) fn read(value: &str) -> Option<Self> {
        if value.is_empty() || value.len() > LONGEST {
            return None;
        }
        serde_json::from_str(value).ok().map(Self)
    }

    /// The token of a system: the one of just its name, else the first by name that begins with it.
    pub(super) fn of(&self, system: &str) -> Option<Found<'_>> {
        let usable = |token: &&str| !token.is_empty() && !token.bytes().any(|byte| byte.is_ascii_control());
        let plain = self.0.get(system).map(|token| (system, &**token));
        let (name, token) = plain.or_else(|| {
            let mut named = self.0.iter().filter(|(name, _)| name.split(':').next() == Some(system));
            named.next().map(|(name, token)| (&**name, &**token))
        })?;
        let personal = name.split(':').nth(2).is_some_and(|word| word.eq_ignore_ascii_case("pat"));
        Some(token).filter(usable).map(|token| Found { token, personal })
    }
}
