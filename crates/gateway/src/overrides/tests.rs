use mortise_framework::{config::PluginEntry, pipeline::scope::Binding};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn plan() -> Plan {
    let mut off = PluginEntry::new("off", "builtin.x");
    off.mode = Mode::Disabled;
    let config = json!({ "words": ["a"], "limits": { "low": 1, "high": 9 } });
    let on = PluginEntry::new("on", "builtin.x").with_config(config.as_object().cloned().unwrap());
    let binding: Binding = serde_json::from_value(json!({ "plugin": "on", "mode": "audit" })).unwrap();
    Plan { entries: vec![on, off], bindings: vec![binding], enabled: true, ..Plan::default() }
}

fn patch(name: &str, patch: Value) -> Patch {
    Patch::Plugin(name.to_owned(), serde_json::from_value(patch).unwrap())
}

fn after(patches: &[Patch]) -> Overrides {
    patches.iter().fold(Overrides::default(), |now, patch| now.patched(patch, &plan(), "me").unwrap())
}

fn overlay(overrides: &Overrides, name: &str) -> Value {
    overrides.plugins.get(name).map_or(Value::Null, |over| json!(over.overlay))
}

#[test]
fn fields_add_up_and_null_leaves_one_to_the_configuration() {
    let first = patch("on", json!({ "mode": "permissive", "config": { "limits": { "low": 2 } } }));
    let second = patch("on", json!({ "priority": 3, "config": { "limits": { "high": null }, "words": [] } }));
    let both = after(&[first.clone(), second.clone()]);
    let config = json!({ "limits": { "low": 2, "high": null }, "words": [] });
    assert_eq!(overlay(&both, "on"), json!({ "mode": "permissive", "priority": 3, "config": config }));
    let less = after(&[first, second, patch("on", json!({ "mode": null, "config": null }))]);
    assert_eq!(overlay(&less, "on"), json!({ "priority": 3 }));
    assert!(
        after(&[patch("on", json!({ "mode": "audit" })), patch("on", json!({ "mode": null }))])
            .plugins
            .is_empty()
    );
}

#[test]
fn switching_on_leaves_nothing_behind_where_the_configuration_is_on() {
    let off = || patch("on", json!({ "enabled": false }));
    let on = |name| patch(name, json!({ "enabled": true }));
    assert_eq!(after(&[off()]).switched_off().collect::<Vec<_>>(), ["on"]);
    assert_eq!(after(&[off(), on("on")]), Overrides::default());
    assert_eq!(after(&[patch("on", json!({ "mode": "disabled" })), on("on")]), Overrides::default());
    assert_eq!(overlay(&after(&[on("off")]), "off"), json!({ "enabled": true }));
    assert_eq!(after(&[on("off"), Patch::Reset("off".to_owned())]), Overrides::default());
}

#[test]
fn the_switch_for_all_is_kept_only_where_it_differs_from_the_configuration() {
    let off = Patch::Switch(Some(false));
    let overrides = after(std::slice::from_ref(&off));
    assert!(!overrides.lay_over(&plan()).0.enabled);
    assert_eq!(after(&[off.clone(), Patch::Switch(Some(true))]), Overrides::default());
    assert_eq!(after(&[off.clone(), Patch::Switch(None)]), Overrides::default());
    assert_eq!(after(&[off, Patch::ResetAll]), Overrides::default());
    let configured = Plan { enabled: false, ..plan() };
    let on = Overrides::default().patched(&Patch::Switch(Some(true)), &configured, "me").unwrap();
    assert!(on.lay_over(&configured).0.enabled);
}

#[test]
fn what_is_switched_off_runs_in_no_binding_either() {
    let (plan, _) = after(&[patch("on", json!({ "enabled": false }))]).lay_over(&plan());
    assert_eq!((plan.entries[0].mode, plan.bindings[0].mode), (Mode::Disabled, Some(Mode::Disabled)));
    let (plan, _) = after(&[patch("on", json!({ "mode": "permissive" }))]).lay_over(&super::tests::plan());
    assert_eq!((plan.entries[0].mode, plan.bindings[0].mode), (Mode::Permissive, Some(Mode::Audit)));
}

#[test]
fn an_override_of_a_plugin_that_is_gone_is_told_and_kept() {
    let overrides = after(&[patch("on", json!({ "priority": 1 }))]);
    let without = Plan { entries: Vec::new(), bindings: Vec::new(), ..plan() };
    let (_, notices) = overrides.lay_over(&without);
    assert!(notices[0].message.contains("`on`"), "{notices:?}");
    assert!(overrides.patched(&patch("on", json!({ "priority": 2 })), &without, "me").is_none());
    assert_eq!(overrides.patched(&Patch::Reset("on".to_owned()), &without, "me"), Some(Overrides::default()));
    assert!(Overrides::default().patched(&Patch::Reset("nobody".to_owned()), &plan(), "me").is_none());
}

#[test]
fn who_and_when_stay_where_nothing_changes() {
    let first = after(&[patch("on", json!({ "priority": 1 }))]);
    let again = first.patched(&patch("on", json!({ "priority": 1 })), &plan(), "somebody else").unwrap();
    assert_eq!(again, first);
}

#[test]
fn a_patch_takes_no_field_it_does_not_know_and_no_wrong_value() {
    for wrong in [json!({ "prio": 1 }), json!({ "mode": "enforced" }), json!({ "priority": "1" })] {
        assert!(serde_json::from_value::<PluginPatch>(wrong.clone()).is_err(), "{wrong}");
    }
    let debug = format!("{:?}", patch("on", json!({ "config": { "note": "hunter2" } })));
    assert!(!debug.contains("hunter2"), "{debug}");
}

#[test]
fn they_are_kept_for_the_owner_and_a_damaged_file_is_an_error() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(read(dir.path()).unwrap().0, Overrides::default());
    let overrides =
        after(&[patch("on", json!({ "config": { "api_key": "hunter2" } })), Patch::Switch(Some(false))]);
    let aside = write_aside(&overrides, dir.path()).unwrap();
    assert!(!Overrides::path(dir.path()).exists(), "not before it is put in its place");
    drop(aside);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    write_aside(&overrides, dir.path()).unwrap().put_in_place().unwrap();
    assert_eq!(read(dir.path()).unwrap().0, overrides);
    let path = Overrides::path(dir.path());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::write(&path, r#"{ "plugins": { "on": { "override": { "mode": "hunter2" } } } }"#).unwrap();
    let error = read(dir.path()).unwrap_err();
    assert!(error.message.contains("overrides.json") && !error.message.contains("hunter2"), "{error:?}");
}

fn any_patch() -> impl Strategy<Value = Patch> {
    let name = prop_oneof![Just("on"), Just("off")];
    let field = prop_oneof![
        prop_oneof![Just(json!(true)), Just(json!(false)), Just(Value::Null)]
            .prop_map(|v| json!({ "enabled": v })),
        prop_oneof![Just(json!("audit")), Just(json!("disabled")), Just(Value::Null)]
            .prop_map(|v| json!({ "mode": v })),
        prop_oneof![Just(json!(1)), Just(Value::Null)].prop_map(|v| json!({ "priority": v })),
        prop_oneof![Just(json!({ "a": 1 })), Just(json!({ "a": null })), Just(Value::Null)]
            .prop_map(|v| json!({ "config": v })),
    ];
    prop_oneof![
        8 => (name, field).prop_map(|(name, field)| patch(name, field)),
        1 => prop_oneof![Just(None), Just(Some(true)), Just(Some(false))].prop_map(Patch::Switch),
        1 => Just(Patch::Reset("on".to_owned())),
    ]
}

proptest! {
    #[test]
    fn whatever_was_changed_survives_the_file_and_can_be_reset(patches in proptest::collection::vec(any_patch(), 0..12)) {
        let overrides = after(&patches);
        let read: Overrides = serde_json::from_str(&serde_json::to_string(&overrides).unwrap()).unwrap();
        prop_assert_eq!(&read, &overrides);
        prop_assert!(overrides.plugins.values().all(|over| !over.overlay.is_empty()));
        let (laid, notices) = overrides.lay_over(&plan());
        prop_assert!(notices.is_empty());
        // The layer knows what lies below it.
        for (laid, configured) in laid.entries.iter().zip(plan().entries) {
            if let Some(below) = &laid.overlaid {
                prop_assert_eq!((below.mode, below.priority), (configured.mode, configured.priority));
            }
        }
        let reset = overrides.patched(&Patch::ResetAll, &plan(), "me").unwrap();
        prop_assert_eq!(reset, Overrides::default());
    }

    #[test]
    fn the_last_word_on_a_switch_counts(patches in proptest::collection::vec(any_patch(), 0..12), on in any::<bool>()) {
        let mut patches = patches;
        patches.push(patch("on", json!({ "enabled": on })));
        let (laid, _) = after(&patches).lay_over(&plan());
        prop_assert_eq!(laid.entries[0].mode != Mode::Disabled, on);
    }
}
