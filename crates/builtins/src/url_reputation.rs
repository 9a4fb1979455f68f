//! Decides by a URI's scheme, domain and text whether it may be read.
//!
//! Domains are compared as URLs are read by browsers, so that capitals, a trailing dot, a user name in front or percent
//! escapes hide nothing. What is trusted is asked first, then what is blocked.

pub mod config;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use mortise_plugin_api::{
    BuildError, Cx, Hook, Native, NativeKind, Needs, Plugin, PluginError, Verdict, Violation,
    hooks::{ResourcePreFetch, resource::ResourcePreFetchPayload},
};
use regex::Regex;
use serde_json::Value;
use url::{Host, Url};

use crate::pattern::{Case, compile};
use config::Config;

/// Shortest name whose letters are looked at; shorter ones say nothing.
const TELLING: usize = 8;

/// The kind, for registration.
#[must_use]
pub fn kind() -> NativeKind {
    NativeKind {
        name: "url_reputation",
        class_paths: &[
            "plugins.url_reputation.url_reputation.URLReputationPlugin",
            "cpex_url_reputation.URLReputationPlugin",
            "cpex_url_reputation.url_reputation.URLReputationPlugin",
        ],
        about: "Decides by scheme, domain and pattern which URIs may be read.",
        hooks: &[ResourcePreFetch::ID],
        config_schema: NativeKind::schema_of::<Config>,
        build,
    }
}

fn build(config: &Value) -> Result<Arc<dyn Plugin>, BuildError> {
    let config: Config = NativeKind::read(config)?;
    if !config.entropy_threshold.is_finite() || config.entropy_threshold < 0.0 {
        return Err(BuildError::new("entropy_threshold", "must be a number from 0 on"));
    }
    let reputation = UrlReputation {
        trusted: domains(&config.whitelist_domains),
        allowed: patterns("allowed_patterns", &config.allowed_patterns)?,
        blocked: domains(&config.blocked_domains),
        unwanted: patterns("blocked_patterns", &config.blocked_patterns)?,
        config,
    };
    Ok(Native::new(reputation)
        .on::<ResourcePreFetch>(Needs::block().without_body(), UrlReputation::look)
        .into_plugin())
}

fn patterns(field: &str, written: &[String]) -> Result<Vec<Arc<Regex>>, BuildError> {
    let one =
        |(at, pattern): (usize, &String)| Ok(compile(pattern, Case::Insensitive, &format!("{field}[{at}]"))?);
    written.iter().enumerate().map(one).collect()
}

fn domains(written: &[String]) -> Vec<String> {
    written.iter().map(|domain| normal(domain.trim_start_matches("*.").trim_start_matches('.'))).collect()
}

/// A domain in the one spelling that they are compared in.
fn normal(domain: &str) -> String {
    let parsed = Host::parse(domain).map_or_else(|_| domain.to_lowercase(), |host| host.to_string());
    parsed.trim_end_matches('.').to_owned()
}

struct UrlReputation {
    trusted: Vec<String>,
    allowed: Vec<Arc<Regex>>,
    blocked: Vec<String>,
    unwanted: Vec<Arc<Regex>>,
    config: Config,
}

impl UrlReputation {
    fn look(
        &self,
        payload: &ResourcePreFetchPayload,
        _: &mut Cx<'_>,
    ) -> Result<Verdict<ResourcePreFetchPayload>, PluginError> {
        Ok(self.refused(&payload.uri).map_or(Verdict::Pass, Verdict::from))
    }

    fn refused(&self, uri: &str) -> Option<Violation> {
        let url = Url::parse(uri).ok();
        let host = url.as_ref().and_then(Url::host_str).map(normal).unwrap_or_default();
        // Written and read: a pattern must not be dodged by another spelling.
        let read = url.as_ref().map_or(uri, Url::as_str);
        let matches = |patterns: &[Arc<Regex>]| {
            patterns.iter().position(|pattern| pattern.is_match(uri) || pattern.is_match(read))
        };
        let refused = |reason: &str| Violation::new("URL_REPUTATION_BLOCK", reason).http_status(403);
        if is_in(&host, &self.trusted) || matches(&self.allowed).is_some() {
            return None;
        }
        if self.config.block_non_secure_http && url.as_ref().is_some_and(|url| url.scheme() == "http") {
            return Some(
                refused("Insecure URL")
                    .describe("The URL is not secure: it begins with http")
                    .detail("domain", host),
            );
        }
        if is_in(&host, &self.blocked) {
            let description = format!("Domain '{host}' is blocked");
            return Some(refused("Blocked domain").describe(description).detail("domain", host));
        }
        if let Some(at) = matches(&self.unwanted) {
            let pattern = self.config.blocked_patterns.get(at).cloned().unwrap_or_default();
            return Some(
                refused("Blocked pattern")
                    .describe("The URL matches a pattern that is blocked")
                    .detail("pattern", pattern),
            );
        }
        if self.config.use_heuristic_check && self.looks_made_up(url.as_ref(), &host) {
            let description = format!("Domain '{host}' looks as if it was made up by a program");
            return Some(refused("Suspicious domain").describe(description).detail("domain", host));
        }
        None
    }

    /// Whether a domain is a bare address on the web, or has a label of letters that follow no language.
    fn looks_made_up(&self, url: Option<&Url>, host: &str) -> bool {
        match url.and_then(Url::host) {
            Some(Host::Domain(_)) => host
                .split('.')
                .any(|label| label.len() >= TELLING && entropy(label) > self.config.entropy_threshold),
            Some(Host::Ipv4(_) | Host::Ipv6(_)) => true,
            None => false,
        }
    }
}

fn is_in(host: &str, domains: &[String]) -> bool {
    !host.is_empty()
        && domains.iter().any(|domain| {
            host.strip_suffix(domain.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
}

/// Bits that a letter of the text carries, by how often each occurs.
fn entropy(text: &str) -> f64 {
    let mut counts = std::collections::BTreeMap::<char, u32>::new();
    text.chars().for_each(|letter| *counts.entry(letter).or_default() += 1);
    let whole = f64::from(counts.values().sum::<u32>());
    counts.values().map(|count| f64::from(*count) / whole).map(|share| -share * share.log2()).sum()
}
