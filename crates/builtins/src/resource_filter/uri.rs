//! Reads URIs and compares their protocols and domains.

use url::{Host, Url};

/// Why a URI may not be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is no URI, for this reason.
    Invalid(String),
    /// Its protocol is not allowed.
    Protocol(String),
    /// Its domain is blocked.
    Domain(String),
}

/// Blocked domains in the one spelling they are compared in.
#[derive(Debug)]
pub(super) struct Domains(Vec<String>);

impl Domains {
    pub(super) fn new(domains: &[String]) -> Self {
        Self(domains.iter().map(|d| normal(d.trim_start_matches("*.").trim_start_matches('.'))).collect())
    }

    fn block(&self, host: &str) -> bool {
        self.0.iter().any(|blocked| {
            host.strip_suffix(blocked.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
    }
}

/// The protocol of a URI that may be read.
pub(super) fn check(uri: &str, protocols: &[String], domains: &Domains) -> Result<String, Refusal> {
    let url = Url::parse(uri).map_err(|error| Refusal::Invalid(error.to_string()))?;
    let protocol = url.scheme();
    if !protocols.iter().any(|p| p == protocol) {
        return Err(Refusal::Protocol(protocol.to_owned()));
    }
    if let Some(host) = url.host_str() {
        let host = normal(host);
        if domains.block(&host) {
            return Err(Refusal::Domain(host));
        }
    }
    Ok(protocol.to_owned())
}

/// A host in lower case, without percent escapes and trailing dots, in ASCII.
fn normal(host: &str) -> String {
    let parsed = Host::parse(host).map_or_else(|_| host.to_lowercase(), |h| h.to_string());
    parsed.trim_end_matches('.').to_owned()
}
