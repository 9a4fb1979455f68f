//! The corpora of the fuzz targets, run through what the targets run, so that an input that once broke something, or
//! was interesting enough to keep, is tried with every change and without a fuzzer.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what a test takes for granted ends it")]

#[path = "../../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "the crate of the fuzz targets, taken in by path")]
mod targets;

use std::{
    collections::BTreeSet,
    fs,
    panic::catch_unwind,
    path::{Path, PathBuf},
};

use targets::TARGETS;

/// Places at which an input is cut short.
const CUTS: usize = 8;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz").join(name)
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let files = fs::read_dir(folder("corpus").join(target)).unwrap().map(|entry| entry.unwrap().path());
    files.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// Runs a target; a failure names the input.
fn holds(target: &'static str, path: &Path, input: &[u8]) {
    let input = input.to_vec();
    let length = input.len();
    let ran = catch_unwind(move || targets::run(target, &input));
    assert!(ran.is_ok(), "{target} fails on the first {length} bytes of {}", path.display());
}

#[test]
fn every_target_holds_on_its_corpus_and_on_what_is_left_when_it_is_cut_short() {
    for target in TARGETS {
        let inputs = corpus(target.name);
        assert!(inputs.len() > 5, "{} has a corpus", target.name);
        for (path, input) in inputs {
            holds(target.name, &path, &input);
            (1..CUTS).for_each(|cut| holds(target.name, &path, &input[..input.len() * cut / CUTS]));
        }
    }
}

#[test]
fn input_of_one_target_harms_no_other() {
    let all: Vec<_> = TARGETS.iter().flat_map(|target| corpus(target.name)).collect();
    // Configurations take milliseconds each; a part of what is foreign to them will do.
    for target in TARGETS {
        let slow = target.name.starts_with("config") || target.name == "overrides";
        let every = if slow { 7 } else { 1 };
        all.iter().step_by(every).for_each(|(path, input)| holds(target.name, path, input));
    }
}

#[test]
fn targets_corpora_and_programs_are_the_same_set() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    assert_eq!(names(&folder("corpus")), targets);
    assert_eq!(names(&folder("fuzz_targets")), targets);
    let manifest = fs::read_to_string(folder("Cargo.toml")).unwrap();
    for target in targets {
        assert!(manifest.contains(&format!("name = \"{target}\"\npath = \"fuzz_targets/{target}.rs\"")));
    }
}
