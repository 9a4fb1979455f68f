use std::fs;

use mortise_plugin_api::HookTable;
use mortise_plugin_api::manifest::Tier;

use super::*;
use crate::config::PluginEntry;

const PII: &str = "name: PII Guard\nkind: plugins.pii.pii.Guard\ndescription: Masks personal data\nauthor: Acme Security\n\
    version: 2.0.0\ntags: [security, PII]\navailable_hooks: [tool_pre_invoke]\nlanguage: python\nperformance_tier: high\n";
const SHORT: &str =
    "description: Shortens\nauthor: Bob\nversion: 0.3.0\ntags: [text]\navailable_hooks: [tool_post_invoke]\n";

fn stage(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        fs::write(path, text).expect("a file");
    }
    dir
}

fn read(path: &Path) -> Catalogue {
    let hooks = HookTable::standard();
    let reader = ManifestReader::new(&hooks, false).expect("a schema");
    let mut catalogue = Catalogue::new();
    catalogue.add_path(path, &reader);
    catalogue
}

fn names(items: &[&Item]) -> Vec<String> {
    items.iter().map(|item| item.name.clone()).collect()
}

fn all(catalogue: &Catalogue) -> Vec<String> {
    names(&catalogue.items().iter().collect::<Vec<_>>())
}

#[test]
fn manifests_below_a_folder_are_found_and_broken_ones_cost_only_themselves() {
    let big = format!("description: {}\n", "x".repeat(300 << 10));
    let dir = stage(&[
        ("pii/plugin-manifest.yaml", PII),
        ("team/shorten/plugin-manifest.yaml", SHORT),
        ("broken/plugin-manifest.yaml", "name: [\n"),
        ("wrong/plugin-manifest.yaml", "name: w\n"),
        ("big/plugin-manifest.yaml", &big),
        (".hidden/plugin-manifest.yaml", PII),
        ("pii/__pycache__/plugin-manifest.yaml", PII),
        ("binary/plugin-manifest.yaml", "\u{1}\u{2}"),
        ("folder/plugin-manifest.yaml/README.md", ""),
    ]);
    let catalogue = read(dir.path());
    assert_eq!(all(&catalogue), ["PII Guard", "shorten"]);
    let told: Vec<String> = catalogue.notices().iter().map(ToString::to_string).collect();
    for name in ["broken/", "wrong/", "big/", "binary/", "folder/"] {
        assert!(told.iter().any(|notice| notice.contains(name)), "{name}: {told:?}");
    }
}

#[test]
fn missing_folders_are_told_and_nothing_else() {
    let dir = stage(&[]);
    let catalogue = read(&dir.path().join("gone"));
    assert!(catalogue.items().is_empty());
    assert!(catalogue.notices()[0].message.contains("there is no such folder or file"));
}

#[cfg(unix)]
#[test]
fn links_out_of_the_folder_are_not_followed_and_circles_end() {
    use std::os::unix::fs::symlink;

    let outside = stage(&[("x/plugin-manifest.yaml", PII)]);
    let dir = stage(&[("in/plugin-manifest.yaml", SHORT), ("also/README.md", "")]);
    symlink(outside.path().join("x"), dir.path().join("out")).expect("a link");
    symlink(outside.path().join("x/plugin-manifest.yaml"), dir.path().join("also/plugin-manifest.yaml"))
        .expect("a link");
    symlink(dir.path(), dir.path().join("in/round")).expect("a link");
    symlink(dir.path().join("in"), dir.path().join("same")).expect("a link");
    let catalogue = read(dir.path());
    assert_eq!(all(&catalogue), ["in"]);
    let leads = catalogue.notices().iter().filter(|notice| notice.message.contains("leads out of")).count();
    assert_eq!(leads, 2, "{:?}", catalogue.notices());
}

#[test]
fn an_index_lists_manifests_and_plugins_in_yaml_or_json() {
    let index = "plugins:\n  - manifest: pii/plugin-manifest.yaml\n  - { name: Inline, description: d, author: a, version: 1.0.0 }\n  - { name: Bad, author: a, version: 1.0.0 }\n  - manifest: ../secret.yaml\n  - manifest: gone.yaml\n  - 7\n";
    let dir = stage(&[
        ("all/plugin-index.yaml", index),
        ("all/pii/plugin-manifest.yaml", PII),
        ("secret.yaml", PII),
        ("list.json", r#"[{"name": "J", "description": "d", "author": "a", "version": "1.0.0"}]"#),
    ]);
    let catalogue = read(&dir.path().join("all/plugin-index.yaml"));
    assert_eq!(all(&catalogue), ["PII Guard", "Inline"]);
    let told: Vec<String> = catalogue.notices().iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(
        told.iter().any(|notice| notice.contains("plugin-index.yaml:4:") && notice.contains("`description`"))
    );
    assert!(told.iter().any(|notice| notice.contains("not below the folder")));
    // The folder reads its index too, and what it finds twice by the same file is one.
    let folder = read(&dir.path().join("all"));
    assert_eq!(all(&folder), ["PII Guard", "Inline"]);
    assert_eq!(all(&read(&dir.path().join("list.json"))), ["J"]);
}

#[test]
fn the_same_plugin_twice_is_told_and_two_versions_are_two_plugins() {
    let newer = PII.replace("2.0.0", "2.1.0");
    let dir = stage(&[
        ("a/plugin-manifest.yaml", PII),
        ("b/plugin-manifest.yaml", PII),
        ("c/plugin-manifest.yaml", &newer),
    ]);
    let catalogue = read(dir.path());
    assert_eq!(catalogue.items().len(), 2);
    assert!(catalogue.notices()[0].message.contains("is here twice"));
    let found = catalogue.of_kind("plugins.pii.pii.Guard").expect("known");
    assert_eq!(found.manifest.version.to_string(), "2.1.0");
}

#[test]
fn search_goes_by_each_field_and_all_must_fit() {
    let dir = stage(&[("pii/plugin-manifest.yaml", PII), ("shorten/plugin-manifest.yaml", SHORT)]);
    let catalogue = read(dir.path());
    let hooks = HookTable::standard();
    let find = |query: Query| names(&catalogue.search(&query, &hooks));
    let none = Query::default;
    assert_eq!(find(none()).len(), 2);
    assert_eq!(find(Query { tags: vec!["pii".into(), "Security".into()], ..none() }), ["PII Guard"]);
    assert_eq!(find(Query { hook: Some("tool_post_invoke".into()), ..none() }), ["shorten"]);
    assert_eq!(find(Query { author: Some("acme".into()), ..none() }), ["PII Guard"]);
    assert_eq!(find(Query { language: Some("Python".into()), ..none() }), ["PII Guard"]);
    assert_eq!(find(Query { tier: Some(Tier::High), ..none() }), ["PII Guard"]);
    assert_eq!(find(Query { text: "personal masks".into(), ..none() }), ["PII Guard"]);
    assert!(find(Query { text: "personal".into(), tier: Some(Tier::Low), ..none() }).is_empty());
    let missed = Query { tags: vec!["securty".into()], ..none() };
    assert_eq!(catalogue.near_misses(&missed), [("securty".to_owned(), "security".to_owned())]);
}

#[test]
fn manifests_give_entries_of_their_kind_dependencies_hooks_and_reasons() {
    let needs = "description: d\nauthor: a\nversion: 1.0.0\nkind: k.Needs\navailable_hooks: [tool_pre_invoke]\n\
        dependencies: [spacy>=3.4, pii-guard>=2, 'plugin:elsewhere']\n";
    let old = "description: d\nauthor: a\nversion: 1.0.0\nkind: k.Old\nframework_compatibility: <1.0\n";
    let dir = stage(&[
        ("pii/plugin-manifest.yaml", PII),
        ("needs/plugin-manifest.yaml", needs),
        ("old/plugin-manifest.yaml", old),
        ("my_plugin/plugin-manifest.yaml", SHORT),
    ]);
    let catalogue = read(dir.path());
    let mut entries: Vec<PluginEntry> = [
        ("needs", "k.Needs"),
        ("old", "k.Old"),
        ("mine", "plugins.my_plugin.plugin.MyPlugin"),
        ("native", "plugins.pii.pii.Guard"),
    ]
    .map(|(name, kind)| PluginEntry::new(name, kind))
    .into();
    entries[2].hooks = vec!["prompt_pre_fetch".to_owned()];
    let notices =
        catalogue.attach(&mut entries, &HookTable::standard(), |kind| kind == "plugins.pii.pii.Guard");
    let wanted: Vec<&str> = entries[0].dependencies.iter().map(|one| &*one.dependency.name).collect();
    assert_eq!(wanted, ["spacy", "pii-guard", "elsewhere"]);
    assert_eq!(entries[0].hooks, ["tool_pre_invoke"]);
    assert!(entries[1].problems[0].reason.contains("wants <1.0, and this is mcp-plugin-framework 1.x"));
    assert!(notices[0].message.contains("does not list `prompt_pre_fetch`"), "{notices:?}");
    assert!(entries[3].manifest.is_none(), "its code is not that of the manifest");
    let (errors, _) = crate::registry::check(&entries);
    let told: Vec<&str> = errors.iter().map(|error| error.message.as_str()).collect();
    assert_eq!(
        told,
        [
            "`needs` needs the plugin `pii-guard`, which is not configured",
            "`needs` needs the plugin `elsewhere`, which is not configured"
        ]
    );
    assert!(errors[0].help.as_deref().is_some_and(|help| help.contains("the catalogue has `PII Guard`")));
}

#[test]
fn thousands_of_plugins_and_of_broken_ones_are_a_matter_of_moments() {
    use std::fmt::Write;

    let mut index = String::from("[");
    for at in 0..6_000 {
        let comma = if at == 0 { "" } else { "," };
        let kind = if at % 3 == 0 { 7.into() } else { Value::from(format!("k.K{at}")) };
        let item = json!({"name": format!("P {at}"), "kind": kind, "description": "d", "author": "a", "version": "1.0.0"});
        write!(index, "{comma}{item}").expect("a string");
    }
    index.push(']');
    let dir = stage(&[("plugin-index.json", &index)]);
    let catalogue = read(dir.path());
    // A number is read as the text it was written as.
    assert_eq!(catalogue.items().len(), 6_000);
    assert_eq!(catalogue.notices().len(), MOST_NOTICES + 1);
    assert_eq!(catalogue.of_kind("k.K5000").map(|item| item.name.as_str()), Some("P 5000"));
    assert!(catalogue.of_name("p-5001").is_some());
}
