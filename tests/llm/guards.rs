//! Plugins on the way to a model and back: what they see, change and refuse, whole and in streams.

use std::sync::{Arc, Mutex};

use mortise_plugin_api::{
    Hook, Native, Needs, Part, Stream, Verdict, Violation,
    hooks::{LlmInput, LlmOutput, ToolPostInvoke, ToolPreInvoke},
};
use mortise_testkit::mcp_server::scripted::Scripted;
use mortise_tests::{eventually, text};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::{
    begin, chat_at, post, question, setup,
    vendor::{Answer, Vendor, chat, completion, delta, last, spoken},
};

const SECRET: &str = "write to ann.lee@example.com today";
const MASKED: &str = "write to [REDACTED] today";

fn pii() -> serde_json::Value {
    json!({
        "name": "pii", "kind": "builtin.pii_filter",
        "hooks": ["tool_pre_invoke", "tool_post_invoke", "prompt_pre_fetch", "llm_input", "llm_output"],
        "config": { "detect_email": true, "default_mask_strategy": "redact", "redaction_text": "[REDACTED]" },
    })
}

#[tokio::test]
async fn one_filter_masks_tool_arguments_tool_results_prompts_and_streams() {
    let docs = Scripted::start().await.unwrap();
    let vendor = Vendor::start([chat("fine")]).await;
    let stand = setup(&vendor, json!({})).upstream("docs", &docs).entry(pii()).start().await;

    let called = stand.client().call("echo", json!({ "text": SECRET })).await;
    assert!(!text(&called).contains("ann.lee") && text(&called).contains("[REDACTED]"), "{called}");

    let answer = post(&chat_at(&stand), &question(SECRET, false)).await;
    assert_eq!(answer.json(), completion("fine"));
    assert_eq!(vendor.last().json()["messages"][0]["content"], MASKED);

    vendor.answers([chat(SECRET)]);
    let answer = post(&chat_at(&stand), &question("hi", false)).await;
    assert_eq!(answer.json(), completion(MASKED));

    for at in 0..=SECRET.len() {
        let (one, two) = SECRET.split_at(at);
        vendor.answers([Answer::Stream(vec![delta(one), delta(two), last()])]);
        let answer = post(&chat_at(&stand), &question("hi", true)).await;
        assert_eq!(spoken(&answer.text()), MASKED, "cut at {at}: {}", answer.text());
        assert!(answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
    }
}

#[tokio::test]
async fn what_was_masked_is_not_said_once_more_by_the_probabilities_of_its_tokens() {
    let mut said = completion(SECRET);
    said["choices"][0]["logprobs"] =
        json!({ "content": [{ "token": "ann.lee@example.com", "logprob": -0.1 }] });
    let vendor = Vendor::start([Answer::Json(200, said)]).await;
    let stand = setup(&vendor, json!({})).entry(pii()).start().await;
    let answer = post(&chat_at(&stand), &question("hi", false)).await;
    assert_eq!(answer.json()["choices"][0]["message"]["content"], MASKED);
    assert!(!answer.text().contains("ann.lee"), "{}", answer.text());
}

#[tokio::test]
async fn text_of_a_document_is_masked_and_what_is_binary_is_not() {
    let vendor = Vendor::start([Answer::Json(200, json!({ "type": "message", "content": [] }))]).await;
    let stand = setup(&vendor, json!({ "vendor": "anthropic" })).entry(pii()).start().await;
    let document = |kind: &str| json!({ "type": "document", "source": { "type": kind, "data": SECRET } });
    let asked = json!({ "model": "claude", "max_tokens": 9, "messages": [
        { "role": "user", "content": [document("text"), document("base64")] } ] });
    post(&stand.client().at("/llm/call/gpt/v1/messages"), &asked).await;
    let content = &vendor.last().json()["messages"][0]["content"];
    assert_eq!(
        (&content[0]["source"]["data"], &content[1]["source"]["data"]),
        (&json!(MASKED), &json!(SECRET))
    );
}

#[tokio::test]
async fn arguments_of_a_tool_are_masked_where_they_are_an_object() {
    let used =
        json!({ "type": "tool_use", "id": "t", "name": "mail", "input": { "to": ["ann.lee@example.com"] } });
    let said = json!({ "id": "m", "type": "message", "role": "assistant", "model": "claude", "content": [used.clone()] });
    let vendor = Vendor::start([Answer::Json(200, said)]).await;
    let stand = setup(&vendor, json!({ "vendor": "anthropic" })).entry(pii()).start().await;
    let asked = json!({ "model": "claude", "max_tokens": 9, "messages": [
        { "role": "user", "content": "mail her" }, { "role": "assistant", "content": [used] } ] });
    let answer = post(&stand.client().at("/llm/call/gpt/v1/messages"), &asked).await;
    assert_eq!(answer.json()["content"][0]["input"]["to"][0], "[REDACTED]");
    assert_eq!(vendor.last().json()["messages"][1]["content"][0]["input"]["to"][0], "[REDACTED]");
}

#[tokio::test]
async fn stream_is_masked_wherever_the_bytes_of_its_events_are_cut() {
    let vendor = Vendor::start([chat("")]).await;
    let stand = setup(&vendor, json!({})).entry(pii()).start().await;
    let whole = format!("{}{}{}", delta("write to ann.le"), delta("e@example.com today"), last());
    for at in (1..whole.len()).step_by(3) {
        let (one, two) = whole.split_at(at);
        vendor.answers([Answer::Stream(vec![one.to_owned(), two.to_owned()])]);
        let answer = post(&chat_at(&stand), &question("hi", true)).await;
        assert_eq!(spoken(&answer.text()), MASKED, "cut at {at}: {}", answer.text());
    }
}

#[tokio::test]
async fn arguments_of_a_streamed_tool_call_are_masked_and_stay_json() {
    let vendor = Vendor::start([chat("")]).await;
    let redacted = json!({
        "name": "pii", "kind": "builtin.pii_filter",
        "hooks": ["tool_pre_invoke", "tool_post_invoke", "prompt_pre_fetch", "llm_input", "llm_output"],
        "config": { "detect_email": true, "default_mask_strategy": "redact", "redaction_text": "\"hidden\"" },
    });
    let stand = setup(&vendor, json!({})).entry(redacted).start().await;
    let call = |arguments: &str| {
        let chunk = json!({ "id": "c1", "choices": [{ "index": 0, "delta": { "tool_calls": [
            { "index": 0, "function": { "arguments": arguments } }
        ] }, "finish_reason": null }] });
        format!("data: {chunk}\n\n")
    };
    vendor.answers([Answer::Stream(vec![call(r#"{"to":"ann.l"#), call(r#"ee@example.com"}"#), last()])]);
    let answer = post(&chat_at(&stand), &question("hi", true)).await.text();
    let data = answer.lines().filter_map(|line| line.strip_prefix("data: "));
    let chunks = data.filter_map(|data| serde_json::from_str::<serde_json::Value>(data).ok());
    let arguments: String = chunks
        .filter_map(|chunk| {
            let arguments = chunk.pointer("/choices/0/delta/tool_calls/0/function/arguments")?;
            arguments.as_str().map(str::to_owned)
        })
        .collect();
    let arguments: serde_json::Value = serde_json::from_str(&arguments).unwrap();
    assert_eq!(arguments, json!({ "to": "\"hidden\"" }));
}

#[tokio::test]
async fn text_goes_out_held_back_just_enough() {
    let gate = Arc::new(Semaphore::new(1));
    let long = "harmless words ".repeat(60);
    let vendor = Vendor::start([Answer::Gated(vec![delta(&long), last()], gate.clone())]).await;
    let stand = setup(&vendor, json!({})).entry(pii()).start().await;
    let mut answer = begin(&chat_at(&stand), &question("hi", true)).await;
    answer.wait_for("harmless words harmless words").await;
    gate.add_permits(1);
    answer.wait_for("[DONE]").await;
}

#[tokio::test]
async fn refused_prompt_never_reaches_the_vendor_and_reads_as_its_error() {
    let vendor = Vendor::start([chat("hi")]).await;
    let guard = Native::new(()).on::<LlmInput>(Needs::block(), |(), payload, _| {
        Ok(match payload.body.as_str().contains("forbidden") {
            true => Violation::new("WORD", "a word").describe("that word is not for here").into(),
            false => Verdict::Pass,
        })
    });
    let stand = setup(&vendor, json!({})).plugin("guard", guard.into_plugin()).start().await;
    let answer = post(&chat_at(&stand), &question("forbidden", false)).await;
    assert_eq!(answer.status, 400);
    let error = &answer.json()["error"];
    assert_eq!(error["code"], "WORD");
    assert_eq!(error["message"], "blocked by plugin guard: that word is not for here");
    assert!(vendor.asked().is_empty());
    assert_eq!(post(&chat_at(&stand), &question("fine", false)).await.status, 200);
}

#[tokio::test]
async fn refused_stream_ends_as_the_vendor_ends_one() {
    let vendor = Vendor::start([chat("")]).await;
    let needs = Needs::block().in_windows(9);
    let guard = Native::new(()).on_texts(&[LlmOutput::ID], needs, |(), part, verdict, _| {
        if part.text.contains("forbidden") {
            verdict.violation = Some(Violation::new("WORD", "not here"));
        }
        Ok(())
    });
    let stand = setup(&vendor, json!({})).plugin("guard", guard.into_plugin()).start().await;
    let pieces = vec![delta("all of this is fine, but forb"), delta("idden is not"), last()];
    vendor.answers([Answer::Stream(pieces)]);
    let answer = post(&chat_at(&stand), &question("hi", true)).await;
    let said = spoken(&answer.text());
    assert!(said.starts_with("all of this") && !said.contains("forbidden is"), "{said}");
    assert!(answer.text().contains(r#""finish_reason":"content_filter""#), "{}", answer.text());
    assert!(answer.text().ends_with("data: [DONE]\n\n"));

    vendor.answers([chat("a forbidden thing")]);
    let answer = post(&chat_at(&stand), &question("hi", false)).await;
    assert_eq!((answer.status, answer.json()["error"]["code"].as_str()), (400, Some("WORD")));
}

#[tokio::test]
async fn who_must_see_a_stream_whole_holds_it_and_can_change_it() {
    let vendor = Vendor::start([chat("")]).await;
    let guard = Native::new(()).on_texts(&[LlmOutput::ID], Needs::change(), |(), part, verdict, _| {
        for (at, word) in part.text.match_indices("secret") {
            verdict.edits.replace(part.id, at..at + word.len(), "house");
        }
        Ok(())
    });
    let stand = setup(&vendor, json!({})).plugin("guard", guard.into_plugin()).start().await;
    vendor.answers([Answer::Stream(vec![delta("a sec"), delta("ret and a se"), delta("cret"), last()])]);
    let answer = post(&chat_at(&stand), &question("hi", true)).await;
    assert_eq!(spoken(&answer.text()), "a house and a house");
    assert!(answer.text().ends_with("data: [DONE]\n\n"));

    let untouched = vec![delta("a sea"), last()];
    vendor.answers([Answer::Stream(untouched.clone())]);
    let answer = post(&chat_at(&stand), &question("hi", true)).await;
    assert_eq!(answer.text(), untouched.concat());
}

#[tokio::test]
async fn observer_sees_a_stream_when_it_is_over_and_delays_nothing() {
    let gate = Arc::new(Semaphore::new(1));
    let vendor = Vendor::start([Answer::Gated(vec![delta("one"), last()], gate.clone())]).await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    let needs = Needs::change().with_stream(Stream::Observe);
    let observer = Native::new(()).on::<LlmOutput>(needs, move |(), payload, cx| {
        let over = matches!(cx.call.part, Part::Complete);
        log.lock().unwrap().push((over, payload.streamed, payload.body.as_str().into_owned()));
        Ok(Verdict::Pass)
    });
    let stand = setup(&vendor, json!({})).plugin("observer", observer.into_plugin()).start().await;
    let mut answer = begin(&chat_at(&stand), &question("hi", true)).await;
    answer.wait_for("one").await;
    assert!(seen.lock().unwrap().is_empty());
    gate.add_permits(1);
    answer.wait_for("[DONE]").await;
    let seen = eventually("the observer to be told", async || seen.lock().unwrap().pop()).await;
    assert_eq!((seen.0, seen.1), (true, true));
    assert!(seen.2.contains("one"), "{}", seen.2);
}

#[tokio::test]
async fn plugin_changes_model_headers_and_body_within_what_is_allowed() {
    let vendor = Vendor::start([chat("hi")]).await;
    let change = Native::new(()).on::<LlmInput>(Needs::change(), |(), payload, _| {
        let mut changed = payload.clone();
        changed.headers.set("x-team", "red");
        changed.headers.set("authorization", "Bearer stolen");
        changed.model = Some(match payload.body.as_str().contains("big") {
            true => "o-large".to_owned(),
            false => "gpt-small".to_owned(),
        });
        Ok(Verdict::Change(changed))
    });
    let stand =
        setup(&vendor, json!({ "models": ["gpt-*"] })).plugin("change", change.into_plugin()).start().await;
    assert_eq!(post(&chat_at(&stand), &question("hi", false)).await.status, 200);
    let asked = vendor.last();
    assert_eq!(asked.json()["model"], "gpt-small");
    assert_eq!(
        (asked.header("x-team"), asked.header("authorization")),
        (Some("red"), Some("Bearer sk-vendor"))
    );
    assert_eq!(post(&chat_at(&stand), &question("big", false)).await.status, 404);
    assert_eq!(vendor.asked().len(), 1);
}

#[tokio::test]
async fn binding_to_one_llm_leaves_others_alone() {
    let vendor = Vendor::start([chat("hi")]).await;
    let mut off = pii();
    off["mode"] = "disabled".into();
    let stand = setup(&vendor, json!({}))
        .set("llms", json!({ "other": { "endpoint": vendor.url() } }))
        .entry(off)
        .set("bindings", json!([{ "plugin": "pii", "scope": { "llm": "gpt" }, "mode": "enforce" }]))
        .start()
        .await;
    post(&chat_at(&stand), &question(SECRET, false)).await;
    assert_eq!(vendor.last().json()["messages"][0]["content"], MASKED);
    post(&stand.client().at("/llm/call/other/chat/completions"), &question(SECRET, false)).await;
    assert_eq!(vendor.last().json()["messages"][0]["content"], SECRET);
}

#[tokio::test]
async fn hook_after_runs_once_however_the_call_ends() {
    let recorder = mortise_tests::Recorder::new();
    let vendor = Vendor::start([Answer::Hang]).await;
    let stand = setup(&vendor, json!({ "first_byte_timeout": 0.2 }))
        .plugin("recorder", recorder.plugin(&[LlmInput::ID, LlmOutput::ID]))
        .start()
        .await;
    let answer = post(&chat_at(&stand), &question("hi", false)).await;
    assert_eq!((answer.status, answer.json()["error"]["code"].as_str()), (504, Some("timeout")));
    assert_eq!(recorder.wait_for("llm_output", 1).await[0].end, mortise_plugin_api::End::TimedOut);

    vendor.answers([Answer::Close]);
    assert_eq!(post(&chat_at(&stand), &question("hi", false)).await.status, 502);
    assert_eq!(recorder.wait_for("llm_output", 2).await[1].end, mortise_plugin_api::End::UpstreamFailed);

    vendor.answers([Answer::Stall(vec![delta("one")])]);
    let mut waiting = begin(&chat_at(&stand), &question("hi", true)).await;
    waiting.wait_for("HTTP/1.1 200").await;
    drop(waiting);
    assert_eq!(recorder.wait_for("llm_output", 3).await[2].end, mortise_plugin_api::End::Cancelled);
    assert_eq!(recorder.at("llm_input").len(), 3);
    assert_eq!((ToolPreInvoke::NAME, ToolPostInvoke::NAME), ("tool_pre_invoke", "tool_post_invoke"));
}
