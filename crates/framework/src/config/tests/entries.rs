//! Plugin entries and settings.

use super::{env, folder, places, plugins, plugins_with};
use crate::config::{
    Compiled, Condition, DiagnosticKind, Mode, OnError, PluginEntry, PluginsFile, PluginsFileOptions,
    ProblemKind,
};

fn entry(fields: &str) -> PluginEntry {
    let text = format!("plugins:\n  - {{ name: a, kind: k.K, {fields} }}\n");
    let file = plugins(&text, &[]).unwrap_or_else(|e| panic!("{fields}: {e}"));
    file.entries.into_iter().next().expect("an entry")
}

fn refused(fields: &str) -> String {
    let text = format!("plugins:\n  - {{ name: a, kind: k.K, {fields} }}\n");
    plugins(&text, &[]).expect_err(fields).to_string()
}

#[test]
fn absent_fields_have_the_documents_defaults() {
    let entry = entry("");
    assert_eq!((entry.mode, entry.priority, entry.on_error), (Mode::Enforce, 100, None));
    assert!(entry.hooks.is_empty() && entry.conditions.is_empty() && entry.config_json.is_empty());
    assert_eq!(entry.max_content_size, 10_000_000);
    assert_eq!(entry.given, ["name", "kind"]);
}

#[test]
fn every_mode_word_of_every_generation_is_known() {
    for (word, mode) in [
        ("enforce", Mode::Enforce),
        ("enforce_ignore_error", Mode::EnforceIgnoreError),
        ("permissive", Mode::Permissive),
        ("disabled", Mode::Disabled),
        ("sequential", Mode::Sequential),
        ("transform", Mode::Transform),
        ("audit", Mode::Audit),
        ("concurrent", Mode::Concurrent),
        ("fire_and_forget", Mode::FireAndForget),
    ] {
        assert_eq!(entry(&format!("mode: {word}")).mode, mode);
    }
    assert!(refused("mode: Enforce").contains("did you mean `enforce`?"));
    assert_eq!(entry("on_error: ignore").on_error, Some(OnError::Ignore));
    assert!(refused("on_error: ignored").contains("did you mean `ignore`?"));
    assert!(refused("capabilities: [read_header]").contains("did you mean `read_headers`"));
}

#[test]
fn values_are_taken_as_pydantic_took_them() {
    assert_eq!(entry("priority: \"50\"").priority, 50);
    assert_eq!(entry("version: 1.0").version.as_deref(), Some("1.0"));
    assert_eq!(entry("config: null").config_json.len(), 0);
    assert_eq!(entry("description: null, mcp: null").description, None);
    for bad in
        ["priority: null", "priority: high", "hooks: null", "tags: null", "conditions: null", "hooks: x"]
    {
        refused(bad);
    }
}

#[test]
fn conditions_may_be_a_list_or_one_object() {
    let expected = Condition { tools: vec!["t".into()], ..Condition::default() };
    assert_eq!(
        entry("conditions: [{ tools: [t], server_ids: [], prompts: null }]").conditions,
        std::slice::from_ref(&expected)
    );
    assert_eq!(entry("conditions: { tools: [t] }").conditions, [expected]);
    let shown = refused("conditions: [{ tools: t }]");
    assert!(shown.contains("plugins[0].conditions[0].tools") && shown.contains("expected a list"), "{shown}");
}

#[test]
fn unknown_hooks_name_the_nearest() {
    let shown = refused("hooks: [tool_pre_invoke, tool_pre_invok]");
    assert!(
        shown.contains("there is no hook `tool_pre_invok`")
            && shown.contains("did you mean `tool_pre_invoke`")
    );
    assert_eq!(entry("hooks: [tool_pre_invoke, tool_pre_invoke]").hooks, ["tool_pre_invoke"]);
}

#[test]
fn external_entry_without_transport_is_unavailable_and_with_two_is_wrong() {
    let text = "plugins:\n  - { name: a, kind: external, config: { x: 1 } }\n  - { name: b, kind: external, mcp: { proto: STDIO, script: s.py } }\n";
    let file = plugins(text, &[]).expect("loads");
    assert_eq!(file.entries[0].problems[0].kind, ProblemKind::NoTransport);
    assert_eq!(file.entries[0].config_json["x"], 1);
    assert!(file.entries[1].is_available());
    assert_eq!(file.entries[1].mcp.as_ref().expect("mcp")["proto"], "STDIO");
    assert!(refused("mcp: { proto: STDIO }, grpc: { target: \"a:1\" }").contains("only one transport"));
}

#[test]
fn all_errors_of_a_file_are_reported_at_once() {
    let text = "plugins:\n  - name: a\n    mode: enforced\n    hooks: [nope]\n  - name: b\n    kind: k.K\n    priority: soon\n  - name: b\n    kind: k.K\nplugin_settings:\n  plugin_timeout: fast\n";
    let errors = plugins(text, &[]).expect_err("many");
    let lines: Vec<u32> = places(&errors).into_iter().map(|(line, _)| line).collect();
    assert_eq!(lines, [2, 3, 4, 7, 8, 11], "{errors}");
}

#[test]
fn unknown_keys_are_notices_and_errors_under_strict() {
    let text = "plugins:\n  - { name: a, kind: k.K, piority: 1 }\nextra: 1\n";
    let file = plugins(text, &[]).expect("tolerated");
    let paths: Vec<&str> = file.notices.iter().map(|n| n.path.as_str()).collect();
    assert_eq!(paths, ["plugins[0].piority", "extra"]);
    assert!(file.notices[0].help.as_deref().is_some_and(|h| h.contains("`priority`")));
    assert_eq!(places(&plugins_with(text, &[], true).expect_err("strict")).len(), 2);
}

#[test]
fn settings_are_read_and_told_where_they_do_nothing() {
    let text = "plugin_dirs: [a, b]\nserver_settings: { host: x }\nplugin_settings:\n  plugin_timeout: 5000\n  enable_plugin_api: false\n  plugin_health_check_interval: 10\n  condition_matching: exact\n  unheard_of: 1\n";
    let file = plugins(text, &[]).expect("loads");
    let dirs: Vec<String> = file.plugin_dirs.iter().map(|dir| format!("{}", dir.path.display())).collect();
    assert_eq!(dirs, ["a", "b"]);
    assert_eq!(file.plugin_dirs[1].span.column(), Some(18));
    assert!(!file.settings.enable_plugin_api);
    assert_eq!(file.settings.timeout().as_secs(), 5000);
    let told: Vec<&str> = file.notices.iter().map(|n| n.path.as_str()).collect();
    assert_eq!(
        told,
        [
            "server_settings",
            "plugin_settings.plugin_timeout",
            "plugin_settings.plugin_health_check_interval",
            "plugin_settings.unheard_of"
        ]
    );
    assert!(file.notices[1].message.contains("seconds"));
    assert!(plugins("", &[]).expect("loads").settings.enable_plugin_api);
    plugins("plugin_settings: { plugin_timeout: 0 }", &[]).expect_err("a timeout of nothing");
}

#[test]
fn variables_win_over_settings() {
    let vars = [("PLUGINS_PLUGIN_TIMEOUT", "12"), ("PLUGINS_FAIL_ON_PLUGIN_ERROR", "true")];
    let file = plugins("plugin_settings: { plugin_timeout: 40 }", &vars).expect("loads");
    assert_eq!((file.settings.plugin_timeout, file.settings.fail_on_plugin_error), (12, true));
}

#[test]
fn yaml_1_1_words_mean_what_their_loader_took_them_for() {
    let entry = entry("config: { a: yes, b: off, c: 'no' }, tags: [on]");
    assert_eq!(entry.config_json["a"], true);
    assert_eq!(entry.config_json["b"], false);
    assert_eq!(entry.config_json["c"], "no");
    assert_eq!(entry.tags, ["on"]);
}

#[test]
fn base_and_override_files_merge_by_plugin_name() {
    let dir = folder(&[
        ("base.yaml", "plugins:\n  - { name: a, kind: k.K, config: { x: 1, y: 2 } }\n"),
        (
            "prod.yaml",
            "plugins:\n  - { name: a, mode: permissive, config: { y: 3 } }\n  - { name: b, kind: k.K }\n",
        ),
    ]);
    let env = env(&[]);
    let paths = [dir.path().join("base.yaml"), dir.path().join("prod.yaml")];
    let file = PluginsFile::load(&paths, &PluginsFileOptions::new(&env)).expect("loads");
    assert_eq!(file.entries.len(), 2);
    assert_eq!(file.entries[0].mode, Mode::Permissive);
    assert_eq!(serde_json::json!(file.entries[0].config_json), serde_json::json!({"x": 1, "y": 3}));
}

#[test]
fn default_file_may_be_missing_and_a_named_one_may_not() {
    let dir = folder(&[("other.yaml", "plugins: [{ name: a, kind: k.K }]")]);
    let load = |variables: &[(&str, &str)]| {
        let env = env(variables);
        PluginsFile::load_default(dir.path(), &PluginsFileOptions::new(&env)).map(|f| f.entries.len())
    };
    assert_eq!(load(&[]).expect("missing is fine"), 0);
    assert_eq!(load(&[("PLUGIN_CONFIG_FILE", "other.yaml")]).expect("loads"), 1);
    let errors = load(&[("PLUGINS_CONFIG_FILE", "gone.yaml")]).expect_err("named");
    assert_eq!(errors.list()[0].kind, DiagnosticKind::File);
}

#[test]
fn own_config_is_checked_against_the_plugins_own_schema() {
    #[derive(schemars::JsonSchema, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its schema is used")]
    struct Own {
        limit: u32,
    }
    let entry = entry("config: { limit: \"5\", lmit: 2 }");
    let checked = entry
        .check_config(&Compiled::new(&schemars::schema_for!(Own)).expect("a schema"))
        .expect("tolerated");
    assert_eq!(checked.node.to_json(), serde_json::json!({"limit": 5}));
    assert_eq!(checked.notices[0].path, "plugins[0].config.lmit");
    assert_eq!(checked.notices[0].span.as_ref().and_then(crate::config::Span::line), Some(2));
}

#[test]
fn keys_of_a_transport_that_are_none_are_told_where_they_stand() {
    let text = "plugins:\n  - name: a\n    kind: external\n    mcp: { proto: SSE, url: \"http://h/\", protoo: x, auth: {}, tls: { verify: true, verfy: 1 } }\n";
    let file = plugins(text, &[]).expect("unknown keys are tolerated");
    let told: Vec<&str> = file.notices.iter().map(|n| n.path.as_str()).collect();
    assert_eq!(told, ["plugins[0].mcp.protoo", "plugins[0].mcp.tls.verfy"]);
    assert!(file.notices[0].help.as_deref().is_some_and(|help| help.starts_with("did you mean `proto`?")));
    let errors = plugins_with(text, &[], true).expect_err("unknown keys are refused");
    let refused: Vec<&str> = errors.list().iter().map(|e| e.path.as_str()).collect();
    assert_eq!(refused, ["plugins[0].mcp.protoo", "plugins[0].mcp.tls.verfy"]);
}

#[test]
fn configuration_that_is_documented_as_without_effect_is_told_where_it_is_given() {
    let schema = serde_json::json!({ "type": "object", "properties": {
        "old": { "type": "integer", "description": "Accepted for compatibility, without effect: so it is." },
        "more": { "type": "integer", "description": "Accepted for compatibility, without effect." },
        "real": { "type": "integer", "description": "Does something." },
    } });
    let schema = Compiled::new(&schema.try_into().expect("an object")).expect("compiles");
    let checked = entry("config: { old: 1, real: 2 }").check_config(&schema).expect("fits");
    let told: Vec<&str> = checked.notices.iter().map(|n| n.path.as_str()).collect();
    assert_eq!(told, ["plugins[0].config.old"]);
}

#[test]
fn breaker_and_budget_are_set_for_all_and_for_one_and_external_entries_have_them_where_the_documents_do() {
    let text = "plugin_settings:
  request_budget: 1.5
  circuit_breaker_failure_threshold: 3
  circuit_breaker_timeout: '10'
  plugin_health_check_interval: 0
plugins:
  - { name: a, kind: builtin.x }
  - { name: b, kind: builtin.x, circuit_breaker_timeout: 0.5, circuit_breaker_failure_threshold: 1 }
  - { name: c, kind: builtin.x, circuit_breaker_enabled: false }
  - name: d
    kind: external
    mcp: { proto: STREAMABLEHTTP, url: 'https://ai.example.com/mcp' }
    config: { circuit_breaker_enabled: true, circuit_breaker_failure_threshold: 7, circuit_breaker_timeout: 60 }
";
    let file = plugins(text, &[]).expect("loads");
    assert_eq!(file.settings.request_budget.map(|budget| budget.0.as_millis()), Some(1500));
    assert_eq!(file.settings.health_interval(), None);
    let limits: Vec<_> = file
        .entries
        .iter()
        .map(|entry| entry.circuit_breaker.over(file.settings.breaker()))
        .map(|limits| (limits.failures, limits.cooldown.as_millis()))
        .collect();
    assert_eq!(limits, [(3, 10_000), (1, 500), (0, 0), (7, 60_000)]);
    for wrong in ["request_budget: 0", "request_budget: -1", "circuit_breaker_failure_threshold: 0"] {
        plugins(&format!("plugin_settings: {{ {wrong} }}"), &[]).expect_err(wrong);
    }
}
