//! Manifests, the catalogue and dependencies between plugins, through the command.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail like tests")]

use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

/// A folder to run the command in.
struct Stage(TempDir);

impl Stage {
    fn new(files: &[(&str, &str)]) -> Self {
        let stage = Self(tempfile::tempdir().unwrap());
        for (name, text) in files {
            let path = stage.0.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        stage
    }

    /// Standard output and standard error of a command that must end with `code`.
    #[track_caller]
    fn run(&self, args: &[&str], code: i32) -> (String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_mortise"))
            .args(args)
            .current_dir(self.0.path())
            .env_clear()
            .output()
            .unwrap();
        let (out, err) =
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert_eq!(output.status.code(), Some(code), "stdout:\n{out}\nstderr:\n{err}");
        (out, err)
    }

    #[track_caller]
    fn json(&self, args: &[&str], code: i32) -> Value {
        let (out, _) = self.run(args, code);
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
    }
}

const GUARD: &str = "name: Acme Guard\nkind: plugins.acme.guard.Guard\ndescription: Keeps prompts polite\n\
    author: Acme\nversion: 1.4.0\ntags: [politeness]\navailable_hooks: [prompt_pre_fetch]\nlanguage: go\n\
    performance_tier: medium\n";

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().filter_map(|item| item["name"].as_str()).collect()
}

#[test]
fn manifest_is_checked_like_any_other_file() {
    let stage = Stage::new(&[
        ("good/plugin-manifest.yaml", GUARD),
        ("bad/plugin-manifest.yaml", "description: d\nauthor: a\nversion: 1\nhooks: [tool_pre]\n"),
        ("old/plugin-manifest.yaml", &GUARD.replace("language: go", "framework_compatibility: '>=3'")),
    ]);
    let (out, _) = stage.run(&["config", "check", "good/plugin-manifest.yaml"], 0);
    assert!(out.contains("ok") && out.contains("Acme Guard 1.4.0 by Acme"), "{out}");
    let (out, err) = stage.run(&["config", "check", "bad/plugin-manifest.yaml"], 1);
    assert!(out.contains("2 errors"), "{out}");
    assert!(err.contains("plugin-manifest.yaml:3:10") && err.contains("write `1.0.0`"), "{err}");
    assert!(err.contains("plugin-manifest.yaml:4:9") && err.contains("`tool_pre_invoke`"), "{err}");
    let (out, _) = stage.run(&["config", "check", "old/plugin-manifest.yaml"], 0);
    assert!(out.contains("waits wants >=3"), "{out}");
    let files =
        ["config", "check", "--format", "json", "good/plugin-manifest.yaml", "bad/plugin-manifest.yaml"];
    let checked = stage.json(&files, 1);
    assert_eq!(checked["files"][0]["manifest"]["version"], "1.4.0");
    assert_eq!(checked["files"][1]["errors"][0]["line"], 3);
}

#[test]
fn index_is_checked_with_all_its_items() {
    let stage = Stage::new(&[
        ("plugin-index.yaml", "plugins:\n  - manifest: a/plugin-manifest.yaml\n"),
        ("a/plugin-manifest.yaml", GUARD),
        ("b/plugin-index.json", r#"[{"name": "x"}]"#),
    ]);
    let (out, _) = stage.run(&["config", "check", "plugin-index.yaml"], 0);
    assert!(out.contains("1 plugin\n"), "{out}");
    let (_, err) = stage.run(&["config", "check", "b/plugin-index.json"], 1);
    assert!(err.contains("`description`"), "{err}");
}

#[test]
fn built_in_plugins_are_found_by_tag_hook_author_language_tier_and_words() {
    let stage = Stage::new(&[]);
    let find = |args: &[&str]| {
        let args = [&["plugins", "search", "--format", "json"], args].concat();
        stage.json(&args, 0)
    };
    assert!(names(&find(&[])).len() >= 7);
    assert!(names(&find(&["--tag", "GDPR"])).contains(&"pii_filter"));
    assert!(names(&find(&["--hook", "tool_pre_invoke", "--tag", "deny"])).contains(&"deny_list"));
    assert!(names(&find(&["personal", "data"])).contains(&"pii_filter"));
    assert!(names(&find(&["--language", "python"])).is_empty());
    assert!(!names(&find(&["--author", "mortise", "--tier", "high"])).is_empty());
    let (out, err) = stage.run(&["plugins", "search", "--tag", "securty"], 0);
    assert!(out.is_empty() && err.contains("did you mean `security`?"), "{err}");
    let (_, err) = stage.run(&["plugins", "search", "--hook", "tool_pre_invok"], 1);
    assert!(err.contains("did you mean `tool_pre_invoke`?"), "{err}");
}

#[test]
fn plugin_dirs_of_both_kinds_of_file_are_looked_through() {
    let stage = Stage::new(&[
        ("plugins/acme/guard/plugin-manifest.yaml", GUARD),
        ("plugins/broken/plugin-manifest.yaml", "x: ["),
        ("plugins/config.yaml", "plugins: []\nplugin_dirs: [plugins, gone]\n"),
        ("own/mortise.yaml", "plugin_dirs: [../plugins/acme]\nplugins: []\n"),
    ]);
    let (out, err) = stage.run(&["plugins", "catalog"], 0);
    assert!(
        out.contains("Acme Guard") && out.contains("plugins/acme/guard") && out.contains("pii_filter"),
        "{out}"
    );
    let (_, told) = stage.run(&["config", "check", "plugins/config.yaml"], 0);
    assert!(!err.is_empty() && told.contains("plugins/broken/plugin-manifest.yaml"), "{told}");
    assert!(told.contains("plugins/config.yaml:2:24") && told.contains("gone"), "{told}");
    assert!(!told.contains("no effect yet"), "{told}");
    let args = ["plugins", "search", "polite", "--format", "json", "-c", "own/mortise.yaml"];
    assert_eq!(names(&stage.json(&args, 0)), ["Acme Guard"]);
    let named = stage.json(&["plugins", "catalog", "plugins/acme", "--format", "json"], 0);
    assert_eq!(named[0]["origin"], "folder");
    let (_, err) = stage.run(&["plugins", "catalog", "nowhere"], 1);
    assert!(err.contains("there is no such folder or file"), "{err}");
}

#[test]
fn dependencies_are_checked_before_anything_starts() {
    let entry =
        |name: &str, more: &str| format!("  - {{ name: {name}, kind: builtin.pii_filter, {more} }}\n");
    let file = |entries: &[String]| format!("plugins:\n{}", entries.concat());
    let stage = Stage::new(&[
        ("good.yaml", &file(&[entry("a", "dependencies: [b>=1.0]"), entry("b", "version: '1.2'")])),
        ("old.yaml", &file(&[entry("a", "dependencies: [b>=2]"), entry("b", "version: '1.2'")])),
        ("missing.yaml", &file(&[entry("a", "dependencies: [beta]"), entry("betta", "")])),
        ("circle.yaml", &file(&[entry("a", "dependencies: [b]"), entry("b", "dependencies: [a]")])),
    ]);
    stage.run(&["config", "check", "good.yaml"], 0);
    for (name, words) in [
        ("old.yaml", "`a` needs the plugin `b` in version >=2, and it is 1.2.0"),
        ("missing.yaml", "`a` needs the plugin `beta`, which is not configured"),
        ("circle.yaml", "plugins need each other in a circle: `a` → `b` → `a`"),
    ] {
        let (_, err) = stage.run(&["config", "check", name], 1);
        assert!(err.contains(words) && err.contains(&format!("{name}:2:")), "{err}");
    }
    let (_, err) = stage.run(&["config", "check", "missing.yaml"], 1);
    assert!(err.contains("did you mean `betta`?"), "{err}");
}

#[test]
fn list_says_why_a_plugin_is_not_started() {
    let text = "plugins:\n  - { name: live, kind: builtin.pii_filter, hooks: [tool_pre_invoke] }\n  \
        - { name: idle, kind: builtin.pii_filter, hooks: [agent_pre_invoke] }\n  \
        - { name: old, kind: plugins.acme.guard.Guard }\nplugin_dirs: [dirs]\n";
    let manifest = GUARD.replace("language: go", "framework_compatibility: mcp-plugin-framework>=2.0.0");
    let stage = Stage::new(&[("p.yaml", text), ("dirs/guard/plugin-manifest.yaml", &manifest)]);
    let list = stage.json(&["plugins", "list", "-c", "p.yaml", "--format", "json"], 0);
    let of =
        |name: &str| list.as_array().unwrap().iter().find(|plugin| plugin["name"] == name).unwrap().clone();
    assert_eq!(of("live")["status"], "runs");
    assert_eq!(of("idle")["status"], "idle");
    assert!(of("idle")["reason"].as_str().unwrap().contains("`agent_pre_invoke`"));
    assert_eq!(of("old")["status"], "waits");
    assert!(of("old")["reason"].as_str().unwrap().contains("wants mcp-plugin-framework>=2.0.0"));
    assert_eq!(of("old")["hooks"][0], "prompt_pre_fetch");
    let (out, _) = stage.run(&["plugins", "list", "-c", "p.yaml"], 0);
    assert!(out.contains("idle: not started"), "{out}");
}

#[test]
fn schema_of_manifests_is_printed() {
    let schema = Stage::new(&[]).json(&["config", "schema", "--manifest"], 0);
    assert!(schema["properties"]["capabilities"].is_object());
    assert_eq!(schema["required"].as_array().unwrap().len(), 3);
}
