//! Each kit's own tests, by its language's own means.

use std::process::Command;

use crate::programs::{python, root, toolchain};

fn passes(command: &mut Command) {
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn tests_of_the_go_kit_pass() {
    passes(Command::new(toolchain()).args(["test", "./..."]).current_dir(root().join("sdks/go")));
}

#[test]
fn generated_code_of_the_kits_is_of_the_contract() {
    let folder = root().join("sdks/go/generate");
    passes(Command::new(toolchain()).args(["test", "./..."]).current_dir(folder));
}

#[test]
fn examples_in_go_are_free_of_what_vet_finds() {
    passes(Command::new(toolchain()).args(["vet", "./..."]).current_dir(root().join("examples/plugins")));
}

#[test]
fn tests_of_the_python_kit_pass() {
    passes(Command::new(python()).args(["-m", "pytest", "-q"]).current_dir(root().join("sdks/python")));
}
