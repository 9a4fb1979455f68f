//! What the catalogue says of the built-in plugins beside what they say of themselves.
//!
//! One table, since none of it changes what a plugin does. A plugin without a row gets the words of its name as tags.

use mortise_plugin_api::manifest::{About, Tier};

/// Tags and tier by name.
const ROWS: &[(&str, Tier, &[&str])] = &[
    ("argument_normalizer", Tier::High, &["normalization", "arguments", "unicode", "cleanup"]),
    ("audit_logger", Tier::High, &["audit", "logging", "compliance", "observability"]),
    ("cached_tool_result", Tier::High, &["cache", "performance", "tools"]),
    ("cedar", Tier::High, &["policy", "authorization", "cedar"]),
    ("cel", Tier::High, &["policy", "authorization", "cel"]),
    ("circuit_breaker", Tier::High, &["reliability", "circuit-breaker", "tools"]),
    ("content_filter", Tier::High, &["security", "content", "filter"]),
    ("deny_list", Tier::High, &["security", "content", "filter", "deny"]),
    ("file_type_allowlist", Tier::High, &["security", "resources", "mime"]),
    ("harmful_content_detector", Tier::High, &["safety", "content", "filter"]),
    ("header_filter", Tier::High, &["security", "headers", "credentials"]),
    ("header_injector", Tier::High, &["headers", "http", "transformation"]),
    ("http_guardrail", Tier::High, &["guardrail", "security", "content", "service"]),
    ("json_repair", Tier::High, &["json", "repair", "transformation"]),
    ("llama_guard", Tier::High, &["guardrail", "safety", "moderation", "content", "service"]),
    ("opa", Tier::High, &["policy", "authorization", "opa", "service"]),
    ("openai_moderation", Tier::High, &["guardrail", "safety", "moderation", "content", "service"]),
    ("output_length_guard", Tier::High, &["guardrail", "length", "output"]),
    ("pii_filter", Tier::High, &["security", "pii", "compliance", "data-protection", "gdpr", "masking"]),
    ("rate_limiter", Tier::High, &["rate-limit", "throttling", "reliability"]),
    ("regex_filter", Tier::High, &["regex", "filter", "transformation"]),
    ("resource_filter", Tier::High, &["security", "resources", "filter"]),
    ("retry_with_backoff", Tier::High, &["reliability", "retry", "tools"]),
    ("schema_guard", Tier::High, &["schema", "validation", "json", "guardrail"]),
    ("secrets_detection", Tier::High, &["security", "secrets", "credentials", "compliance"]),
    ("sql_sanitizer", Tier::High, &["security", "sql", "injection", "guardrail"]),
    ("unified_pdp", Tier::High, &["policy", "authorization", "rbac", "security"]),
    ("url_reputation", Tier::High, &["security", "resources", "url"]),
    ("vault", Tier::High, &["security", "headers", "credentials", "tokens"]),
];

/// What stands in the manifest of a built-in kind beside its own words.
#[must_use]
pub fn about(name: &str) -> About {
    let row = ROWS.iter().find(|(known, ..)| *known == name);
    About {
        version: env!("CARGO_PKG_VERSION"),
        author: "Mortise",
        tags: row.map(|(_, _, tags)| *tags).unwrap_or_default(),
        tier: row.map_or(Tier::High, |(_, tier, _)| *tier),
        sample: sample(name),
    }
}

/// A configuration of a kind that cannot do without one.
fn sample(name: &str) -> Option<&'static str> {
    Some(match name {
        "cedar" => r#"{"policies": "permit (principal, action, resource);"}"#,
        "cel" => r#"{"rules": [{"deny": "subject == 'shell'"}]}"#,
        "deny_list" => r#"{"words": ["x"]}"#,
        "http_guardrail" => r#"{"url": "https://guardrail.example.com"}"#,
        "llama_guard" => r#"{"url": "https://models.example.com/v1"}"#,
        _ => return None,
    })
}
