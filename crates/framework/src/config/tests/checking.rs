//! What schema errors look like to a person.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::num::NonZeroU32;

use crate::config::source::Source;
use crate::config::{Dialect, Errors, Limits, Node, check, yaml};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct Sample {
    #[serde(default)]
    strategy: Strategy,
    limit: Option<u32>,
    #[serde(default)]
    nested: Option<Nested>,
    #[serde(default)]
    shape: Option<Shape>,
    #[serde(default)]
    either: Option<Either>,
    #[serde(default)]
    ratio: Option<f64>,
    #[serde(default)]
    on: Option<bool>,
    #[serde(default)]
    name: Option<String>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Strategy {
    /// Everything.
    #[default]
    Redact,
    /// A part.
    Partial,
    /// A hash.
    Hash,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct Nested {
    count: NonZeroU32,
    #[serde(default)]
    secret: Option<u8>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
enum Shape {
    Circle { radius: u32 },
    Square { side: u32 },
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum Either {
    Text(String),
    List(Vec<String>),
}

fn tree(text: &str) -> Node {
    let source = Source::from_text("sample.yaml", text);
    yaml::parse(&source, None, Dialect::Own, &Limits::default()).expect("valid YAML").expect("not empty")
}

fn errors(text: &str) -> Errors {
    check(tree(text), &schemars::schema_for!(Sample), "plugins[0].config", Dialect::Own)
        .expect_err("must be refused")
}

fn only(text: &str) -> (String, String, String) {
    let errors = errors(text);
    let [one] = errors.list() else { panic!("one error expected: {errors}") };
    (one.path.clone(), one.message.clone(), one.help.as_deref().unwrap_or_default().to_owned())
}

#[test]
fn all_errors_come_at_once_in_the_order_of_the_text() {
    let errors = errors("limmit: 3\nstrategy: partal\nlimit: -1\nnested: { count: x }\n");
    let paths: Vec<&str> = errors.list().iter().map(|e| e.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "plugins[0].config.limmit",
            "plugins[0].config.strategy",
            "plugins[0].config.limit",
            "plugins[0].config.nested.count"
        ]
    );
}

#[test]
fn unknown_keys_name_the_nearest_and_all_allowed_ones() {
    let (path, message, help) = only("startegy: hash\n");
    assert_eq!((path.as_str(), message.as_str()), ("plugins[0].config.startegy", "unknown key `startegy`"));
    assert!(help.starts_with("did you mean `strategy`? allowed: `strategy`, `limit`"), "{help}");
    let (path, _, help) = only("nested: { count: 1, cuont: 2 }\n");
    assert_eq!(path, "plugins[0].config.nested.cuont");
    assert!(help.starts_with("did you mean `count`?"), "{help}");
}

#[test]
fn words_name_the_nearest_and_all_allowed_ones() {
    let (_, message, help) = only("strategy: Partial\n");
    assert_eq!(message, "the text `Partial` is not allowed here");
    assert_eq!(help, "did you mean `partial`? allowed: `redact`, `partial`, `hash`");
}

#[test]
fn optional_values_speak_of_the_type_they_have() {
    assert_eq!(only("limit: many\n").1, "expected an integer, found the text `many`");
    assert_eq!(only("limit: -1\n").1, "the number `-1` is below the minimum of 0");
    assert_eq!(only("nested: 5\n").1, "expected a map, found the number `5`");
    assert_eq!(only("nested: {}\n").1, "the key `count` is missing");
    assert_eq!(only("nested: {}\n").0, "plugins[0].config.nested.count");
    assert_eq!(only("either: { a: 1 }\n").1, "expected a text or a list, found a map");
}

#[test]
fn tagged_shapes_speak_of_the_shape_that_was_meant() {
    assert_eq!(only("shape: { type: circle, radius: x }\n").1, "expected an integer, found the text `x`");
    let (path, _, help) = only("shape: { type: sqare, side: 1 }\n");
    assert_eq!(path, "plugins[0].config.shape.type");
    assert!(help.contains("did you mean `square`?") && help.contains("`circle`"), "{help}");
}

#[test]
fn scalars_are_retyped_where_the_schema_leaves_no_doubt() {
    let text = "limit: \"7\"\nnested: { count: '3' }\nratio: '0.5'\non: yes\nname: 1.10\neither: 'x'\n";
    let checked = check(tree(text), &schemars::schema_for!(Sample), "", Dialect::Own).expect("fits");
    let expected =
        json!({"limit": 7, "nested": {"count": 3}, "ratio": 0.5, "on": true, "name": "1.10", "either": "x"});
    assert_eq!(checked.node.to_json(), expected);
    assert_eq!(checked.notices.iter().map(|n| n.path.as_str()).collect::<Vec<_>>(), ["name"]);
}

#[test]
fn secrets_are_masked_in_every_form_of_an_error() {
    let errors = errors("nested: { count: 1, secret: hunter2 }\n");
    let all = format!(
        "{errors} {errors:?} {:?} {}",
        tree("token: hunter2"),
        serde_json::to_string(&errors).unwrap()
    );
    assert!(all.contains("***") && !all.contains("hunter2"), "{all}");
}

#[test]
fn foreign_files_lose_unknown_keys_with_a_notice() {
    let dialect = Dialect::Foreign { strict: false };
    let checked = check(tree("limit: 1\nlimmit: 2\n"), &schemars::schema_for!(Sample), "c", dialect)
        .expect("tolerated");
    assert_eq!(checked.node.to_json(), json!({"limit": 1}));
    assert_eq!(checked.notices[0].path, "c.limmit");
    check(tree("limmit: 2\n"), &schemars::schema_for!(Sample), "c", Dialect::Foreign { strict: true })
        .expect_err("strict");
}

#[test]
fn error_shows_its_line_with_a_caret() {
    let text = errors("limit: 1\nstrategy: partal\n").to_string();
    let expected = "error: the text `partal` is not allowed here\n  --> sample.yaml:2:11 (`plugins[0].config.strategy`)\n  |\n2 | strategy: partal\n  |           ^^^^^^\n  help: did you mean `partial`? allowed: `redact`, `partial`, `hash`";
    assert_eq!(text, expected);
    assert!(errors("limit: x").render(true).contains("\u{1b}["));
}

#[test]
fn error_serialises_for_programs() {
    let json = serde_json::to_value(errors("strategy: partal\n")).expect("JSON");
    assert_eq!(json[0]["line"], 1);
    assert_eq!(json[0]["column"], 11);
    assert_eq!(json[0]["kind"], "invalid_value");
    assert_eq!(json[0]["file"], "sample.yaml");
}
