use mortise_plugin_api::{
    Json,
    hooks::{resource::ResourcePostFetchPayload, tool::ToolPreInvokePayload},
};
use serde_json::json;

use super::*;

fn tool(name: &str) -> ToolPreInvokePayload {
    ToolPreInvokePayload { name: name.into(), args: Json::object(), headers: None }
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}

fn matches(condition: Condition, request: &Request, payload: &dyn Payload) -> bool {
    Conditions::compile(&[condition], Family::Tool, false).match_call(request, payload)
}

#[test]
fn a_word_matches_as_itself_as_glob_and_as_anchored_regex() {
    for (word, name, expected) in [
        ("file_read", "file_read", true),
        ("file_read", "file_reader", false),
        ("file_*", "file_read", true),
        ("file_*", "a_file_read", false),
        ("file_.*", "file_read", true),
        ("(read|write)", "write", true),
        ("(read|write)", "rewrite", false),
        ("db?", "db1", true),
        ("[ab]c", "bc", true),
        ("[!ab]c", "xc", true),
        ("a+(", "a+(", true),
        ("File", "file", false),
    ] {
        let condition = Condition { tools: words(&[word]), ..Condition::default() };
        assert_eq!(matches(condition, &Request::new("r"), &tool(name)), expected, "{word} against {name}");
    }
}

#[test]
fn stars_cross_slashes_in_resource_patterns() {
    let condition = Condition { resources: words(&["https://api.example.com/*"]), ..Condition::default() };
    let conditions = Conditions::compile(&[condition], Family::Resource, false);
    let read = |uri: &str| ResourcePostFetchPayload { uri: uri.into(), content: Json::null() };
    assert!(conditions.match_call(&Request::new("r"), &read("https://api.example.com/v1/a/b")));
    assert!(!conditions.match_call(&Request::new("r"), &read("https://evil.example.com/v1")));
}

#[test]
fn fields_are_anded_and_objects_ored() {
    let mut request = Request::new("r");
    let mut caller = mortise_plugin_api::Caller { tenant: Some("acme".into()), ..Default::default() };
    caller.user = Some("admin_ann@acme.com".into());
    request.caller = caller.into();
    request.server_id = Some("support".into());
    request.upstream = Some("docs".into());
    let both = |tenant: &str, tool: &str| Condition {
        tenant_ids: words(&[tenant]),
        tools: words(&[tool]),
        ..Condition::default()
    };
    let run =
        |list: &[Condition]| Conditions::compile(list, Family::Tool, false).match_call(&request, &tool("t"));
    assert!(run(&[both("acme", "t")]));
    assert!(!run(&[both("acme", "other")]));
    assert!(!run(&[both("other", "t")]));
    assert!(run(&[both("other", "t"), both("acme", "t")]));
    assert!(run(&[]), "no conditions match everything");
    assert!(run(&[Condition::default()]), "empty lists are absent");
    for server in ["support", "docs"] {
        assert!(run(&[Condition { server_ids: words(&[server]), ..Condition::default() }]), "{server}");
    }
    for pattern in ["admin_.*", "admin_*", ".*@acme.com", "ann", "@acme"] {
        assert!(run(&[Condition { user_patterns: words(&[pattern]), ..Condition::default() }]), "{pattern}");
    }
    assert!(!run(&[Condition { user_patterns: words(&["bob"]), ..Condition::default() }]));
}

#[test]
fn a_value_the_call_does_not_have_never_matches() {
    let request = Request::new("r");
    for condition in [
        Condition { tenant_ids: words(&["*"]), ..Condition::default() },
        Condition { server_ids: words(&["*"]), ..Condition::default() },
        Condition { user_patterns: words(&[".*"]), ..Condition::default() },
        Condition { content_types: words(&["text/plain"]), ..Condition::default() },
    ] {
        assert!(!matches(condition.clone(), &request, &tool("t")), "{condition:?}");
    }
}

#[test]
fn fields_of_other_families_are_ignored() {
    let condition = Condition { prompts: words(&["only-this"]), ..Condition::default() };
    assert!(matches(condition, &Request::new("r"), &tool("t")));
}

#[test]
fn tools_match_by_exposed_original_and_qualified_name() {
    let mut request = Request::new("r");
    request.upstream = Some("docs".into());
    request.original_name = Some("search".into());
    for name in ["docs_search_exposed", "search", "docs-search", "docs-*"] {
        let condition = Condition { tools: words(&[name]), ..Condition::default() };
        assert!(matches(condition, &request, &tool("docs_search_exposed")), "{name}");
    }
}

#[test]
fn content_types_look_at_request_and_content_without_parameters() {
    let mut request = Request::new("r");
    let listed = Condition { content_types: words(&["Text/HTML"]), ..Condition::default() };
    let conditions = Conditions::compile(&[listed], Family::Resource, false);
    let html = ResourcePostFetchPayload {
        uri: "u".into(),
        content: Json::from(json!({"type": "resource", "mime_type": "text/html; charset=utf-8"})),
    };
    assert!(conditions.match_call(&request, &html));
    request.content_type = Some("TEXT/html;q=1".into());
    let plain = ResourcePostFetchPayload { uri: "u".into(), content: Json::null() };
    assert!(conditions.match_call(&request, &plain));
}

#[test]
fn exact_matching_takes_words_literally() {
    let condition =
        Condition { tools: words(&["file_*"]), user_patterns: Vec::new(), ..Condition::default() };
    let conditions = Conditions::compile(&[condition], Family::Tool, true);
    assert!(!conditions.match_call(&Request::new("r"), &tool("file_read")));
    assert!(conditions.match_call(&Request::new("r"), &tool("file_*")));
}

#[test]
fn hostile_patterns_compile_to_something_bounded() {
    let condition = Condition {
        tools: words(&["(a{1000}){1000}", "[", "\\", "(?P<x", &"*".repeat(5000)]),
        ..Condition::default()
    };
    assert!(!matches(condition.clone(), &Request::new("r"), &tool("zzz")) || condition.tools.len() == 5);
}
