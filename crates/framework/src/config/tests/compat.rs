//! The sample configurations of the ContextForge documents load as they stand.

use std::path::PathBuf;

use super::{HOOKS, env, places};
use crate::config::{Mode, PluginsFile, PluginsFileOptions, ProblemKind};

fn configs() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/compat/contextforge/configs")
}

fn load(name: &str) -> PluginsFile {
    let env = env(&[]);
    let mut options = PluginsFileOptions::new(&env);
    options.known_hooks = &HOOKS;
    options.settings_without_effect = &["plugin_health_check_interval"];
    PluginsFile::load(&[configs().join(name)], &options).unwrap_or_else(|e| panic!("{name}: {e}"))
}

#[test]
fn every_complete_sample_loads_without_an_unknown_key() {
    let mut loaded = 0;
    for file in std::fs::read_dir(configs()).expect("the samples").map(|f| f.expect("a file").path()) {
        if file.extension().is_some_and(|e| e == "yaml") {
            let name = file.file_name().and_then(|n| n.to_str()).expect("a name").to_owned();
            let sample = load(&name);
            assert!(!sample.entries.is_empty(), "{name}");
            let unknown = sample.notices.iter().find(|n| n.kind == crate::config::DiagnosticKind::UnknownKey);
            assert!(unknown.is_none(), "{name}: {unknown:?}");
            loaded += 1;
        }
    }
    assert_eq!(loaded, 14);
}

#[test]
fn main_sample_means_what_the_document_says() {
    let file = load("usage-main.yaml");
    let entry = &file.entries[0];
    assert_eq!(entry.kind, "plugins.native.content_filter.ContentFilterPlugin");
    assert_eq!(entry.conditions[0].prompts, ["customer_chat", "support_bot"]);
    assert!(entry.conditions[0].server_ids.is_empty());
    assert_eq!(entry.config_json["mask_char"], "*");
    assert_eq!(entry.version.as_deref(), Some("1.0"));
    assert!(file.settings.enable_plugin_api);
}

#[test]
fn pipeline_sample_keeps_order_and_modes() {
    let file = load("usage-ai-safety-pipeline.yaml");
    let seen: Vec<_> = file.entries.iter().map(|e| (e.name.as_str(), e.mode, e.priority)).collect();
    assert_eq!(
        seen,
        [
            ("PIIFilter", Mode::Enforce, 10),
            ("LlamaGuardSafety", Mode::Enforce, 20),
            ("OpenAIMod", Mode::Permissive, 30),
            ("AuditLogger", Mode::Permissive, 100)
        ]
    );
}

#[test]
fn unset_token_and_missing_transport_cost_only_their_entry() {
    for (sample, kind) in [
        ("spec-openai-moderation.yaml", ProblemKind::Unset),
        ("usage-secure-external.yaml", ProblemKind::Unset),
        ("usage-high-throughput.yaml", ProblemKind::NoTransport),
    ] {
        assert_eq!(load(sample).entries[0].problems[0].kind, kind, "{sample}");
    }
}

#[test]
fn timeout_in_milliseconds_is_told() {
    let file = load("usage-high-throughput.yaml");
    assert!(
        file.notices
            .iter()
            .any(|n| n.path == "plugin_settings.plugin_timeout" && n.message.contains("seconds"))
    );
}

#[test]
fn fragment_without_kinds_is_refused_with_every_place() {
    let env = env(&[]);
    let path = configs().join("incomplete/usage-execution-order.yaml");
    let errors = PluginsFile::load(&[path], &PluginsFileOptions::new(&env)).expect_err("incomplete");
    let expected = [(3, 0), (6, 1), (9, 2), (12, 3)].map(|(line, i)| (line, format!("plugins[{i}].kind")));
    assert_eq!(places(&errors), expected);
}
