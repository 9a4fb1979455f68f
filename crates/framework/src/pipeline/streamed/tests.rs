//! That a stream comes out the same however it was cut, and that nobody delays it who has no say.

use std::sync::{Mutex, PoisonError};

use mortise_plugin_api::{
    Hook, HookTable, Json, Native, Needs, Payload, Plugin, Request, Violation,
    hooks::{LlmInput, LlmOutput, llm::LlmOutputPayload},
};
use proptest::prelude::*;

use super::*;
use crate::{
    background::Background,
    config::{Mode, PluginEntry},
    host::LocalHost,
    instance::Instance,
    pipeline::{Member, Pipelines, Settings, compile, context::Contexts},
    stats::PluginStats,
};

/// Replaces a word.
fn replacing(word: &'static str, with: &'static str) -> Arc<dyn Plugin> {
    let needs = Needs::change().in_windows(word.len());
    let plugin = Native::new(()).on_texts(&[LlmOutput::ID], needs, move |(), part, verdict, _| {
        for (at, _) in part.text.match_indices(word) {
            verdict.edits.replace(part.id, at..at + word.len(), with);
        }
        Ok(())
    });
    plugin.into_plugin()
}

/// Refuses a word.
fn refusing(word: &'static str) -> Arc<dyn Plugin> {
    let needs = Needs::block().in_windows(word.len());
    let plugin = Native::new(()).on_texts(&[LlmOutput::ID], needs, move |(), part, verdict, _| {
        if part.text.contains(word) {
            verdict.violation = Some(Violation::new("WORD", "a word"));
        }
        Ok(())
    });
    plugin.into_plugin()
}

async fn pipelines(plugins: Vec<(Mode, Arc<dyn Plugin>)>) -> Arc<Pipelines> {
    let mut members = Vec::new();
    for (nth, (mode, plugin)) in plugins.into_iter().enumerate() {
        let entry = PluginEntry { mode, ..PluginEntry::new(format!("p{nth}"), "test") };
        let host = Arc::new(LocalHost::new(entry.name.as_str().into()));
        let stats = Arc::new(PluginStats::default());
        let instance = Arc::new(Instance::new(Arc::new(entry), "native", false, stats, host));
        instance.start(plugin, None, std::time::Duration::from_secs(1)).await;
        members.push(Member {
            instance,
            hooks: vec![LlmOutput::ID],
            mode,
            modes: Vec::new(),
            on_error: None,
            priority: 1,
            scope: None,
            unless: Vec::new(),
        });
    }
    let table = Arc::new(HookTable::standard());
    Arc::new(compile(table, &members, Vec::new(), Settings::default(), Background::new(16)))
}

fn pair(pipelines: &Arc<Pipelines>) -> Pair {
    let substitute = |_: &dyn Payload, _| -> Box<dyn Payload> { answer("") };
    Pair::new(pipelines.clone(), LlmInput::ID, Request::new("r"), Contexts::new(), substitute)
}

fn answer(body: &str) -> Box<LlmOutputPayload> {
    Box::new(LlmOutputPayload {
        llm: "gpt".into(),
        vendor: "openai".into(),
        model: None,
        status_code: Some(200),
        headers: mortise_plugin_api::Headers::new(),
        streamed: true,
        body: Json::from(serde_json::Value::from(body)),
    })
}

async fn sent(pipelines: &Arc<Pipelines>, chunks: &[&str]) -> Result<String, Box<Blocked>> {
    let mut pair = pair(pipelines);
    let mut streamed = pair.streamed(Revision::new(answer("")));
    let (mut lane, mut out) = (Lane::default(), String::new());
    for chunk in chunks {
        out += &pair.window(&mut streamed, &mut lane, chunk, false).await?;
    }
    out += &pair.window(&mut streamed, &mut lane, "", true).await?;
    assert!(!lane.holds());
    Ok(out)
}

#[tokio::test]
async fn later_guard_sees_what_the_earlier_one_left_wherever_the_stream_was_cut() {
    let guards = pipelines(vec![
        (Mode::Enforce, replacing("secret", "house")),
        (Mode::Enforce, replacing("my house", "a roof")),
    ])
    .await;
    let text = "this is my secret, and my secret alone";
    for at in 0..=text.len() {
        let out = sent(&guards, &[&text[..at], &text[at..]]).await.unwrap();
        assert_eq!(out, "this is a roof, and a roof alone", "cut at {at}");
    }
}

#[tokio::test]
async fn refusal_ends_the_stream_before_the_text_goes_out() {
    let guards = pipelines(vec![(Mode::Enforce, refusing("secret"))]).await;
    let blocked = sent(&guards, &["all fine so far, se", "cr", "et"]).await.unwrap_err();
    assert_eq!((&*blocked.plugin, blocked.violation.code.as_str()), ("p0", "WORD"));

    let lenient = pipelines(vec![(Mode::Permissive, refusing("secret"))]).await;
    assert_eq!(sent(&lenient, &["a se", "cret"]).await.unwrap(), "a secret");
}

#[tokio::test]
async fn who_may_only_look_delays_nothing_and_is_shown_all_when_it_is_over() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    let observer = Native::new(()).on::<LlmOutput>(Needs::change(), move |(), payload, cx| {
        let part = matches!(cx.call.part, Part::Complete);
        log.lock().unwrap_or_else(PoisonError::into_inner).push((part, payload.body.as_str().into_owned()));
        Ok(Violation::new("NO", "no").into())
    });
    let observers = pipelines(vec![(Mode::Audit, observer.into_plugin())]).await;
    let mut pair = pair(&observers);
    let streamed = pair.streamed(Revision::new(answer("")));
    assert!(streamed.is_observed() && !streamed.is_held() && !streamed.has_windows());
    let outcome = pair.completed(End::Ok, Revision::new(answer("all of it"))).await;
    assert!(outcome.blocked.is_none(), "it went out long ago");
    assert_eq!(*seen.lock().unwrap(), [(true, r#""all of it""#.to_owned())]);
}

#[tokio::test]
async fn whoever_must_see_it_whole_holds_it() {
    let whole =
        Native::new(()).on::<LlmOutput>(Needs::block(), |(), _, _| Ok(mortise_plugin_api::Verdict::Pass));
    let guards =
        pipelines(vec![(Mode::Enforce, whole.into_plugin()), (Mode::Enforce, replacing("a", "b"))]).await;
    assert!(pair(&guards).streamed(Revision::new(answer(""))).is_held());
}

#[test]
fn what_an_edit_repeats_is_not_written_anew() {
    for (text, with, same) in [
        ("to: ann", "to: #", 4),
        ("ann", "#", 0),
        (r"a\tb", r"a\nb", 1),
        (r"\u00e9x", r"\u00e8x", 0),
        ("é1", "é2", 2),
        ("same", "same", 4),
    ] {
        assert_eq!(repeated(text, with), same, "{text} {with}");
    }
}

proptest! {
    #[test]
    fn any_cut_gives_the_same_text(
        text in "(secret|se|cret|my |house| |é){0,14}",
        cuts in prop::collection::vec(0usize..80, 0..10),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (cut, whole) = runtime.block_on(async {
            let guards = pipelines(vec![
                (Mode::Enforce, replacing("secret", "house")),
                (Mode::Enforce, replacing("my house", "#")),
            ])
            .await;
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| text.floor_char_boundary(cut)).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&str> = cuts.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect();
            (sent(&guards, &chunks).await.unwrap(), sent(&guards, &[&text]).await.unwrap())
        });
        prop_assert_eq!(cut, whole);
    }
}
