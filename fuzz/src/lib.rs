//! What each fuzz target feeds its bytes to, and what must hold of what comes out.
//!
//! No fuzzer here: these are functions of bytes that panic where something does not hold, so that the same code runs
//! under libFuzzer (`fuzz_targets/`) and, over the checked-in corpora, as a test of the workspace (`tests/fuzz/`, which
//! takes this folder in by path). Everything asserted is a promise of the code that reads: what parses is written again
//! as the same, a stream cut in pieces is the same stream, a fast path finds what the slow one finds, errors name a
//! place, and a value from a variable is seen nowhere.
//!
//! Targets of which only one input matters take it as it is. Others read a few bytes of knobs first (a limit, a length
//! of pieces, a row of a table), printable in the corpora so that these can be written by hand.

mod config;
mod content;
mod envelope;
mod json;
mod kept;
mod llm;
mod stream;
mod trace;
mod wire;

/// A target: the name of its program and its corpus, and what is done with an input.
pub struct Target {
    /// `fuzz_targets/NAME.rs` and `corpus/NAME/`.
    pub name: &'static str,
    /// Panics where something does not hold.
    pub check: fn(&[u8]),
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "config_own", check: config::own },
    Target { name: "config_plugins", check: config::plugins },
    Target { name: "manifest", check: config::manifest },
    Target { name: "envelope", check: envelope::check },
    Target { name: "sse", check: stream::sse },
    Target { name: "lines", check: stream::lines },
    Target { name: "llm_stream", check: llm::stream },
    Target { name: "llm_convert", check: llm::convert },
    Target { name: "content", check: content::scan },
    Target { name: "windows", check: content::windows },
    Target { name: "wire", check: wire::check },
    Target { name: "recording", check: kept::recording },
    Target { name: "overrides", check: kept::overrides },
    Target { name: "traceparent", check: trace::context },
];

/// Runs a target by name.
///
/// # Panics
/// Where something does not hold, and where there is no such target.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    (target.unwrap_or_else(|| panic!("no target {name}")).check)(data);
}

/// The knobs in front of an input, and the input.
fn knobs<const N: usize>(data: &[u8]) -> Option<([usize; N], &[u8])> {
    let (knobs, rest) = data.split_first_chunk::<N>()?;
    Some((knobs.map(usize::from), rest))
}
