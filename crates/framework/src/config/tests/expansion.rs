//! `${...}` in values.

use std::sync::Arc;

use serde_json::json;

use super::{env, folder, places, plugins};
use crate::config::{DiagnosticKind, Loader, NoSecret, ProblemKind, RawPluginsFile, SecretStore};

fn own(text: &str, variables: &[(&str, &str)]) -> Result<serde_json::Value, crate::config::Errors> {
    let text = format!("plugins:\n  - name: a\n    kind: k\n    priority: 1\n    config:\n      v: {text}\n");
    let dir = folder(&[("mortise.yaml", &text), ("key.txt", "from file\n")]);
    let loaded =
        Loader::new(env(variables)).own_file(dir.path().join("mortise.yaml")).load::<RawPluginsFile>()?;
    Ok(loaded.node.at("plugins[0].config.v").expect("v").to_json())
}

#[test]
fn names_defaults_files_and_escapes_expand() {
    let vars = [("A", "1"), ("EMPTY", "")];
    for (text, expected) in [
        ("'x${A}y${A}'", "x1y1"),
        ("'${B:-fallback}'", "fallback"),
        ("'${EMPTY:-fallback}'", "fallback"),
        ("'${EMPTY}'", ""),
        ("'${B:-${C:-deep}}'", "deep"),
        ("'${file:key.txt}'", "from file"),
        ("'$${A}'", "${A}"),
        ("'$$${A}'", "$${A}"),
        ("'${1} ${a b} ${} ${A'", "${1} ${a b} ${} ${A"),
        ("'$A {A}'", "$A {A}"),
        ("\"${B:-a: [b]}\"", "a: [b]"),
    ] {
        assert_eq!(own(text, &vars).unwrap_or_else(|e| panic!("{text}: {e}")), json!(expected), "{text}");
    }
}

#[test]
fn unset_name_is_an_error_at_its_line_in_an_own_file() {
    let errors = own("'${NOT_THERE}'", &[]).expect_err("unset");
    assert_eq!(places(&errors), [(6, "plugins[0].config.v".to_owned())]);
    assert_eq!(errors.list()[0].kind, DiagnosticKind::Unset);
    let errors = own("'${file:no/such}'", &[]).expect_err("no file");
    assert!(errors.to_string().contains("no/such"));
}

#[test]
fn unset_name_costs_only_its_entry_in_a_plugin_file() {
    let text = "plugins:\n  - { name: a, kind: k.K, priority: \"${PRIO}\", mode: \"${MODE}\", hooks: [\"${HOOK}\"] }\n  - { name: b, kind: k.K }\n";
    let file = plugins(text, &[]).expect("loads");
    let [a, b] = file.entries.as_slice() else { panic!("two entries") };
    assert_eq!(a.problems.len(), 3);
    assert!(a.problems.iter().all(|p| p.kind == ProblemKind::Unset));
    assert!(
        a.problems[0].reason.contains("PRIO") && a.problems[0].reason.contains(":2:"),
        "{:?}",
        a.problems
    );
    assert!(b.is_available());
}

#[test]
fn whole_expansions_become_what_the_schema_wants() {
    let text = "plugins:\n  - { name: a, kind: k.K, priority: \"${PRIO}\", version: \"${VERSION}\" }\nplugin_settings: { fail_on_plugin_error: \"${FAIL}\", plugin_timeout: \"${T:-45}\" }\n";
    let file = plugins(text, &[("PRIO", "7"), ("VERSION", "2"), ("FAIL", "yes")]).expect("loads");
    assert_eq!(file.entries[0].priority, 7);
    assert_eq!(file.entries[0].version.as_deref(), Some("2"));
    assert!(file.settings.fail_on_plugin_error);
    assert_eq!(file.settings.plugin_timeout, 45);
}

#[test]
fn expanded_values_are_never_shown() {
    let text = "plugins:\n  - { name: a, kind: k.K, priority: \"${PRIO}\", mode: \"${MODE}\", config: { x: \"${PRIO}\" } }\n";
    let vars = [("PRIO", "hush-hush"), ("MODE", "hush-hush")];
    let errors = plugins(text, &vars).expect_err("wrong type");
    let shown = format!("{errors} {errors:?} {}", serde_json::to_string(&errors).unwrap());
    assert!(shown.contains("***") && !shown.contains("hush"), "{shown}");
    let file =
        plugins("plugins:\n  - { name: a, kind: k.K, config: { x: \"${PRIO}\" } }\n", &vars).expect("loads");
    assert!(!format!("{file:?}").contains("hush"));
}

#[test]
fn literal_secrets_are_not_shown_on_the_line_of_an_error() {
    let text = "plugins:\n  - { name: a, kind: k.K, config: { api_key: abcdef123 }, mode: bad }\n  - name: b\n    kind: k.K\n    config:\n      password:\n        - abcdef123\n    mode: abcdef123\n";
    let errors = plugins(text, &[]).expect_err("bad modes");
    let rendered = errors.render(true);
    assert!(errors.list().len() == 2 && !rendered.contains("api_key: abcdef123"), "{rendered}");
    assert!(!rendered.contains("| mode: abcdef123"), "{rendered}");
}

/// Has one secret, and does not answer for what is locked.
struct Store;

impl SecretStore for Store {
    fn look_up(&self, reference: &str) -> Result<String, NoSecret> {
        match reference {
            "app#password" => Ok("hush-hush".to_owned()),
            "locked#key" => Err(NoSecret::Failed("has no value: it is locked".to_owned())),
            _ => Err(NoSecret::Absent("has no value: there is none".to_owned())),
        }
    }
}

fn stored(text: &str) -> Result<serde_json::Value, crate::config::Errors> {
    let text = format!("plugins:\n  - name: a\n    kind: k\n    config:\n      v: {text}\n");
    let dir = folder(&[("mortise.yaml", &text)]);
    let env = env(&[]).with_store("vault", Arc::new(Store));
    let loaded = Loader::new(env).own_file(dir.path().join("mortise.yaml")).load::<RawPluginsFile>()?;
    assert!(!format!("{:?}", loaded.node).contains("hush"), "what a store gave is shown");
    Ok(loaded.node.at("plugins[0].config.v").expect("v").to_json())
}

#[test]
fn stores_of_secrets_are_asked_for_what_refers_to_them() {
    for (text, expected) in [
        ("${vault:app#password}", "hush-hush"),
        ("'Bearer ${vault:app#password}!'", "Bearer hush-hush!"),
        ("'${vault:app#other:-none}'", "none"),
        ("'${vault:app#other:-${vault:app#password}}'", "hush-hush"),
        ("'$${vault:app#password}'", "${vault:app#password}"),
        // A variable may have that name.
        ("'${vault:-x}'", "x"),
    ] {
        assert_eq!(stored(text).unwrap_or_else(|e| panic!("{text}: {e}")), json!(expected), "{text}");
    }
}

#[test]
fn what_a_store_does_not_say_is_an_error_at_its_line_and_no_default_hides_it() {
    for text in ["'${vault:app#other}'", "'${vault:locked#key}'", "'${vault:locked#key:-x}'"] {
        let errors = stored(text).expect_err(text);
        assert_eq!(places(&errors), [(5, "plugins[0].config.v".to_owned())], "{text}");
        assert!(errors.to_string().contains("has no value: "), "{errors}");
    }
    // Without a store the reference never passes for the value.
    let errors = own("'${vault:app#password}'", &[]).expect_err("no store");
    assert!(errors.to_string().contains("asks no store of that kind"), "{errors}");
}
