//! Files over files, includes, variables and flags.

use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

use super::{env, folder, places};
use crate::config::{
    DiagnosticKind, Environment, Errors, FileKind, Loaded, Loader, Override, PluginSwitches, RawPluginEntry,
    recognise, recognise_surely,
};

#[derive(Debug, Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
struct Root {
    listen: Listen,
    upstreams: BTreeMap<String, Upstream>,
    plugins: Vec<RawPluginEntry>,
    tags: Vec<String>,
}

#[derive(Debug, Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
struct Listen {
    address: Option<String>,
    port: Option<u16>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Upstream {
    #[expect(dead_code, reason = "only its presence matters")]
    url: String,
    #[serde(default)]
    token: Option<String>,
}

fn load(
    files: &[(&str, &str)],
    roots: &[&str],
    env: Environment,
    flags: Vec<Override>,
) -> Result<Loaded<Root>, Errors> {
    let dir = folder(files);
    let mut loader = Loader::new(env).overrides(flags).ignore_variables(["MORTISE_CONFIG"]);
    for root in roots {
        loader = loader.own_file(dir.path().join(root));
    }
    loader.load()
}

#[test]
fn later_files_lie_over_earlier_ones() {
    let base = "listen: { address: a, port: 1 }\ntags: [x, y]\nupstreams: { one: { url: u1 }, two: { url: u2 } }\nplugins:\n  - { name: p, kind: k, priority: 5 }\n  - { name: q, kind: k }\n";
    let over = "listen: { port: 2 }\ntags: [z]\nupstreams: { one: null, three: { url: u3 } }\nplugins:\n  - { name: r, kind: k }\n  - { name: p, mode: permissive }\n";
    let loaded =
        load(&[("a.yaml", base), ("b.yaml", over)], &["a.yaml", "b.yaml"], env(&[]), vec![]).expect("loads");
    assert_eq!(loaded.value.listen.address.as_deref(), Some("a"));
    assert_eq!(loaded.value.listen.port, Some(2));
    assert_eq!(loaded.value.tags, ["z"]);
    assert_eq!(loaded.value.upstreams.keys().collect::<Vec<_>>(), ["three", "two"]);
    assert_eq!(loaded.value.plugins.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["p", "q", "r"]);
    assert_eq!(loaded.value.plugins[0].priority, 5);
    assert_eq!(loaded.value.plugins[0].mode, crate::config::Mode::Permissive);
    assert!(loaded.span_of("listen.port").expect("a place").file().ends_with("b.yaml"));
    assert!(loaded.span_of("listen.address").expect("a place").file().ends_with("a.yaml"));
    assert_eq!(loaded.files.len(), 2);
}

#[test]
fn includes_come_first_and_in_order_of_their_names() {
    let files = [
        ("main.yaml", "include: [\"parts/*.yaml\"]\nlisten: { address: main }\n"),
        ("parts/20.yaml", "listen: { address: twenty, port: 20 }\n"),
        ("parts/10.yaml", "listen: { port: 10 }\ntags: [ten]\n"),
        ("parts/ignored.txt", "nonsense"),
    ];
    let loaded = load(&files, &["main.yaml"], env(&[]), vec![]).expect("loads");
    assert_eq!(loaded.value.listen.address.as_deref(), Some("main"));
    assert_eq!(loaded.value.listen.port, Some(20));
    assert_eq!(loaded.value.tags, ["ten"]);
    assert_eq!(loaded.files.len(), 3);
}

#[test]
fn missing_files_that_were_named_are_errors_and_others_are_not() {
    let errors =
        load(&[("m.yaml", "\ninclude: [gone.yaml]\n")], &["m.yaml"], env(&[]), vec![]).expect_err("gone");
    assert_eq!(places(&errors), [(2, "include".to_owned())]);
    load(&[("m.yaml", "include: [\"gone/*.yaml\"]\n")], &["m.yaml"], env(&[]), vec![])
        .expect("no match is fine");
    let errors = load(&[], &["gone.yaml"], env(&[]), vec![]).expect_err("gone");
    assert_eq!(errors.list()[0].kind, DiagnosticKind::File);
    Loader::new(env(&[]))
        .own_file_if_present("/no/such/mortise.yaml")
        .load::<Root>()
        .expect("the default may be missing");
}

#[test]
fn flags_win_over_variables_and_variables_over_files() {
    let file = [(
        "m.yaml",
        "listen: { address: file, port: 1 }\nupstreams: { my-Docs: { url: u } }\nplugins: [{ name: Pii, kind: k }]\n",
    )];
    let variables = env(&[
        ("MORTISE_LISTEN__ADDRESS", "variable"),
        ("MORTISE_LISTEN__PORT", "2"),
        ("MORTISE_UPSTREAMS__MY_DOCS__TOKEN", "%not: yaml"),
        ("MORTISE_PLUGINS__PII__PRIORITY", "9"),
        ("MORTISE_TAGS", "[a, b]"),
        ("MORTISE_CONFIG", "x"),
    ]);
    let flags = vec![Override::from_flag("--port", "listen.port", "3").expect("a flag")];
    let loaded = load(&file, &["m.yaml"], variables, flags).expect("loads");
    assert_eq!(loaded.value.listen.address.as_deref(), Some("variable"));
    assert_eq!(loaded.value.listen.port, Some(3));
    assert_eq!(loaded.value.upstreams["my-Docs"].token.as_deref(), Some("%not: yaml"));
    assert_eq!(loaded.value.plugins[0].priority, 9);
    assert_eq!(loaded.value.tags, ["a", "b"]);
    assert!(loaded.notices.is_empty(), "{:?}", loaded.notices);
}

#[test]
fn errors_about_variables_name_them_and_hide_their_value() {
    let variables = env(&[("MORTISE_LISTEN__PORT", "hush"), ("MORTISE_LISTEN__ADRESS", "x")]);
    let errors = load(&[], &[], variables, vec![]).expect_err("wrong");
    let shown = errors.to_string();
    assert!(
        shown.contains("environment variable MORTISE_LISTEN__PORT") && !shown.contains("hush"),
        "{shown}"
    );
    assert!(shown.contains("did you mean `address`"), "{shown}");
}

#[test]
fn stray_variables_are_told_and_do_not_stop_the_start() {
    let variables = env(&[("MORTISE_PORT_8081_TCP_ADDR", "10.0.0.1"), ("MORTISE_LISTN__PORT", "1")]);
    let loaded = load(&[], &[], variables, vec![]).expect("loads");
    assert_eq!(loaded.notices.len(), 2);
    assert!(loaded.notices.iter().any(|n| n.help.as_deref() == Some("did you mean `listen`?")));
}

#[test]
fn null_in_a_variable_takes_away() {
    let file = [("m.yaml", "listen: { port: 1 }\n")];
    let loaded = load(&file, &["m.yaml"], env(&[("MORTISE_LISTEN", "null")]), vec![]).expect("loads");
    assert!(loaded.node.get("listen").is_none());
}

#[test]
fn same_plugin_twice_in_one_file_names_both_lines() {
    let file = [("m.yaml", "plugins:\n  - { name: p, kind: k }\n  - { name: p, kind: k }\n")];
    let errors = load(&file, &["m.yaml"], env(&[]), vec![]).expect_err("twice");
    let shown = errors.to_string();
    assert!(shown.contains("m.yaml:3:") && shown.contains("m.yaml:2:"), "{shown}");
}

#[test]
fn dotenv_lies_below_the_real_environment() {
    let dir = folder(&[(".env", "A=file\nB=file\nbroken line\n")]);
    let mut env = env(&[("A", "real")]);
    let notices = env.add_dotenv(dir.path());
    assert_eq!((env.get("A"), env.get("B")), (Some("real"), Some("file")));
    assert_eq!(notices.len(), 1);
    assert!(!format!("{env:?}").contains("real"));
    assert!(env.add_dotenv(&dir.path().join("nowhere")).is_empty());
}

#[test]
fn switches_read_their_words() {
    let on = |value: &str| PluginSwitches::read(&env(&[("PLUGINS_ENABLED", value)])).map(|s| s.enabled);
    for word in ["1", "true", "YES", "on", "", " "] {
        assert!(on(word).expect(word), "{word}");
    }
    for word in ["0", "False", "no", "OFF"] {
        assert!(!on(word).expect(word), "{word}");
    }
    on("maybe").expect_err("no such word");
    let both = env(&[("PLUGINS_CONFIG_FILE", "new.yaml"), ("PLUGIN_CONFIG_FILE", "old.yaml")]);
    assert_eq!(PluginSwitches::read(&both).expect("reads").config_file, Some("new.yaml".into()));
    PluginSwitches::read(&env(&[("PLUGINS_PLUGIN_TIMEOUT", "soon")])).expect_err("no number");
}

#[test]
fn files_are_recognised_by_their_keys_even_when_broken() {
    let dir = folder(&[
        ("a.yaml", "listen:\n\tbroken"),
        ("b.yaml", "plugins:\n- x\nplugin_settings: {"),
        ("c.yaml", "plugins: []\n"),
        ("mortise.yaml", "plugins: []\n"),
    ]);
    let kind = |name: &str| recognise(&dir.path().join(name)).expect("readable");
    assert_eq!([kind("a.yaml"), kind("b.yaml")], [FileKind::Own, FileKind::Plugins]);
    assert_eq!([kind("c.yaml"), kind("mortise.yaml")], [FileKind::Plugins, FileKind::Own]);
}

#[test]
fn only_keys_and_names_that_fit_one_kind_make_it_certain() {
    let dir = folder(&[
        ("override.yaml", "plugins: []\n"),
        ("watch.yaml", "watch: false\nplugins: []\n"),
        ("mortise-prod.yaml", "plugins: []\nplugin_settings: {}\n"),
        ("whole.yaml", "plugins: []\nplugin_settings: {}\n"),
        ("template.yaml", "plugins: []\n# {{ env['X'] }}\n"),
    ]);
    let of = |name: &str| {
        let found = recognise_surely(&dir.path().join(name)).expect("readable");
        (found.kind, found.certain)
    };
    assert_eq!(of("override.yaml"), (FileKind::Plugins, false));
    assert_eq!(of("watch.yaml"), (FileKind::Own, true));
    assert_eq!(of("mortise-prod.yaml"), (FileKind::Own, true));
    assert_eq!([of("whole.yaml"), of("template.yaml")], [(FileKind::Plugins, true); 2]);
}
