//! The command as it is run: it knows the plugin, checks its configuration, and lets it decide.

#![expect(clippy::expect_used, reason = "what a test takes for granted ends it")]

use std::{
    path::Path,
    process::{Command, Output},
};

const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/mortise.yaml");

fn run(args: &[&str]) -> Output {
    run_in(Path::new(env!("CARGO_MANIFEST_DIR")), args)
}

fn run_in(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_custom-gateway"));
    command.args(args).current_dir(folder).env_clear().output().expect("it starts")
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn the_plugin_is_listed_with_its_keys_beside_the_built_in_ones() {
    let kinds = said(&run(&["plugins", "kinds"]));
    assert!(kinds.contains("office_hours") && kinds.contains("pii_filter"), "{kinds}");
    let keys = said(&run(&["plugins", "kinds", "office_hours"]));
    assert!(keys.contains("Tools that are called at any hour"), "{keys}");
}

#[test]
fn its_configuration_is_checked_as_that_of_any_plugin() {
    let good = run(&["config", "check", CONFIG]);
    assert!(good.status.success(), "{}", said(&good));
    let folder = tempfile::tempdir().expect("a folder");
    let text = "plugins:\n  - { name: a, kind: builtin.office_hours, config: { form: 9 } }\n";
    std::fs::write(folder.path().join("mortise.yaml"), text).expect("it is written");
    let wrong = run_in(folder.path(), &["config", "check", "mortise.yaml"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(said(&wrong).contains("mortise.yaml:2:") && said(&wrong).contains("`from`"), "{}", said(&wrong));
}

#[test]
fn its_word_counts() {
    let folder = tempfile::tempdir().expect("a folder");
    // Hours in the half of the day that it is not now, and not in a moment either.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let (from, to) = if (1..12).contains(&(now.as_secs() / 3600 % 24)) { (13, 23) } else { (2, 10) };
    let entry = format!(
        "plugins:\n  - {{ name: night, kind: builtin.office_hours, config: {{ from: {from}, to: {to} }} }}\n"
    );
    std::fs::write(folder.path().join("mortise.yaml"), entry).expect("it is written");
    std::fs::write(folder.path().join("call.json"), r#"{"name": "search", "args": {}}"#)
        .expect("it is written");
    let args = ["plugins", "test", "night", "--hook", "tool_pre_invoke", "--payload", "call.json"];
    let blocked = run_in(folder.path(), &args);
    assert_eq!(blocked.status.code(), Some(3), "{}", said(&blocked));
    assert!(said(&blocked).contains("OFFICE_CLOSED"), "{}", said(&blocked));
}
