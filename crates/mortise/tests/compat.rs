//! Configurations of the ContextForge documents, unmodified: what is built in runs, everything else says what it waits
//! for, and nothing is silently ignored.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail like tests")]

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

fn configs() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/compat/contextforge/configs");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    files
}

fn mortise(folder: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mortise"));
    let done = command.args(args).current_dir(folder).env("NO_COLOR", "1").output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (done.status.code(), text(done.stdout), text(done.stderr))
}

#[test]
fn every_documented_configuration_loads_and_every_plugin_runs_or_says_what_it_waits_for() {
    let folder = tempfile::tempdir().unwrap();
    let files = configs();
    assert!(files.len() >= 14, "the samples are there: {files:?}");
    let mut running = 0;
    for file in files {
        let (code, out, err) =
            mortise(folder.path(), &["config", "check", "--format", "json", file.to_str().unwrap()]);
        assert_eq!(code, Some(0), "{}: {err}", file.display());
        let told: Value = serde_json::from_str(&out).unwrap();
        let plugins = told["files"][0]["plugins"].as_array().unwrap();
        let written = std::fs::read_to_string(&file).unwrap();
        let entries = written.lines().filter(|line| line.trim_start().starts_with("- name:")).count();
        assert_eq!(plugins.len(), entries, "{}: every entry is listed", file.display());
        for plugin in plugins {
            let name = &plugin["name"];
            match plugin["status"].as_str().unwrap() {
                "runs" => running += 1,
                "waits" => {
                    let reason = plugin["reason"].as_str().expect("a reason");
                    assert!(
                        ["waits for", "is not set", "needs one of"]
                            .iter()
                            .any(|words| reason.contains(words)),
                        "{name}: {reason}"
                    );
                }
                other => assert_eq!(other, "disabled", "{name}"),
            }
        }
    }
    assert!(running >= 4, "the PII filters of the documents run: {running}");
}

/// Runs the prompt hook of one plugin over the documents' own test sentence.
fn masked(config: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let entry = format!(
        "plugins:\n  - name: pii\n    kind: plugins.pii_filter.pii_filter.PIIFilterPlugin\n    \
         hooks: [prompt_pre_fetch]\n    config: {config}\n"
    );
    std::fs::write(folder.path().join("config.yaml"), entry).unwrap();
    let payload = json!({ "name": "test", "args": { "user_input": "My SSN is 123-45-6789" } });
    std::fs::write(folder.path().join("payload.json"), payload.to_string()).unwrap();
    let args =
        ["plugins", "test", "pii", "--hook", "prompt_pre_fetch", "--payload", "payload.json", "--config"];
    let (code, out, err) = mortise(folder.path(), &[&args[..], &["config.yaml"]].concat());
    assert_eq!(code, Some(0), "{out}{err}");
    out
}

#[test]
fn the_documents_own_pii_test_holds_and_so_do_the_codes_keys() {
    let documents = masked("{ detect_ssn: true, mask_strategy: partial }");
    assert!(documents.contains("My SSN is XXX-XX-6789"), "{documents}");
    let code = masked("{ detect_ssn: true, default_mask_strategy: partial }");
    assert!(code.contains("My SSN is ***-**-6789"), "{code}");
}

#[test]
fn base_and_override_files_merge_per_environment() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write(
        "base.yaml",
        "plugins:\n  - name: words\n    kind: plugins.deny_filter.deny.DenyListPlugin\n    mode: permissive\n    \
         hooks: [tool_pre_invoke]\n    config: { words: [one] }\nplugin_settings: { plugin_timeout: 5 }\n",
    );
    write("production.yaml", "plugins:\n  - { name: words, mode: enforce, priority: 7 }\n");
    let args = [
        "plugins",
        "show",
        "words",
        "--format",
        "json",
        "--config",
        "base.yaml",
        "--config",
        "production.yaml",
    ];
    let (code, out, err) = mortise(folder.path(), &args);
    assert_eq!(code, Some(0), "{out}{err}");
    let plugin: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&plugin["mode"], &plugin["priority"]), (&json!("enforce"), &json!(7)));
    assert_eq!(plugin["config"]["words"], json!(["one"]));
}
