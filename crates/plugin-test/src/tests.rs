use mortise_plugin_api::{
    Answer, Call, Context, Cx, Hook, HookId, Native, Needs, OpenHook, Reply, TextPart, Verdict, Violation,
    hooks::{HttpAuthResolveUser, TEXT_HOOKS, ToolPostInvoke, ToolPreInvoke, http::UserRecord},
    native::TextVerdict,
};
use schemars::json_schema;

use super::*;

/// Replaces its word by stars in all texts; blocks `stop`; counts calls and hands the count over.
fn stars() -> NativeKind {
    #[expect(clippy::ptr_arg, clippy::needless_pass_by_value, reason = "as a handler is called")]
    fn look(
        word: &String,
        part: TextPart<'_>,
        verdict: &mut TextVerdict,
        cx: &mut Cx<'_>,
    ) -> Result<(), PluginError> {
        if part.text[part.context..].contains("stop") {
            verdict.violation = Some(Violation::new("STOP", "it says stop"));
        }
        for (at, found) in part.text.match_indices(word.as_str()) {
            verdict.edits.replace(part.id, at..at + found.len(), "*".repeat(found.len()));
        }
        cx.metadata("looked", true);
        Ok(())
    }
    NativeKind {
        name: "stars",
        class_paths: &[],
        about: "Replaces a word",
        hooks: TEXT_HOOKS,
        config_schema: || json_schema!({ "type": "object" }),
        build: |config| match config["word"].as_str() {
            Some(word) => {
                let native = Native::new(word.to_owned());
                let native = native.on_texts(TEXT_HOOKS, Needs::change().in_windows(8), look);
                let native = native.on_hand_over(|word| Box::pin(async { Some(word.clone().into()) }));
                Ok(native.on_start(|_, init| Box::pin(async move { begun(&init) })).into_plugin())
            }
            None => Err(BuildError::new("word", "is missing")),
        },
    }
}

fn begun(init: &Init) -> Result<(), PluginError> {
    let inherited = String::from_utf8_lossy(init.inherited.as_deref().unwrap_or_default()).into_owned();
    init.host.log(mortise_plugin_api::host::LogLevel::Info, "begun", &[("after", &inherited)]);
    Ok(())
}

fn harness() -> Harness {
    Harness::of(stars()).config(json!({ "word": "walrus" }))
}

fn made<P: Send + Sync + 'static>(native: Native<P>) -> Harness {
    Harness::of_plugin(native.into_plugin())
}

#[tokio::test]
async fn each_kind_of_decision_is_told_apart() {
    let stars = harness();
    stars.tool_pre("t", json!({ "a": "a fish" })).await.assert_passed();
    stars.tool_text("t", "please stop").await.assert_blocked("STOP");
    let changed = stars.tool_pre("t", json!({ "a": "a walrus", "n": 1 })).await;
    changed.assert_changed(&json!({ "name": "t", "args": { "a": "a ******", "n": 1 } }));
    changed.assert_texts(["a ******"]);
    assert_eq!(changed.metadata()["looked"], true);
    stars.prompt_post("p", json!({ "description": "walrus" })).await.assert_texts(["******"]);
    stars.resource_post("file:///a", "walrus").await.assert_texts(["******"]);
}

#[tokio::test]
#[should_panic = "it blocks with OTHER, but at tool_post_invoke it blocked with STOP: it says stop"]
async fn a_wrong_expectation_says_what_it_was_instead() {
    harness().tool_text("t", "stop").await.assert_blocked("OTHER");
}

#[tokio::test]
#[should_panic = "the plugin does not run at http_pre_request, but at: tool_pre_invoke, tool_post_invoke"]
async fn a_hook_that_the_plugin_does_not_have_is_no_silent_pass() {
    harness().at("http_pre_request", json!({ "path": "/", "method": "GET" })).await.assert_passed();
}

#[tokio::test]
#[should_panic = "the call goes on, but at tool_post_invoke it blocked with STOP"]
async fn texts_of_a_blocked_call_are_not_compared() {
    harness().tool_text("t", "stop").await.assert_texts(["stop"]);
}

#[test]
fn a_refused_configuration_names_its_field() {
    let error = Harness::of(stars()).assert_config_refused("word");
    assert_eq!(error.message, "is missing");
}

#[tokio::test]
async fn what_nobody_changes_keeps_its_bytes() {
    let text = r#"{"name":"t","args":{ "a" : "walrus", "n":123456789012345678901234567890 }}"#;
    let decision = harness().at("tool_pre_invoke", text).await;
    assert_eq!(decision.payload_text(), text.replace("walrus", "******"));
}

#[tokio::test]
async fn a_stream_is_shown_as_the_plugin_wants_it() {
    let stars = harness();
    stars.llm_stream(["the wal", "rus is", " a walrus"]).await.assert_text("the ****** is a ******");
    stars.llm_stream_in_any_pieces("walruses and a walrus, é walrus").await;
    let cut = stars.llm_stream(["a walrus in a long text, ", "st", "op"]).await;
    cut.assert_blocked("STOP");
    assert!(cut.text.starts_with("a ****** in"), "{cut:?}");

    let whole = Native::new(()).on_texts(TEXT_HOOKS, Needs::change(), |(), part, verdict, _| {
        verdict.edits.replace_all(part.id, part.text.len(), format!("[{}]", part.text));
        Ok(())
    });
    made(whole).llm_stream(["a", "b"]).await.assert_text("[ab]");
    made(Native::new(())).llm_stream(["a", "b"]).await.assert_text("ab");
}

#[tokio::test]
async fn a_request_keeps_what_the_plugin_keeps_and_calls_of_the_harness_do_not() {
    let counts = Native::new(())
        .on::<ToolPreInvoke>(Needs::observe(), |(), _, cx| {
            *cx.context.native::<u32>() += 1;
            cx.context.set_shared("seen", true);
            Ok(Verdict::Pass)
        })
        .on::<ToolPostInvoke>(Needs::block(), |(), _, cx| {
            let (user, count) = (cx.request().caller.user.clone(), *cx.context.native::<u32>());
            Ok(Violation::new(format!("{}{count}", user.as_deref().unwrap_or("-")), "counted").into())
        });
    let harness = made(counts);
    let mut request = harness.request().user("ann");
    request.tool_pre("t", json!({})).await.assert_passed();
    request.tool_pre("t", json!({})).await.assert_passed();
    request.tool_text("t", "x").await.assert_blocked("ann2");
    assert_eq!(request.shared().state["seen"], true);
    harness.tool_text("t", "x").await.assert_blocked("-0");
}

#[tokio::test]
async fn answers_and_headers_are_what_the_hook_takes() {
    let answers = Native::new(())
        .on::<HttpAuthResolveUser>(Needs::change(), |(), _, _| Ok(Verdict::Change(UserRecord::default())))
        .on::<ToolPostInvoke>(Needs::change(), |(), result, _| {
            let mut other = result.clone();
            other.name = "other".to_owned();
            Ok(Verdict::Change(other))
        });
    let harness = made(answers);
    let who = harness.at("auth_pre_check", json!({})).await;
    assert_eq!(who.assert_answered::<UserRecord>(), &UserRecord::default());
    let renamed = harness.tool_text("t", "x").await;
    renamed.assert_passed();
    assert_eq!(renamed.refused(), ["name"]);
}

/// Never answers.
struct Silent;

impl Plugin for Silent {
    fn needs(&self, hook: HookId) -> Option<Needs> {
        (hook == ToolPreInvoke::ID).then(Needs::change)
    }

    fn call<'a>(&'a self, _: Call<'a>, _: Context<'a>) -> Answer<'a> {
        Answer::Later(Box::pin(std::future::pending()))
    }
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_a_timeout() {
    let hangs = Harness::of_plugin(Arc::new(Silent)).patience(Duration::from_millis(20));
    hangs.tool_pre("t", json!({})).await.assert_failed("timeout");
    let fails = Native::new(()).on_each(&[ToolPreInvoke::ID], Needs::change(), |(), _, _| {
        Err(PluginError::failed("it always fails"))
    });
    made(fails).tool_pre("t", json!({})).await.assert_failed("error");
}

#[tokio::test]
async fn a_successor_gets_what_was_handed_over_and_the_clock_goes_on() {
    let first = harness();
    first.start().await.unwrap();
    let second = first.succeeded_by(json!({ "word": "seal" })).await;
    first.stop().await;
    second.tool_text("t", "a seal").await.assert_texts(["a ****"]);
    assert_eq!(second.log(), ["begun after=", "begun after=walrus"]);
}

#[tokio::test]
async fn the_clock_moves_when_the_test_says_so() {
    let late = Native::new(()).on_each(&[ToolPreInvoke::ID], Needs::observe(), |(), _, cx| {
        cx.metadata(
            "at",
            cx.host().now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs(),
        );
        Ok(Reply::pass())
    });
    let harness = made(late);
    let before = harness.tool_pre("t", json!({})).await.metadata()["at"].as_u64().unwrap();
    harness.advance(Duration::from_secs(60));
    let after = harness.tool_pre("t", json!({})).await.metadata()["at"].as_u64().unwrap();
    assert_eq!((before % 3600, after - before), (0, 60));
}

#[tokio::test]
async fn a_hook_of_the_program_is_called_by_name() {
    let mut table = HookTable::standard();
    let may = mortise_plugin_api::May { block: true, change: true };
    let (moment, schema) = (mortise_plugin_api::Moment::Before, true.into());
    let hook = OpenHook { name: "door_pre_open".into(), about: "A door.".into(), moment, may, schema };
    let id = table.register(hook).unwrap();
    let keeper = Native::new(()).on_each(&[id], Needs::block(), |(), _, _| {
        Ok(Verdict::<()>::from(Violation::new("SHUT", "it is shut")).into())
    });
    made(keeper).hooks(table).at("door_pre_open", json!({ "door": 1 })).await.assert_blocked("SHUT");
}
