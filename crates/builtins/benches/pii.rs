//! Throughput of the PII scanner: `cargo bench -p mortise-builtins --bench pii`.
//!
//! Each text is measured twice: by the scanner as one text, as a tool writes JSON into its answer, and by the plugin as
//! arguments, where each string in the JSON is a text of its own. An argument narrows it down to the rows that have
//! it in their name.
#![expect(clippy::print_stdout, reason = "the numbers are what a benchmark is for")]

use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use mortise_builtins::pii_filter::{category::Categories, scanner::Scanner};
use mortise_plugin_api::{
    Answer, BuildError, Call, Context, End, Hook, Json, Part, Plugin, Request, Revision, Shared,
    hooks::{ToolPreInvoke, tool::ToolPreInvokePayload},
    host::NoHost,
};
use serde_json::json;

/// Small enough that one run is over before another program gets its turn.
const SIZE: usize = 1 << 18;

fn main() -> Result<(), BuildError> {
    let scanner = Scanner::new(Categories::ALL, &[], &[])?;
    let plugin = (mortise_builtins::pii_filter::kind().build)(&json!({}))?;
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    for (name, text) in [
        ("clean prose", repeat(PROSE)),
        ("JSON of strings", list(&repeat(JSON))),
        ("rows of a database", list(&rows(database))),
        ("measurements", list(&rows(measurements))),
        ("orders", list(&rows(orders))),
        ("dense with personal data", repeat(DENSE)),
    ] {
        let found = scanner.find(&text, "").len();
        row(&wanted, name, "one text", &text, found, || {
            black_box(scanner.find(black_box(&text), ""));
        });
        let args = if text.starts_with('[') { text.clone() } else { json!({ "text": text }).to_string() };
        let args = Json::assume_valid(args);
        let payload = Revision::new(Box::new(ToolPreInvokePayload { name: "t".into(), args, headers: None }));
        let found = edits(&plugin, &payload);
        row(&wanted, name, "arguments", &text, found, || {
            black_box(edits(&plugin, black_box(&payload)));
        });
    }
    Ok(())
}

fn row(wanted: &str, name: &str, how: &str, text: &str, found: usize, mut work: impl FnMut()) {
    if !format!("{name}, {how}").contains(wanted) {
        return;
    }
    let until = Instant::now() + Duration::from_millis(400);
    let mut best = f64::INFINITY;
    while Instant::now() < until {
        let start = Instant::now();
        work();
        best = best.min(start.elapsed().as_secs_f64());
    }
    println!("{name:<26} {how:<10} {:>8.0} MB/s  {found:>6} found", text.len() as f64 / best / 1e6);
}

/// How many replacements the plugin answers with.
fn edits(plugin: &Arc<dyn Plugin>, payload: &Arc<Revision>) -> usize {
    let (request, base, mut own, mut patch) = (Request::new("bench"), Shared::default(), None, None);
    let call = Call {
        hook: ToolPreInvoke::ID,
        payload,
        part: Part::Whole,
        request: &request,
        end: End::Ok,
        deadline: Instant::now() + Duration::from_secs(60),
        host: &NoHost,
    };
    match plugin.call(call, Context::new(&mut own, &base, &mut patch)) {
        Answer::Ready(Ok(reply)) => match reply.change {
            Some(mortise_plugin_api::Change::Text(edits)) => edits.len(),
            _ => 0,
        },
        Answer::Ready(Err(_)) | Answer::Later(_) => 0,
    }
}

fn repeat(text: &str) -> String {
    text.repeat(SIZE / text.len() + 1)
}

/// Items, each with a comma behind it, as a list.
fn list(items: &str) -> String {
    format!("[{}]", items.trim_end_matches(','))
}

fn rows(row: impl Fn(&mut dyn FnMut(u64) -> u64) -> String) -> String {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut next = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let mut out = String::with_capacity(SIZE + 256);
    while out.len() < SIZE {
        out.push_str(&row(&mut next));
        out.push(',');
    }
    out
}

/// Ids, timestamps, floats, few words; only the timestamps are strings.
fn database(next: &mut dyn FnMut(u64) -> u64) -> String {
    format!(
        r#"{{"id":{},"ts":{},"value":{},"share":0.{},"at":"2026-11-{:02}T{:02}:{:02}:00Z","v":[{},{},{}]}}"#,
        next(1_000_000_000),
        1_763_000_000_000 + next(1_000_000_000),
        next(100_000),
        next(10_000_000_000),
        next(30) + 1,
        next(24),
        next(60),
        next(100),
        next(1000),
        next(100_000),
    )
}

/// What a monitoring tool answers: nearly every value is a short string of digits.
fn measurements(next: &mut dyn FnMut(u64) -> u64) -> String {
    let from = next(1000);
    format!(
        r#"{{"at":"2026-11-{:02}T{:02}:{:02}:00Z","value":"{}.{}","range":"{from}..{}","count":{},"build":"v{}.{}.{}"}}"#,
        next(28) + 1,
        next(24),
        next(60),
        next(100),
        next(1000),
        from + 17,
        next(100_000),
        next(9),
        next(40),
        next(90),
    )
}

/// What a shop answers: prices, article numbers, numbers that are nearly cards and telephone numbers.
fn orders(next: &mut dyn FnMut(u64) -> u64) -> String {
    format!(
        r#"{{"order":"2026-{:06}","ean":"{:013}","price":"{},{:03}.{:02} EUR","line":"5{:03} {:04} {:04}","desk":"{}-{:04}","due":"{:02}/{:02}/2026","paid":{}.{:02},"trace":"{:016x}"}}"#,
        next(1_000_000),
        2_000_000_000_000 + next(999_999_999_999),
        next(9) + 1,
        next(1000),
        next(100),
        next(1000),
        next(10_000),
        next(10_000),
        next(900) + 100,
        next(10_000),
        next(28) + 1,
        next(12) + 1,
        next(1000),
        next(100),
        next(u64::MAX),
    )
}

const PROSE: &str = "The gateway stands between the agents and the tools they call, and whoever runs it wants to know \
    what goes through. Some of the text is long, some of it is short; most of it says nothing about anybody. In the \
    evening the operators read what was logged, look at the few calls that were stopped, and change a rule or two. \
    \"Nothing is lost,\" they say, \"and nothing leaks.\" It rained on Tuesday: the well-known harbour was closed, and \
    the ferry waited until the wind had turned. ";

const JSON: &str = r#"{"title":"Harbour report","author":{"name":"A. Writer","role":"editor"},"tags":["sea","wind","ferry"],"body":"The ferry waited until the wind had turned.","draft":false,"source":"https://example.com/reports/harbour"},"#;

const DENSE: &str = "Contact jane.roe@example.com or call (555) 123-4567. SSN 123-45-6789, card 4111 1111 1111 1111, \
    from 192.168.10.24 and 2001:db8::8a2e:370:7334. IBAN GB82 WEST 1234 5698 7654 32, DOB: 03/12/1980, passport no. \
    A1234567, api_key=abcd1234efgh5678ijkl. ";
