mod running;

use std::sync::Mutex;

use mortise_plugin_api::hooks::{AgentPreInvoke, ToolPreInvoke};
use mortise_plugin_api::manifest::Dependency;
use mortise_plugin_api::{Hook, Manifest};
use proptest::prelude::*;
use semver::Version;

use super::*;
use crate::config::DependsOn;

fn entry(name: &str, needs: &[&str]) -> PluginEntry {
    let mut entry = PluginEntry::new(name, "test");
    for need in needs {
        entry.dependencies.push(DependsOn {
            dependency: Dependency::on_plugin(need).expect("a dependency"),
            span: entry.span.clone(),
            path: format!("{name}.dependencies"),
            hint: None,
        });
    }
    entry
}

fn names(entries: &[PluginEntry]) -> Vec<&str> {
    let all: Vec<&PluginEntry> = entries.iter().collect();
    order(&all).into_iter().map(|at| entries[at].name.as_str()).collect()
}

fn told(entries: &[PluginEntry]) -> Vec<String> {
    check(entries).0.into_iter().map(|error| error.message).collect()
}

#[test]
fn each_stands_behind_what_it_needs_and_otherwise_where_it_was() {
    let entries = [entry("a", &["c"]), entry("b", &[]), entry("c", &["d"]), entry("d", &[]), entry("e", &[])];
    assert_eq!(names(&entries), ["b", "d", "c", "a", "e"]);
    assert!(told(&entries).is_empty());
    assert_eq!(names(&[entry("x", &[]), entry("y", &["x"]), entry("z", &[])]), ["x", "y", "z"]);
}

#[test]
fn missing_plugins_are_errors_with_the_nearest_name() {
    let (errors, _) = check(&[entry("a", &["pii-fliter"]), entry("pii-filter", &[])]);
    assert_eq!(errors.len(), 1);
    assert!(errors[0].to_string().contains("which is not configured (did you mean `pii-filter`?)"));
    let mut off = entry("a", &["gone"]);
    off.mode = Mode::Disabled;
    assert!(told(&[off]).is_empty(), "what does not run needs nothing");
}

#[test]
fn names_need_not_be_written_alike_and_manifests_have_names_too() {
    let mut named = entry("second", &[]);
    let mut manifest = Manifest::new("d", "a", Version::new(1, 2, 0));
    manifest.name = Some("Advanced PII Filter".to_owned());
    named.manifest = Some(Arc::new(manifest));
    let entries = [
        entry("a", &["pii_filter"]),
        entry("b", &["advanced-pii-filter>=1.0"]),
        entry("PII Filter", &[]),
        named,
    ];
    assert!(told(&entries).is_empty());
    assert_eq!(names(&entries), ["PII Filter", "a", "second", "b"]);
}

#[test]
fn circles_are_told_once_with_all_who_are_in_them() {
    let entries = [
        entry("a", &["b"]),
        entry("b", &["c"]),
        entry("c", &["a"]),
        entry("waits", &["a"]),
        entry("self", &["self"]),
        entry("fine", &[]),
    ];
    assert_eq!(
        told(&entries),
        ["plugins need each other in a circle: `a` → `b` → `c` → `a`", "the plugin `self` needs itself"]
    );
}

#[test]
fn versions_are_compared_and_unknown_ones_are_told() {
    let with = |version: Option<&str>| {
        let mut needed = entry("b", &[]);
        needed.version = version.map(str::to_owned);
        [entry("a", &["b>=1.5"]), needed]
    };
    assert_eq!(told(&with(Some("1.4"))), ["`a` needs the plugin `b` in version >=1.5, and it is 1.4.0"]);
    assert!(told(&with(Some("1.5"))).is_empty());
    let (errors, notices) = check(&with(None));
    assert!(errors.is_empty());
    assert!(notices[0].message.contains("nothing says which version"));
}

#[test]
fn disabled_dependencies_deserve_a_word() {
    let mut off = entry("b", &[]);
    off.mode = Mode::Disabled;
    let (errors, notices) = check(&[entry("a", &["b"]), off]);
    assert!(errors.is_empty());
    assert!(notices[0].message.contains("which is disabled"));
}

#[test]
fn plugins_without_a_live_hook_are_idle_unless_a_busy_one_needs_them() {
    let mut entries = vec![
        entry("busy", &["needed"]),
        entry("needed", &[]),
        entry("idle", &["only-for-idle"]),
        entry("only-for-idle", &[]),
        entry("off", &[]),
        entry("none", &[]),
    ];
    entries[4].mode = Mode::Disabled;
    let hooks = |entry: &PluginEntry| match entry.name.as_str() {
        "busy" => vec![AgentPreInvoke::ID, ToolPreInvoke::ID],
        "none" => Vec::new(),
        _ => vec![AgentPreInvoke::ID],
    };
    let table = HookTable::standard();
    let dormant = HashSet::from([AgentPreInvoke::ID]);
    let idle = idle(&entries, |entry| entry, hooks, &table, &dormant);
    let marked: Vec<bool> = idle.iter().map(Option::is_some).collect();
    assert_eq!(marked, [false, false, true, true, false, true]);
    assert!(idle[2].as_ref().is_some_and(|reason| reason.contains("`agent_pre_invoke`")));
    assert!(idle[5].as_ref().is_some_and(|reason| reason.contains("no hook")));
}

#[tokio::test]
async fn dependencies_have_started_before_what_needs_them_begins() {
    let entries = [entry("a", &["b", "c"]), entry("b", &["c"]), entry("c", &[]), entry("d", &[])];
    let started: Mutex<Vec<String>> = Mutex::default();
    start_in_order(
        &entries,
        |entry| entry,
        |entry| {
            let started = &started;
            async move {
                {
                    let known = started.lock().expect("no panic");
                    for need in &entry.dependencies {
                        assert!(known.contains(&need.dependency.name.to_string()));
                    }
                }
                tokio::task::yield_now().await;
                started.lock().expect("no panic").push(entry.name.clone());
            }
        },
    )
    .await;
    assert_eq!(started.into_inner().expect("no panic").len(), 4);
}

#[test]
fn chains_as_long_as_a_configuration_are_no_trouble() {
    let mut entries: Vec<PluginEntry> = Vec::new();
    for at in 0..5_000 {
        entries.push(entry(&format!("p{at}"), &[&format!("p{}", at + 1)]));
    }
    entries.push(entry("p5000", &["p0"]));
    assert_eq!(told(&entries).len(), 1);
    entries.pop();
    entries.push(entry("p5000", &[]));
    assert!(told(&entries).is_empty());
    assert_eq!(names(&entries)[0], "p5000");
}

proptest! {
    #[test]
    fn order_holds_for_any_graph_and_circles_are_told_exactly_where_there_are_some(
        edges in prop::collection::vec((0usize..12, 0usize..12), 0..24)
    ) {
        let entries: Vec<PluginEntry> = (0..12)
            .map(|at| {
                let needs: Vec<String> = edges.iter().filter(|(from, _)| *from == at).map(|(_, to)| format!("p{to}")).collect();
                entry(&format!("p{at}"), &needs.iter().map(String::as_str).collect::<Vec<_>>())
            })
            .collect();
        let all: Vec<&PluginEntry> = entries.iter().collect();
        let order = order(&all);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        prop_assert_eq!(sorted, (0..12).collect::<Vec<_>>());
        let place = |at: usize| order.iter().position(|one| *one == at);
        let holds = edges.iter().all(|(from, to)| place(*from) > place(*to));
        prop_assert_eq!(holds, told(&entries).is_empty());
    }
}
