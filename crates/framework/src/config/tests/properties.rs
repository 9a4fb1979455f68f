//! What must hold for any input.

use proptest::prelude::*;

use super::{env, folder, write};
use crate::config::merge::prune;
use crate::config::source::Source;
use crate::config::{Dialect, Limits, Node, PluginsFile, PluginsFileOptions, merge, template, yaml};

/// Bytes that look enough like a configuration to get past the first line of defence.
fn configuration_like() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(vec![
        "plugins:",
        "\n",
        "  ",
        "- ",
        "name: a",
        "kind",
        ": ",
        "{{",
        "}}",
        "{%",
        "%}",
        "{#",
        "#}",
        "env.A",
        "- name: b\n    kind: c\n",
        "${",
        "}",
        "$${A}",
        "${A:-",
        "&a ",
        "*a",
        "[",
        "]",
        "{",
        ",",
        "\"",
        "'",
        "|",
        ">",
        "\t",
        "\r\n",
        "<<: ",
        "!!str ",
        "---\n",
        "é",
        "\u{feff}",
        "if x",
        "endif",
        "raw",
        "endraw",
        "for i in env",
        "endfor",
        "token: x",
        "mode: y",
        "include: ",
        "-",
        "#",
    ]);
    prop::collection::vec(words, 0..60).prop_map(|words| words.concat().into_bytes())
}

fn load_any(bytes: &[u8]) {
    let dir = folder(&[]);
    let path = write(dir.path(), "c.yaml", bytes);
    let env = env(&[("A", "x\n  y: {{ z }}"), ("B", "")]);
    let mut options = PluginsFileOptions::new(&env);
    options.limits.template_steps = 10_000;
    match PluginsFile::load(&[path], &options) {
        Ok(file) => drop(format!("{file:?}")),
        Err(errors) => drop(format!("{} {errors:?}", errors.render(true))),
    }
}

/// A YAML document of small maps, lists, scalars and nulls.
fn document() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        (0..5i32).prop_map(Into::into),
        "[xy]".prop_map(Into::into),
    ];
    let tree = leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            3 => prop::collection::btree_map("[abc]", inner.clone(), 0..4).prop_map(|m| m.into_iter().collect()),
            1 => prop::collection::vec(inner, 0..3).prop_map(Into::into),
        ]
    });
    let plugin = ("[pqr]", tree.clone())
        .prop_map(|(name, config)| serde_json::json!({"name": name, "config": config}));
    let plugins = prop::collection::vec(plugin, 0..3).prop_map(|mut list| {
        let mut seen = std::collections::HashSet::new();
        list.retain(|p| seen.insert(p["name"].clone()));
        list
    });
    (prop::collection::btree_map("[abc]", tree, 0..4), prop::option::of(plugins)).prop_map(
        |(map, plugins)| {
            let mut map: serde_json::Map<_, _> = map.into_iter().collect();
            if let Some(plugins) = plugins {
                map.insert("plugins".to_owned(), plugins.into());
            }
            map.into()
        },
    )
}

fn node(json: &serde_json::Value) -> Node {
    let source = Source::from_text("p", json.to_string());
    yaml::parse(&source, None, Dialect::Own, &Limits::default()).expect("JSON is YAML").expect("not empty")
}

fn pruned(mut node: Node) -> serde_json::Value {
    prune(&mut node);
    node.to_json()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        load_any(&bytes);
    }

    #[test]
    fn no_mangled_configuration_makes_it_panic(bytes in configuration_like()) {
        load_any(&bytes);
    }

    #[test]
    fn merging_is_associative(a in document(), b in document(), c in document()) {
        let left = merge(merge(node(&a), node(&b)), node(&c));
        let right = merge(node(&a), merge(node(&b), node(&c)));
        prop_assert_eq!(pruned(left), pruned(right));
    }

    #[test]
    fn json_comes_back_from_yaml_as_it_was(a in document()) {
        prop_assert_eq!(node(&a).to_json(), a);
    }

    #[test]
    fn template_with_only_literals_renders_to_itself(text in "[a-z {}%#\n'\"-]{0,80}") {
        prop_assume!(!text.contains("env") && !text.contains("{%") && !text.contains("{#"));
        let source = Source::from_text("t", text.clone());
        let rendered = template::render(&source, &env(&[]), &Limits::default());
        if let Ok(Some(rendered)) = rendered {
            // Only an escaped delimiter (`{{ '{{' }}`) may change such a text.
            prop_assert!(text.contains("{{"));
            prop_assert!(rendered.text.len() <= text.len());
        }
    }
}
