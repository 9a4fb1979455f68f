//! Throughput of the PII scanner: `cargo bench -p mortise-builtins --bench pii`.
#![expect(clippy::print_stdout, reason = "the numbers are what a benchmark is for")]

use std::{hint::black_box, time::Instant};

use mortise_builtins::pii_filter::{category::Categories, scanner::Scanner};

const SIZE: usize = 1 << 20;

fn main() -> Result<(), mortise_builtins::PatternError> {
    let scanner = Scanner::new(Categories::ALL, &[], &[])?;
    for (name, text) in [
        ("clean prose", repeat(PROSE)),
        ("JSON of strings", repeat(JSON)),
        ("JSON full of digits", digits()),
        ("dense with personal data", repeat(DENSE)),
    ] {
        let found = scanner.find(&text, "").len();
        let best = (0..20)
            .map(|_| {
                let start = Instant::now();
                black_box(scanner.find(black_box(&text), ""));
                start.elapsed().as_secs_f64()
            })
            .fold(f64::INFINITY, f64::min);
        println!("{name:<26} {:>8.0} MB/s  {found:>6} found", text.len() as f64 / best / 1e6);
    }
    Ok(())
}

fn repeat(text: &str) -> String {
    text.repeat(SIZE / text.len() + 1)
}

/// Rows as a metrics API or a database answers them: ids, timestamps, floats, few words.
fn digits() -> String {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut out = String::with_capacity(SIZE + 256);
    out.push('[');
    while out.len() < SIZE {
        let (id, value, share) = (next() % 1_000_000_000, next() % 100_000, next() % 10_000_000_000);
        let row = format!(
            r#"{{"id":{id},"ts":{},"value":{value},"share":0.{share},"at":"2026-11-{:02}T{:02}:{:02}:00Z","v":[{},{},{}]}},"#,
            1_763_000_000_000 + next() % 1_000_000_000,
            next() % 30 + 1,
            next() % 24,
            next() % 60,
            next() % 100,
            next() % 1000,
            next() % 100_000,
        );
        out.push_str(&row);
    }
    out
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
