//! Class paths of plugins: where a plugin moved, its old name and its new one mean the same.

use mortise_framework::{Plan, Runtime, config::PluginEntry, instance::State, runtime::NativeRuntime};

use serde_json::json;

use super::framework;

/// Built-in plugins that no other framework has.
const OWN: [&str; 4] = ["cedar", "cel", "http_guardrail", "llama_guard"];

#[tokio::test]
async fn every_class_path_of_a_built_in_plugin_leads_to_it() {
    let native = NativeRuntime::new(mortise::builtins::all());
    for kind in mortise::builtins::all() {
        assert_eq!(kind.class_paths.is_empty(), OWN.contains(&kind.name), "{}", kind.name);
        for path in kind.class_paths {
            assert_eq!(native.find(path).map(|found| found.name), Some(kind.name), "{path}");
        }
    }
}

#[tokio::test]
async fn old_and_new_paths_and_the_own_name_make_the_same_plugin() {
    for kinds in [
        &[
            "plugins.pii_filter.pii_filter.PIIFilterPlugin",
            "cpex_pii_filter.PIIFilterPlugin",
            "cpex_pii_filter.pii_filter.PIIFilterPlugin",
            "builtin.pii_filter",
        ][..],
        &[
            "plugins.sql_sanitizer.sql_sanitizer.SQLSanitizerPlugin",
            "cpex_sql_sanitizer.sql_sanitizer.SQLSanitizerPlugin",
            "builtin.sql_sanitizer",
        ],
        &[
            "plugins.rate_limiter.rate_limiter.RateLimiterPlugin",
            "cpex_rate_limiter.RateLimiterPlugin",
            "cpex_rate_limiter.rate_limiter.RateLimiterPlugin",
            "builtin.rate_limiter",
        ],
        &[
            "plugins.retry_with_backoff.retry_with_backoff.RetryWithBackoffPlugin",
            "cpex_retry_with_backoff.RetryWithBackoffPlugin",
            "cpex_retry_with_backoff.retry_with_backoff.RetryWithBackoffPlugin",
            "builtin.retry_with_backoff",
        ],
        &[
            "plugins.native.content_filter.ContentFilterPlugin",
            "plugins.content.basic_filter.BasicFilterPlugin",
            "plugins.security.enterprise_filter.EnterpriseFilterPlugin",
            "builtin.content_filter",
        ],
        &[
            "plugins.url_reputation.url_reputation.URLReputationPlugin",
            "cpex_url_reputation.URLReputationPlugin",
            "cpex_url_reputation.url_reputation.URLReputationPlugin",
            "builtin.url_reputation",
        ],
    ] {
        let framework = framework();
        let entries =
            kinds.iter().enumerate().map(|(at, kind)| PluginEntry::new(format!("p{at}"), *kind)).collect();
        let plan = Plan { entries, enabled: true, ..Plan::default() };

        let (pipelines, _) = framework.build(&plan).await.unwrap();

        for instance in pipelines.instances() {
            assert_eq!(
                (instance.state(), instance.runtime),
                (State::Ready, "native"),
                "{}",
                instance.entry.kind
            );
        }
        let native = NativeRuntime::new(mortise::builtins::all());
        let hooks: Vec<_> = kinds.iter().map(|kind| native.default_hooks(kind)).collect();
        assert!(hooks.windows(2).all(|pair| pair[0] == pair[1] && !pair[0].is_empty()));
    }
}

#[test]
fn bundled_classes_that_are_not_built_in_are_known_by_name() {
    let framework = framework();
    for (kind, word) in [
        ("plugins.html_to_markdown.html_to_markdown.HTMLToMarkdownPlugin", "HTMLToMarkdown"),
        ("cpex_encoded_exfil_detection.EncodedExfilDetectorPlugin", "EncodedExfilDetector"),
        (
            "plugins.webhook_notification.webhook_notification.WebhookNotificationPlugin",
            "WebhookNotification",
        ),
        ("plugins.my_plugin.plugin.MyPlugin", "Python"),
        ("internal.validators.FastValidator", "Python"),
        ("external", "external plugin servers"),
    ] {
        let reason = framework.waits_for(&PluginEntry::new("p", kind)).unwrap();
        assert!(reason.contains("waits for") && reason.contains(word), "{kind}: {reason}");
    }
}

/// What the documents of the bundled plugins show as their configuration.
#[tokio::test]
async fn documented_configurations_of_bundled_plugins_are_accepted() {
    let native = NativeRuntime::new(mortise::builtins::all());
    for (kind, config) in [
        (
            "cpex_rate_limiter.rate_limiter.RateLimiterPlugin",
            json!({"by_user": "300/m", "by_user_per_server": "60/m", "by_tenant": "300/m",
                "by_tool": {"search": "10/m", "summarise": "5/m"}, "algorithm": "fixed_window", "backend": "redis",
                "redis_url": "redis://redis:6379/0", "redis_key_prefix": "rl", "fail_mode": "open"}),
        ),
        (
            "plugins.circuit_breaker.circuit_breaker.CircuitBreakerPlugin",
            json!({"error_rate_threshold": 0.5, "window_seconds": 60, "min_calls": 10,
                "consecutive_failure_threshold": 5, "cooldown_seconds": 60, "tool_overrides": {}}),
        ),
        (
            "plugins.retry_with_backoff.retry_with_backoff.RetryWithBackoffPlugin",
            json!({"max_retries": 2, "backoff_base_ms": 200, "max_backoff_ms": 5000,
                "retry_on_status": [429, 500, 502, 503, 504], "jitter": true, "check_text_content": false,
                "tool_overrides": {"my_flaky_tool": {"max_retries": 4, "backoff_base_ms": 500}}}),
        ),
        (
            "plugins.cached_tool_result.cached_tool_result.CachedToolResultPlugin",
            json!({"cacheable_tools": [], "ttl": 300, "key_fields": {}}),
        ),
        (
            "plugins.header_injector.header_injector.HeaderInjectorPlugin",
            json!({"headers": {"User-Agent": "MCP-Context-Forge/1.0"}, "uri_prefixes": ["https://api.example.com/"]}),
        ),
    ] {
        let entry = PluginEntry::new("p", kind);
        assert!(native.create(&entry, &config).is_ok(), "{kind}");
    }
}
