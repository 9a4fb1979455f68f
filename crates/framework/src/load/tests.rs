//! What is told of a plan that is wrong: all of it, at its place.

use mortise_plugin_api::{BuildError, Hook, HookId, Native, NativeKind, Needs, Reply, hooks::ToolPreInvoke};
use serde_json::json;

use super::*;
use crate::{
    config::{Environment, PluginsFile, PluginsFileOptions},
    pipeline::scope::Scope,
    runtime::NativeRuntime,
};

const AT: &[HookId] = &[ToolPreInvoke::ID];

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Words {
    #[serde(default)]
    words: Vec<String>,
    #[serde(default)]
    #[expect(dead_code, reason = "only its type matters")]
    depth: u8,
}

/// A kind that takes lower-case words only, and says so of the first that is none.
fn framework() -> Framework {
    let kind = NativeKind {
        name: "words",
        about: "Has words",
        class_paths: &[],
        hooks: AT,
        config_schema: NativeKind::schema_of::<Words>,
        build: |config| {
            let config: Words = NativeKind::read(config)?;
            match config.words.iter().position(|word| word.chars().any(char::is_uppercase)) {
                Some(at) => Err(BuildError::new(format!("words[{at}]"), "is not in lower case")),
                None => Ok(Native::new(())
                    .on_each(AT, Needs::observe(), |(), _, _| Ok(Reply::default()))
                    .into_plugin()),
            }
        },
    };
    Framework::builder().runtime(NativeRuntime::new([kind])).build()
}

fn plan(config: &str, bindings: serde_json::Value) -> Plan {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.yaml");
    std::fs::write(&file, format!("plugins:\n- name: a\n  kind: builtin.words\n  config:\n{config}"))
        .unwrap();
    let env = Environment::new(std::iter::empty::<(&str, &str)>());
    let entries = PluginsFile::load(&[file], &PluginsFileOptions::new(&env)).unwrap().entries;
    Plan { entries, bindings: serde_json::from_value(bindings).unwrap(), enabled: true, ..Plan::default() }
}

fn told(plan: &Plan) -> Vec<(u32, String)> {
    let errors = framework().check(plan).unwrap_err();
    let place = |error: &Diagnostic| error.span.as_ref().and_then(crate::config::Span::line).unwrap_or(0);
    errors.list().iter().map(|error| (place(error), error.path.clone())).collect()
}

#[test]
fn values_that_do_not_fit_the_schema_and_those_the_kind_refuses_are_told_at_once() {
    let plan =
        plan("    depth: deep\n    words:\n    - good\n    - BAD\n    - [1]\n    - WORSE\n", json!([]));
    assert_eq!(
        told(&plan),
        [
            (5, "plugins[0].config.depth".to_owned()),
            (8, "plugins[0].config.words[1]".to_owned()),
            (9, "plugins[0].config.words[2]".to_owned()),
            (10, "plugins[0].config.words[3]".to_owned()),
        ]
    );
}

#[test]
fn all_values_that_a_kind_refuses_are_told_at_once() {
    let plan = plan("    words: [good, BAD, fine,\n      WORSE]\n", json!([]));
    assert_eq!(
        told(&plan),
        [(5, "plugins[0].config.words[1]".to_owned()), (6, "plugins[0].config.words[3]".to_owned())]
    );
}

#[test]
fn bindings_that_shadow_each_other_or_require_what_is_no_hook_are_errors() {
    let plan = plan(
        "    words: []\n",
        json!([
            { "plugin": "a", "scope": { "tool": "t" }, "mode": "permissive" },
            { "plugin": "a", "scope": { "tool": "t" }, "required": ["tool_pre_invoke", "tool_pre_invok"] },
            { "plugin": "a", "scope": { "tool": "u" }, "required": true },
        ]),
    );
    let paths: Vec<String> = told(&plan).into_iter().map(|(_, path)| path).collect();
    assert_eq!(paths, ["bindings[1].scope", "bindings[1].required[1]"]);
}

#[test]
fn binding_to_an_llm_of_a_plugin_at_tools_is_told_never_to_hold() {
    let plan = plan("    words: []\n", json!([{ "plugin": "a", "scope": { "llm": "gpt" } }]));
    assert_eq!(plan.bindings[0].scope, Scope { llm: Some("gpt".to_owned()), ..Scope::default() });
    let notices = framework().check(&plan).unwrap();
    assert!(notices.iter().any(|notice| notice.message.contains("never holds")), "{notices:?}");
}
