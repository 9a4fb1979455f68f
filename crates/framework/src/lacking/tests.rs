//! What is told about kinds and hooks that are not there, and where.

use mortise_plugin_api::{Hook, HookId, HookTable, Native, NativeKind, Needs, Reply, hooks::ToolPreInvoke};

use crate::{
    Framework, Plan,
    config::{Dialect, Environment, PluginsFile, PluginsFileOptions},
    runtime::NativeRuntime,
};

const HAS: &[HookId] = &[ToolPreInvoke::ID];

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Nothing {}

fn framework() -> Framework {
    let guard = NativeKind {
        name: "guard",
        about: "Guards",
        class_paths: &[],
        hooks: HAS,
        config_schema: || schemars::schema_for!(Nothing),
        build: |_| {
            Ok(Native::new(()).on_each(HAS, Needs::observe(), |(), _, _| Ok(Reply::default())).into_plugin())
        },
    };
    Framework::builder().runtime(NativeRuntime::new([guard])).build()
}

fn plan(text: &str, dialect: Dialect) -> Plan {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.yaml");
    std::fs::write(&file, text).unwrap();
    let env = Environment::new(std::iter::empty::<(&str, &str)>());
    let mut entries = PluginsFile::load(&[file], &PluginsFileOptions::new(&env)).unwrap().entries;
    for entry in &mut entries {
        entry.dialect = dialect;
    }
    Plan { entries, enabled: true, ..Plan::default() }
}

const FOREIGN: Dialect = Dialect::Foreign { strict: false };
const LACKS: &str =
    "plugins:\n- name: a\n  kind: builtin.guard\n  hooks: [tool_pre_invoke, resource_pre_fetch]\n";

#[test]
fn hook_that_a_kind_does_not_have_is_an_error_where_it_is_written() {
    let errors = framework().check(&plan(LACKS, Dialect::Own)).unwrap_err();

    let [error] = errors.list() else { panic!("{errors}") };
    let place = error.span.as_ref().unwrap();
    assert_eq!((place.line(), place.column()), (Some(4), Some(28)));
    assert!(error.message.contains("does not have the hook `resource_pre_fetch`"), "{error}");
    assert_eq!(error.help.as_deref(), Some("it has `tool_pre_invoke`"));
}

#[tokio::test]
async fn foreign_file_that_lists_it_loads_with_a_notice_and_the_plugin_says_what_it_lacks() {
    let (framework, plan) = (framework(), plan(LACKS, FOREIGN));

    let (pipelines, notices) = framework.build(&plan).await.unwrap();

    assert!(notices.iter().any(|notice| notice.message.contains("`resource_pre_fetch`")), "{notices:?}");
    let reason = pipelines.instances()[0].lacks(&HookTable::standard());
    assert!(reason.as_deref().unwrap().contains("the hook `resource_pre_fetch`"), "{reason:?}");
    assert_eq!(framework.lacks(&plan.entries[0]), reason);
}

#[tokio::test]
async fn plugin_with_all_its_hooks_lacks_none() {
    let plan = plan("plugins:\n- {name: a, kind: builtin.guard, hooks: [tool_pre_invoke]}\n", Dialect::Own);
    let (pipelines, notices) = framework().build(&plan).await.unwrap();

    assert!(notices.is_empty(), "{notices:?}");
    assert_eq!(pipelines.instances()[0].lacks(&HookTable::standard()), None);
}

#[test]
fn kind_that_is_not_built_in_is_marked_and_the_nearest_is_named() {
    let errors =
        framework().check(&plan("plugins:\n- name: a\n  kind: builtin.gaurd\n", FOREIGN)).unwrap_err();

    let error = &errors.list()[0];
    let place = error.span.as_ref().unwrap();
    assert_eq!((place.line(), place.column()), (Some(3), Some(9)));
    assert!(error.help.as_deref().unwrap().contains("did you mean `builtin.guard`?"), "{error}");
}

#[test]
fn notices_of_keys_without_effect_point_at_the_key() {
    let text = "plugins:\n- name: a\n  kind: builtin.guard\n  max_content_size: 5\n";
    let notices = framework().check(&plan(text, FOREIGN)).unwrap();

    assert_eq!(notices[0].span.as_ref().unwrap().line(), Some(4), "{notices:?}");
}
