use proptest::prelude::*;

use super::*;

/// The long form of the specification.
const LONG: &str = include_str!("testdata/long.yaml");

/// The short form of the guide for plugin authors.
const SHORT: &str = r#"
description: "My custom plugin for X"
author: "Your Name"
version: "1.0.0"
tags: ["custom", "filter"]
available_hooks:
  - "prompt_pre_fetch"
  - "prompt_post_fetch"
default_config:
  setting_one: "default_value"
  setting_two: 123
"#;

const LEAST: &str = "description: d\nauthor: a\nversion: 1.0.0\n";

fn with(more: &str) -> Result<ParsedManifest, Errors> {
    parse("m.yaml", &format!("{LEAST}{more}"))
}

/// Place and path of each error.
fn places(more: &str) -> Vec<String> {
    let errors = with(more).expect_err("is refused");
    errors
        .list()
        .iter()
        .map(|error| {
            let span = error.span.as_ref().expect("a place");
            format!("{}:{} {}", span.line().unwrap_or(0), span.column().unwrap_or(0), error.path)
        })
        .collect()
}

fn told(more: &str) -> String {
    with(more).expect_err("is refused").to_string()
}

#[test]
fn both_forms_of_the_documents_are_read_without_a_word() {
    let long = parse("long.yaml", LONG).expect("the long form");
    assert!(long.notices.is_empty(), "{:?}", long.notices);
    let manifest = long.manifest;
    assert_eq!(manifest.name.as_deref(), Some("Advanced PII Filter"));
    assert_eq!(manifest.version.to_string(), "2.1.0");
    assert_eq!(manifest.available_hooks.len(), 5);
    assert_eq!(manifest.dependencies.len(), 3);
    assert_eq!(manifest.requirements.memory_mb, Some(64.0));
    assert_eq!(manifest.compatibility.max_framework_version.expect("given").to_string(), "2.x.x");
    assert_eq!(manifest.features.multi_tenant, Some(true));
    assert_eq!(manifest.deployment.health_check_endpoint.as_deref(), Some("/health"));
    assert_eq!(manifest.permissions.len(), 2);
    assert_eq!(manifest.signing.expect("given").algorithm, "ECDSA");

    let short = parse("short.yaml", SHORT).expect("the short form");
    assert!(short.notices.is_empty(), "{:?}", short.notices);
    assert_eq!((short.manifest.name, short.manifest.kind), (None, None));
    assert_eq!(short.manifest.default_config["setting_two"], 123);
}

#[test]
fn all_errors_come_at_once_each_at_its_place() {
    let more = "version_: 1\navailable_hooks: [tool_pre_invok]\nperformance_tier: hihg\nhomepage: javascript:x\n\
        dependencies: ['>=1']\ncapabilities: [network:egres:api]\nframework_compatibility: other>=1\n\
        requirements: { python_version: new }\n";
    assert_eq!(
        places(more),
        [
            "5:19 available_hooks[0]",
            "6:19 performance_tier",
            "7:11 homepage",
            "8:16 dependencies[0]",
            "9:16 capabilities[0]",
            "10:26 framework_compatibility",
            "11:33 requirements.python_version",
        ]
    );
    let told = told(more);
    for word in ["`tool_pre_invoke`", "`high`", "`network:egress`", "`mcp-plugin-framework`"] {
        assert!(told.contains(word), "{word}: {told}");
    }
}

#[test]
fn description_author_and_version_are_what_every_manifest_has() {
    let errors = parse("m.yaml", "name: n\n").expect_err("is refused").to_string();
    for key in ["description", "author", "version"] {
        assert!(errors.contains(&format!("`{key}`")), "{errors}");
    }
    let errors = parse("m.yaml", "description: d\nauthor: a\nversion: 1.0\n").expect_err("is refused");
    assert!(errors.to_string().contains("write `1.0.0`"), "{errors}");
}

#[test]
fn other_spellings_mean_the_same() {
    let read =
        with("hooks: [prompt_pre_hook, prompt_pre_fetch, auth_pre_check]\ndefault_configs: { a: null }\n")
            .expect("is read");
    assert_eq!(read.manifest.available_hooks, ["prompt_pre_fetch", "http_auth_resolve_user"]);
    assert!(read.manifest.default_config["a"].is_null());
    assert_eq!(read.notices.len(), 1);
    assert!(told("hooks: []\navailable_hooks: []\n").contains("two words for the same key"));
}

#[test]
fn unknown_keys_are_told_and_refused_only_where_that_is_asked_for() {
    let more = "licence: MIT\nfeatures: { statefull: true }\n";
    let read = with(more).expect("is read");
    assert_eq!(read.notices.len(), 2);
    assert!(read.notices[0].help.as_deref().is_some_and(|help| help.contains("`license`")));
    let hooks = HookTable::standard();
    let reader = ManifestReader::new(&hooks, true).expect("a schema");
    assert_eq!(reader.parse("m", &format!("{LEAST}{more}")).expect_err("strict").list().len(), 2);
}

#[test]
fn keys_without_value_are_as_if_not_there_and_languages_are_open() {
    let read = with("tags:\nname: ~\nlanguage: Elixir\nfeatures: { stateful: ~ }\n").expect("is read");
    assert_eq!(read.manifest.language.as_deref(), Some("elixir"));
    assert!(read.notices.is_empty());
    let near = with("language: pyhton\n").expect("is read");
    assert!(near.notices[0].to_string().contains("`python`"));
}

#[test]
fn ranges_without_any_version_are_mistakes() {
    assert!(told("framework_compatibility: '>=2,<1'\n").contains("no version is in"));
    assert!(
        told("compatibility: { min_framework_version: 2.0.0, max_framework_version: 1.x }\n")
            .contains("is below the least version")
    );
}

#[test]
fn nothing_shown_can_steer_a_terminal() {
    assert_eq!(places("name: \"a\\eb\"\ntags: [\"\\x07\"]\n"), ["4:7 name", "5:8 tags[0]"]);
}

#[test]
fn hostile_texts_are_refused_without_effort() {
    for text in [
        "",
        "[]",
        "x",
        "- a\n- b",
        "&a [*a, *a]",
        "\u{0}",
        "a: &a [1,1,1,1]\nb: &b [*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b]\nd: [*c,*c,*c,*c]\n",
    ] {
        assert!(parse("m", text).is_err(), "{text:?}");
    }
    assert!(parse("m", &"[".repeat(10_000)).is_err());
    assert!(parse("m", &format!("description: {}", "x".repeat(MANIFEST_BYTES))).is_err());
}

#[test]
fn manifests_are_known_by_name_or_keys() {
    let dir = tempfile::tempdir().expect("a folder");
    for (name, text, expected) in [
        ("plugin-manifest.yaml", "x", true),
        ("plugin-manifest.yml", "x", true),
        ("a.yaml", "description: d\navailable_hooks: []\n", true),
        ("b.yaml", "plugins: []\nplugin_settings: {}\n", false),
        ("c.yaml", "plugins: []\nplugin_type: x\n", false),
        ("mortise.yaml", "listen: {}\n", false),
    ] {
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("a file");
        assert_eq!(is_manifest(&path), expected, "{name}");
    }
}

/// Texts made of what manifests are made of.
fn manifest_like() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "name:",
        "version:",
        "hooks:",
        "available_hooks:",
        "tags:",
        "default_config:",
        "dependencies:",
        "capabilities:",
        "signing:",
        "compatibility:",
        "min_framework_version:",
        "framework_compatibility:",
        "requirements:",
        "performance_tier:",
        "language:",
        "homepage:",
        " ",
        "  ",
        "\n",
        "\n  ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        ",",
        "\"",
        "'",
        "&a",
        "*a",
        "!!str",
        ">=1.0,<2",
        "2.x.x",
        "1.0.0",
        "high",
        "tool_pre_invoke",
        "~",
        "\\e",
        "plugin:a>=1",
        "hook:invoke:",
        "é",
        "|\n",
        "<<: ",
        "#",
    ]);
    prop::collection::vec(word, 0..80).prop_map(|words| words.concat())
}

proptest! {
    // Each case compiles the schema anew.
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_it_panic_and_every_error_can_be_shown(text in prop_oneof!["\\PC{0,200}", manifest_like()]) {
        match parse("m.yaml", &text) {
            Ok(read) => {
                // What was read can be written and read again, and is the same.
                let json = serde_json::to_string(&read.manifest).expect("JSON");
                let again = parse("m.json", &json).expect("its own JSON");
                prop_assert_eq!(again.manifest, read.manifest);
            }
            Err(errors) => prop_assert!(!errors.render(true).is_empty()),
        }
    }

    #[test]
    fn manifests_that_hold_come_back_from_their_json(
        name in "[A-Za-z][A-Za-z0-9 _-]{0,20}",
        tags in prop::collection::vec("[a-z-]{1,10}", 0..4),
        (major, minor, patch) in (0u64..100, 0u64..100, 0u64..100),
        dependency in "[a-z]{1,8}(>=[0-9]{1,3}\\.[0-9]{1,3})?",
    ) {
        let json = serde_json::json!({
            "name": name.trim(), "description": "d", "author": "a",
            "version": format!("{major}.{minor}.{patch}"), "tags": tags, "dependencies": [dependency],
        });
        let read = parse("m.json", &json.to_string()).expect("holds").manifest;
        prop_assert_eq!(&read.tags, &tags);
        prop_assert_eq!(parse("m", &serde_json::to_string(&read).expect("JSON")).expect("holds").manifest, read);
    }
}
