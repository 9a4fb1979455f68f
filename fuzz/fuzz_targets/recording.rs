//! `recording` of `mortise_fuzz::TARGETS`, driven by libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mortise_fuzz::run("recording", data));
