//! The page of hooks, from the hook table.

use mortise::{
    gateway::LIVE_HOOKS,
    plugin_api::{Family, HookSpec, HookTable, Limit, Moment, Rule},
};
use serde_json::Value;

use super::{GENERATED, cell, row, schema};

pub(crate) fn page(hooks: &HookTable) -> String {
    let mut page = format!(
        "# Hooks\n\n{GENERATED}\n<!-- Source: crates/plugin-api/src/hooks/ -->\n\n\
         A hook is a named point a plugin can run at. `contracts/schema/hooks/` has the JSON Schema of each payload and\n\
         answer; `mortise hooks NAME` prints it. [Write a plugin](../guide/write-a-plugin.md) says what to do at one.\n\n\
         What a plugin may do, in the words used below:\n\n\
         - **block**: refuse, with a violation. Where the hook runs after a call, its result is withheld.\n\
         - **change**: answer with another payload, of which the gateway takes the fields that may be changed; or edit texts\n  \
           in place. Each plugin sees what those before it have made of the payload.\n\
         - **answer**: decide what the hook asks. The first plugin that answers is believed, and the others are not asked.\n\
         - **observe**: look. Answers count for nothing.\n\n\
         Whether a plugin's word counts is its mode's: see `mode` in [the configuration](config.md). A payload that is larger\n\
         than its limit is refused with `PAYLOAD_TOO_LARGE` wherever a plugin would have looked at it. A hook that does not\n\
         run here can be named in a configuration; a plugin that stands at no other is listed and not started.\n\n"
    );
    page.push_str(&row(&["hook", "also", "a plugin may", "runs here", "when"]));
    page.push_str(&row(&["---", "---", "---", "---", "---"]));
    for hook in hooks.rows() {
        let name = link(&hook.name);
        let live = if LIVE_HOOKS.contains(&hook.id) { "yes" } else { "" };
        page.push_str(&row(&[&name, &words(hook.aliases), &may(hook), live, &cell(&hook.about)]));
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
    page.push_str(&format!("- {}\n", fires(hook)));
    if let Some(pair) = hook.pair.and_then(|id| hooks.spec(id)) {
        page.push_str(&format!("- The other side of the same event: {}.\n", link(&pair.name)));
    }
    if !hook.aliases.is_empty() {
        page.push_str(&format!("- Also written {}.\n", words(hook.aliases)));
    }
    match hook.writable {
        [] => {}
        _ if !hook.may.change || hook.rule == Rule::FirstAnswer => {}
        ["*"] => page.push_str("- All of it may be changed.\n"),
        fields => page.push_str(&format!("- Fields that may be changed: {}.\n", words(fields))),
    }
    let limit = match hook.limit {
        Limit::Arguments => "max_argument_bytes` (1,000,000 bytes by default)",
        Limit::Content => "max_content_bytes` (32 MiB by default)",
    };
    page.push_str(&format!("- Largest payload: `limits.{limit}.\n\n"));
    let payload = hook.payload_schema().to_value();
    fields("Payload", &payload, page);
    example("For example:", hook.example.payload, page);
    let answer = hook.change_schema().to_value();
    if answer != payload && hook.may.change {
        page.push('\n');
        fields("Answer", &answer, page);
    }
    if !hook.example.answer.is_empty() {
        let about = hook.example.about;
        example(&format!("An answer (`modified_payload`) to that. {about}"), hook.example.answer, page);
    }
}

/// Where the gateway runs a hook today.
fn fires(hook: &HookSpec) -> String {
    let live = LIVE_HOOKS.contains(&hook.id);
    match (live, hook.family) {
        (true, Family::Tool) => "Runs for each `tools/call`, to whichever upstream.",
        (true, Family::Prompt) => "Runs for each `prompts/get`.",
        (true, Family::Resource) => "Runs for each `resources/read`.",
        (true, Family::Http) => match &*hook.name {
            "http_auth_check_permission" => {
                "Runs for each MCP request that lists, calls, gets, reads or subscribes, once it is known who asks."
            }
            "http_pre_forwarding_call" | "http_post_forwarding_call" => {
                "Runs for each request that goes to an upstream over HTTP; not for one that is a child process."
            }
            _ => "Runs for each HTTP request to an MCP endpoint: `/mcp` and `/servers/{id}/mcp`.",
        },
        (true, _) => "Runs in this build.",
        (false, Family::Llm) => "Does not run yet: no LLM traffic is served.",
        (false, Family::Open) => "Does not run by itself: the name is known, and an embedding program may run it.",
        (false, _) => "Does not run yet.",
    }
    .to_owned()
}

/// An example as it would be written by hand.
fn example(title: &str, json: &str, page: &mut String) {
    let Ok(value) = serde_json::from_str::<Value>(json) else { return };
    if value.is_null() {
        return;
    }
    page.push_str(&format!("\n{title}\n\n```json\n{value:#}\n```\n"));
}

/// A link to a hook's section; anchors have no dots.
fn link(name: &str) -> String {
    format!("[`{name}`](#{})", name.replace('.', ""))
}

fn fields(title: &str, root: &Value, page: &mut String) {
    let Some(properties) = root["properties"].as_object().filter(|properties| !properties.is_empty()) else {
        let about =
            root["description"].as_str().map(|about| format!(": {}", cell(about))).unwrap_or_default();
        page.push_str(&format!("{title}: {}{about}\n", schema::type_words(root, root)));
        return;
    };
    let required: Vec<&str> =
        root["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    page.push_str(&row(&[&title.to_lowercase(), "type", "required", "what it is"]));
    page.push_str(&row(&["---", "---", "---", "---"]));
    for (name, property) in properties {
        let about = schema::description(property, root);
        page.push_str(&row(&[
            &format!("`{name}`"),
            &cell(&schema::type_words(property, root)),
            if required.contains(&name.as_str()) { "yes" } else { "" },
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn examples_match_the_schemas_that_are_checked_in() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../contracts/schema/hooks");
        for hook in HookTable::standard().rows() {
            let file = folder.join(format!("{}.json", hook.name));
            let text = std::fs::read_to_string(&file).unwrap();
            let schemas: Value = serde_json::from_str(&text).unwrap();
            for (part, example) in [("payload", hook.example.payload), ("answer", hook.example.answer)] {
                if example.is_empty() {
                    continue;
                }
                let example: Value = serde_json::from_str(example).unwrap();
                let found = jsonschema::validate(&schemas[part], &example);
                assert!(found.is_ok(), "{} {part}: {found:?}", hook.name);
            }
        }
    }

    #[test]
    fn every_hook_has_its_section_with_fields_and_an_example() {
        let table = HookTable::standard();
        let page = page(&table);
        for hook in table.rows() {
            let section = page.split(&format!("\n## {}\n", hook.name)).nth(1).unwrap();
            let section = section.split("\n## ").next().unwrap();
            assert!(section.contains("For example:\n\n```json\n"), "{}", hook.name);
            assert_eq!(section.contains("An answer ("), !hook.example.answer.is_empty(), "{}", hook.name);
        }
    }
}
