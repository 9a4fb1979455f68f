//! The page of configuration keys, from the schema of the configuration types.

use std::collections::{BTreeSet, VecDeque};

use serde_json::Value;

use super::{GENERATED, cell, row, schema};

const HEAD: &str = "Every key of `mortise.yaml`. All are optional but those said to be needed; unknown keys are errors. \
`${NAME}` and\n`${NAME:-default}` in any value stand for variables, `${file:/run/secrets/x}` for the text of a file, \
`${vault:PATH#KEY}`\nfor what HashiCorp Vault has, `$${` for a literal `${`. The variable `MORTISE_A__B` sets the key `a.b`; flags win over variables, variables over \
files. File names are\nrelative to the file they are written in. `mortise config check FILE` tells what is wrong.\n";

/// One map of keys.
struct Section<'s> {
    path: String,
    schema: &'s Value,
}

pub(crate) fn page(root: &Value) -> String {
    let mut page = format!(
        "# Configuration\n\n{GENERATED}\n<!-- Source: crates/gateway/src/config/, crates/framework/src/config/ -->\n\n{HEAD}"
    );
    let mut queue = VecDeque::from([Section { path: String::new(), schema: root }]);
    let mut written = BTreeSet::new();
    while let Some(section) = queue.pop_front() {
        // In the order of the file: what belongs to a key comes before the next key.
        let inner = write(&section, root, &mut written, &mut page);
        for section in inner.into_iter().rev() {
            queue.push_front(section);
        }
    }
    page
}

/// Writes a section and returns those within it.
fn write<'s>(
    section: &Section<'s>,
    root: &'s Value,
    written: &mut BTreeSet<String>,
    page: &mut String,
) -> Vec<Section<'s>> {
    let title = if section.path.is_empty() { "The file".to_owned() } else { format!("`{}`", section.path) };
    page.push_str(&format!("\n## {title}\n\n"));
    if !section.path.is_empty()
        && let Some(about) = section.schema["description"].as_str()
    {
        page.push_str(&format!("{about}\n\n"));
    }
    let needed: Vec<&str> =
        section.schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    page.push_str(&row(&["key", "type", "default", "what it does"]));
    page.push_str(&row(&["---", "---", "---", "---"]));
    let (mut inner, mut notes) = (Vec::new(), String::new());
    for (name, property) in section.schema["properties"].as_object().into_iter().flatten() {
        let about = schema::description(property, root);
        let default = match property.get("default") {
            _ if needed.contains(&name.as_str()) => "needed".to_owned(),
            None | Some(Value::Null) => String::new(),
            Some(Value::Object(map)) if !map.is_empty() => String::new(),
            Some(default) => format!("`{default}`"),
        };
        let kind = cell(&schema::type_words(property, root));
        page.push_str(&row(&[&format!("`{name}`"), &kind, &default, &cell(&about)]));
        // The same words mean the same wherever they stand: once is enough.
        if schema::reference(property).is_none_or(|known| written.insert(known.to_owned())) {
            notes.push_str(&meanings(name, schema::plain(property, root)));
        }
        if let Some(found) = section_of(&section.path, name, property, root, written) {
            inner.push(found);
        }
    }
    page.push_str(&notes);
    inner
}

/// What the words of an enumeration mean.
fn meanings(name: &str, schema: &Value) -> String {
    let words = schema::constants(schema).unwrap_or_default();
    let words: Vec<_> = words.into_iter().filter(|(_, about)| !about.is_empty()).collect();
    if words.is_empty() {
        return String::new();
    }
    let lines: Vec<String> =
        words.iter().map(|(word, about)| format!("- `{word}`: {}\n", cell(about))).collect();
    format!("\n`{name}` is one of:\n\n{}", lines.concat())
}

/// The section of the map that a property holds, in lists and under names too; `None` where it holds none or one that
/// stands on the page already.
fn section_of<'s>(
    parent: &str,
    name: &str,
    property: &'s Value,
    root: &'s Value,
    written: &mut BTreeSet<String>,
) -> Option<Section<'s>> {
    let mut path = if parent.is_empty() { name.to_owned() } else { format!("{parent}.{name}") };
    let mut found = property;
    loop {
        let plain = schema::plain(found, root);
        if plain["properties"].is_object() {
            let known = format!("{} of keys", schema::reference(found).unwrap_or(&path));
            return written.insert(known).then_some(Section { path, schema: plain });
        }
        if let Some(parts) = plain["anyOf"].as_array() {
            // A list, or one item where a list of one is meant.
            found = parts.iter().find(|part| part["type"] == "array")?;
        } else if plain["items"].is_object() {
            path.push_str("[]");
            found = &plain["items"];
        } else if plain["additionalProperties"].is_object() {
            path.push_str(".NAME");
            found = &plain["additionalProperties"];
        } else {
            return None;
        }
    }
}
