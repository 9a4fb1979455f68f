//! Chores of the workspace: generated files, direction of dependencies.
fn main() {}
