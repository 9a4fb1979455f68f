//! Several plugin files in order: a base, and what an environment changes.

use std::path::PathBuf;

use mortise_framework::config::Mode;
use serde_json::json;
use tempfile::TempDir;

use super::{framework, load};

const BASE: &str = r#"
plugins:
  - name: "PIIFilter"
    kind: "plugins.pii_filter.pii_filter.PIIFilterPlugin"
    hooks: ["prompt_pre_fetch", "tool_pre_invoke"]
    mode: "permissive"
    priority: 50
    config:
      detect_ssn: true
      mask_strategy: "partial"
      whitelist_patterns: ["a@example.com", "b@example.com"]
  - name: "Deny"
    kind: "plugins.deny_filter.deny.DenyListPlugin"
    hooks: ["prompt_pre_fetch"]
    config:
      words: ["alpha"]
plugin_settings:
  plugin_timeout: 30
  fail_on_plugin_error: false
"#;

const PRODUCTION: &str = r#"
plugins:
  - name: "PIIFilter"
    mode: "{{ env['PII_MODE'] }}"
    config:
      mask_strategy: null
      whitelist_patterns: ["c@example.com"]
  - name: "Length"
    kind: "plugins.output_length_guard.output_length_guard.OutputLengthGuardPlugin"
    hooks: ["tool_post_invoke"]
plugin_settings:
  plugin_timeout: 5
"#;

fn write(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

#[tokio::test]
async fn override_changes_what_it_names_and_leaves_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let (base, over) = (write(&folder, "base.yaml", BASE), write(&folder, "production.yaml", PRODUCTION));
    let framework = framework();

    let development = load(&framework, &[&base], &[]).unwrap();
    let production = load(&framework, &[&base, &over], &[("PII_MODE", "enforce")])
        .unwrap_or_else(|errors| panic!("{}", errors.render(false)));

    assert_eq!(development.plan.entries[0].mode, Mode::Permissive);
    let entries = &production.plan.entries;
    let names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["PIIFilter", "Deny", "Length"]);
    let pii = &entries[0];
    assert_eq!((pii.mode, pii.priority), (Mode::Enforce, 50));
    assert_eq!(pii.hooks, ["prompt_pre_fetch", "tool_pre_invoke"]);
    let config = json!({ "detect_ssn": true, "whitelist_patterns": ["c@example.com"] });
    assert_eq!(json!(pii.config_json), config, "maps merge, lists are replaced, null deletes");
    assert_eq!(entries[1].config_json["words"], json!(["alpha"]));
    assert_eq!(production.plugin_settings.plugin_timeout, 5);
    assert_eq!(production.plan.settings.plugin_timeout.as_secs(), 5);
    assert!(framework.build(&production.plan).await.is_ok());
}

#[test]
fn error_names_the_file_it_stands_in() {
    let folder = tempfile::tempdir().unwrap();
    let base = write(&folder, "base.yaml", BASE);
    let over = write(&folder, "production.yaml", "plugins:\n  - name: PIIFilter\n    mode: strict\n");

    let errors = load(&framework(), &[&base, &over], &[]).unwrap_err();

    let rendered = errors.render(false);
    assert!(rendered.contains("production.yaml:3") && rendered.contains("enforce"), "{rendered}");
}
