//! What each plugin costs a call of about a kibibyte: `cargo bench -p mortise-builtins --bench plugins`.
//!
//! A change counts with what it takes to apply it to the payload.
#![expect(clippy::print_stdout, reason = "the numbers are what a benchmark is for")]

use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use mortise_plugin_api::{
    Answer, BuildError, Call, Change, Context, End, Hook, HookId, Json, NativeKind, Part, Plugin, Reply,
    Request, Revision, Shared,
    hooks::{
        ToolPostInvoke, ToolPreInvoke,
        tool::{ToolPostInvokePayload, ToolPreInvokePayload},
    },
    host::NoHost,
};
use serde_json::{Value, json};

const RUNS: u32 = 2_000;
const BATCHES: usize = 30;

/// The configurations under which the gateway's bench runs them.
fn plan() -> [(NativeKind, Value); 5] {
    [
        (mortise_builtins::argument_normalizer::kind(), json!({})),
        (mortise_builtins::sql_sanitizer::kind(), json!({})),
        (mortise_builtins::pii_filter::kind(), json!({})),
        (
            mortise_builtins::regex_filter::kind(),
            json!({ "words": [{ "search": "lazy dogs?", "replace": "keen cat" }] }),
        ),
        (mortise_builtins::output_length_guard::kind(), json!({ "max_chars": 100_000 })),
    ]
}

fn main() -> Result<(), BuildError> {
    let words = " the quick brown fox jumps over the lazy dog while the band plays on and nobody minds";
    let found: String = words.chars().cycle().take(1000).collect();
    let clean = found.replace("lazy dog", "lazy cow");
    for (what, text) in [("nothing to change", clean), ("something to replace", found)] {
        println!("{what}:");
        let text = format!("call aaaaaaaaaa{}.", text.trim_end());
        let args = Json::assume_valid(json!({ "text": text }).to_string());
        let result = Json::assume_valid(json!({ "content": [{ "type": "text", "text": text }] }).to_string());
        let before =
            Revision::new(Box::new(ToolPreInvokePayload { name: "echo".into(), args, headers: None }));
        let after = Revision::new(Box::new(ToolPostInvokePayload { name: "echo".into(), result }));
        let mut sum = 0.0;
        for (kind, config) in plan() {
            let plugin = (kind.build)(&config)?;
            for (hook, payload) in [(ToolPreInvoke::ID, &before), (ToolPostInvoke::ID, &after)] {
                if kind.hooks.contains(&hook) {
                    let (nanos, replied) = nanos_each(&plugin, hook, payload);
                    let moment = if hook == ToolPreInvoke::ID { "pre" } else { "post" };
                    println!("{:<20} {moment:<4} {nanos:>8.0} ns  {replied}", kind.name);
                    sum += nanos;
                }
            }
        }
        println!("{:<25} {sum:>8.0} ns", "together");
    }
    Ok(())
}

/// Nanoseconds of one call, from the fastest of some batches, and what it came to.
fn nanos_each(plugin: &Arc<dyn Plugin>, hook: HookId, payload: &Arc<Revision>) -> (f64, &'static str) {
    let (request, base) = (Request::new("bench"), Shared::default());
    let deadline = Instant::now() + Duration::from_secs(600);
    let mut replied = "";
    let mut fastest = f64::INFINITY;
    for _ in 0..BATCHES {
        let started = Instant::now();
        for _ in 0..RUNS {
            let (mut own, mut patch) = (None, None);
            let call = Call {
                hook,
                payload: black_box(payload),
                part: Part::Whole,
                request: &request,
                end: End::Ok,
                deadline,
                host: &NoHost,
            };
            replied = match black_box(plugin.call(call, Context::new(&mut own, &base, &mut patch))) {
                Answer::Ready(Ok(reply)) if reply.violation.is_some() => "blocks",
                Answer::Ready(Ok(Reply { change: Some(Change::Text(edits)), .. })) => {
                    black_box(payload.payload().edited(&edits)).map_or("fails", |_| "changes")
                }
                Answer::Ready(Ok(_)) => "passes",
                Answer::Ready(Err(_)) | Answer::Later(_) => "fails",
            };
        }
        fastest = fastest.min(started.elapsed().as_nanos() as f64 / f64::from(RUNS));
    }
    (fastest, replied)
}
