//! The page of hooks, from the hook table.

use mortise::plugin_api::{HookSpec, HookTable, Limit, Moment, Rule};
use serde_json::Value;

use super::{GENERATED, cell, row, schema};

pub(crate) fn page(hooks: &HookTable) -> String {
    let mut page = format!(
        "# Hooks\n\n{GENERATED}\n<!-- Source: crates/plugin-api/src/hooks/ -->\n\n\
         A hook is a named point a plugin can run at. `contracts/schema/hooks/` has the JSON Schema of each payload and\n\
         answer; `mortise hooks NAME` prints it.\n\n"
    );
    page.push_str(&row(&["hook", "also", "a plugin may", "when"]));
    page.push_str(&row(&["---", "---", "---", "---"]));
    for hook in hooks.rows() {
        let name = link(&hook.name);
        page.push_str(&row(&[&name, &words(hook.aliases), &may(hook), &cell(&hook.about)]));
    }
    for hook in hooks.rows() {
        section(hook, hooks, &mut page);
    }
    page
}

fn section(hook: &HookSpec, hooks: &HookTable, page: &mut String) {
    page.push_str(&format!("\n## {}\n\n{}.\n\n", hook.name, cell(hook.about.trim_end_matches('.'))));
    let moment = match hook.moment {
        Moment::Before => "before",
        Moment::After => "after, while the result can still be changed",
        Moment::AfterTheFact => "when it is over",
    };
    page.push_str(&format!("- Runs {moment}. A plugin may: {}.\n", may(hook)));
    if let Some(pair) = hook.pair.and_then(|id| hooks.spec(id)) {
        page.push_str(&format!("- The other side of the same event: {}.\n", link(&pair.name)));
    }
    if !hook.aliases.is_empty() {
        page.push_str(&format!("- Also written {}.\n", words(hook.aliases)));
    }
    if !hook.writable.is_empty() {
        page.push_str(&format!("- Fields that may be changed: {}.\n", words(hook.writable)));
    }
    let limit = match hook.limit {
        Limit::Arguments => "max_argument_bytes",
        Limit::Content => "max_content_bytes",
    };
    page.push_str(&format!("- Largest payload: `limits.{limit}`.\n\n"));
    let payload = hook.payload_schema().to_value();
    fields("Payload", &payload, page);
    let answer = hook.change_schema().to_value();
    if answer != payload && hook.may.change {
        page.push('\n');
        fields("Answer", &answer, page);
    }
}

/// A link to a hook's section; anchors have no dots.
fn link(name: &str) -> String {
    format!("[`{name}`](#{})", name.replace('.', ""))
}

fn fields(title: &str, root: &Value, page: &mut String) {
    let Some(properties) = root["properties"].as_object().filter(|properties| !properties.is_empty()) else {
        page.push_str(&format!("{title}: {}.\n", schema::type_words(root, root)));
        return;
    };
    page.push_str(&row(&[&title.to_lowercase(), "type", "what it is"]));
    page.push_str(&row(&["---", "---", "---"]));
    for (name, property) in properties {
        let about = schema::description(property, root);
        page.push_str(&row(&[
            &format!("`{name}`"),
            &cell(&schema::type_words(property, root)),
            &cell(&about),
        ]));
    }
}

fn words(list: &[&str]) -> String {
    list.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

fn may(hook: &HookSpec) -> String {
    match (hook.rule, hook.may.block, hook.may.change) {
        (Rule::FirstAnswer, _, _) => "answer; the first answer decides",
        (_, true, true) => "block, change",
        (_, true, false) => "block",
        (_, false, true) => "change",
        (_, false, false) => "observe",
    }
    .to_owned()
}
