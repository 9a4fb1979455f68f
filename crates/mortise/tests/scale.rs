//! Configurations of a size that nobody writes by hand.

use std::{fmt::Write, process::Command};

#[test]
fn thousands_of_apps_beside_many_plugins_are_checked() {
    let dir = tempfile::tempdir().unwrap();
    let mut text = String::from("servers: { s: {} }\napps:\n");
    for index in 0..2_000 {
        writeln!(text, "  - {{ name: app-{index}, tokens: [{{ sha256: \"{index:064x}\" }}], servers: [s] }}")
            .unwrap();
    }
    text.push_str("plugins:\n");
    for index in 0..50 {
        writeln!(
            text,
            "  - {{ name: p{index}, kind: builtin.pii_filter, conditions: [{{ tools: [t{index}] }}] }}"
        )
        .unwrap();
    }
    let file = dir.path().join("mortise.yaml");
    std::fs::write(&file, text).unwrap();
    let command =
        Command::new(env!("CARGO_BIN_EXE_mortise")).args(["config", "check"]).arg(&file).output().unwrap();
    let out = String::from_utf8(command.stdout).unwrap();
    assert!(command.status.success(), "{out}");
    assert!(out.contains("2000 apps may call"), "{}", &out[..200]);
}
