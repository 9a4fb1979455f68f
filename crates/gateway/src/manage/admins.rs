//! Who may manage the gateway.
//!
//! The admin token, the credential of the command line, or the token of an app with `is_admin`. Who is not known gets
//! 401, an app that is known and no admin 403.

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};

use super::answers::detail;
use crate::{
    auth::{self, Authenticator, Unauthorized},
    config::TokenDigest,
};

/// Who may manage the gateway.
#[derive(Clone, Debug, Default)]
pub struct Admins {
    digests: Vec<(&'static str, TokenDigest)>,
}

impl Admins {
    /// Those who hold a token with one of these digests.
    #[must_use]
    pub fn new(digests: impl IntoIterator<Item = TokenDigest>) -> Self {
        Self::named(digests.into_iter().map(|digest| ("admin token", digest)))
    }

    /// The same with the name under which each stands in the history.
    #[must_use]
    pub fn named(digests: impl IntoIterator<Item = (&'static str, TokenDigest)>) -> Self {
        Self { digests: digests.into_iter().collect() }
    }

    /// Whether a caller may read.
    pub(crate) fn may_read(&self, headers: &HeaderMap, callers: &Authenticator) -> bool {
        self.check(headers, callers).is_ok()
    }

    /// Whether a caller may change things.
    pub(crate) fn may_change(&self, headers: &HeaderMap, callers: &Authenticator) -> bool {
        self.who(headers, callers).is_ok()
    }

    /// The same as [`Admins::may_read`], with the reason why not.
    pub(super) fn check(&self, headers: &HeaderMap, callers: &Authenticator) -> Result<(), NoAdmin> {
        if callers.is_open() {
            return Ok(());
        }
        self.who(headers, callers).map(drop)
    }

    /// Whether a caller may change things, and who it is for the history.
    pub(super) fn who(&self, headers: &HeaderMap, callers: &Authenticator) -> Result<String, NoAdmin> {
        let token = TokenDigest::of(auth::bearer(headers).ok_or(Unauthorized::Missing)?);
        // All are compared, so that the time taken does not tell which one is near.
        let admin = self
            .digests
            .iter()
            .fold(None, |found, (name, known)| if auth::same(*known, token) { Some(*name) } else { found });
        if let Some(name) = admin {
            return Ok(name.to_owned());
        }
        match callers.grant(headers) {
            Ok(grant) if grant.caller.is_admin => {
                Ok(format!("app {}", grant.caller.app.as_deref().unwrap_or_default()))
            }
            // Without apps everyone is let in elsewhere, and a token that came along is nobody's.
            Ok(_) if callers.is_open() => Err(Unauthorized::Unknown.into()),
            Ok(_) => Err(NoAdmin::App),
            Err(error) => Err(error.into()),
        }
    }
}

/// Why a caller may not manage the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoAdmin {
    /// It is not known who calls.
    #[error(transparent)]
    Caller(#[from] Unauthorized),
    /// An app calls that is known and no admin.
    #[error("not allowed: the token of this app has no `is_admin`; the admin token is needed")]
    App,
}

impl NoAdmin {
    /// The answer: 401 with the challenge, or 403, and a JSON body that says why.
    pub(super) fn response(self) -> Response<Bytes> {
        match self {
            Self::Caller(unauthorized) => unauthorized.response(),
            Self::App => detail(StatusCode::FORBIDDEN, &self.to_string()),
        }
    }
}
