//! Class paths of plugins: where a plugin moved, its old name and its new one mean the same.

use mortise_framework::{Plan, Runtime, config::PluginEntry, instance::State, runtime::NativeRuntime};

use super::framework;

#[tokio::test]
async fn every_class_path_of_a_built_in_plugin_leads_to_it() {
    let native = NativeRuntime::new(mortise::builtins::all());
    for kind in mortise::builtins::all() {
        assert!(!kind.class_paths.is_empty(), "{} has none", kind.name);
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
            "builtin.pii_filter",
        ][..],
        &[
            "plugins.sql_sanitizer.sql_sanitizer.SQLSanitizerPlugin",
            "cpex_sql_sanitizer.sql_sanitizer.SQLSanitizerPlugin",
            "builtin.sql_sanitizer",
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
fn classes_of_the_documents_that_are_not_built_in_yet_are_known_by_name() {
    let framework = framework();
    for (kind, word) in [
        ("plugins.native.content_filter.ContentFilterPlugin", "ContentFilter"),
        ("plugins.audit.audit_logger.AuditLoggerPlugin", "AuditLogger"),
        ("plugins.security.enterprise_filter.EnterpriseFilterPlugin", "EnterpriseFilter"),
        ("plugins.content.basic_filter.BasicFilterPlugin", "BasicFilter"),
        ("plugins.rate_limiter.rate_limiter.RateLimiterPlugin", "RateLimiter"),
        ("cpex_rate_limiter.RateLimiterPlugin", "RateLimiter"),
        ("plugins.my_plugin.plugin.MyPlugin", "Python"),
        ("internal.validators.FastValidator", "Python"),
        ("external", "external plugin servers"),
    ] {
        let reason = framework.waits_for(&PluginEntry::new("p", kind)).unwrap();
        assert!(reason.contains("waits for") && reason.contains(word), "{kind}: {reason}");
    }
}
