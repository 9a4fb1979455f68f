//! Programs in other languages: built once, and found where set-up has put what they need.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};

/// The project's folder.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Go, from where set-up puts it on a machine that has none.
pub(crate) fn toolchain() -> PathBuf {
    let own = root().join(".tools/go/bin/go");
    if own.exists() { own } else { PathBuf::from("go") }
}

/// Builds a Go program of a module. One at a time: each uses all cores.
pub(crate) fn go(module: &str, package: &str, to: &Path) {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut build = Command::new(toolchain());
    // Without debug information: it is read by nobody here, and writing it takes most of the time.
    build.args(["build", "-ldflags=-s -w", "-o"]).arg(to).arg(package).current_dir(root().join(module));
    let built =
        build.output().unwrap_or_else(|error| panic!("these tests need Go (scripts/setup/go.sh): {error}"));
    assert!(built.status.success(), "go build: {}", String::from_utf8_lossy(&built.stderr));
}

/// Python with the kit.
pub(crate) fn python() -> PathBuf {
    let python = root().join(".venv/sdk/bin/python");
    assert!(python.exists(), "these tests need Python with its packages: scripts/setup/python.sh sdk");
    python
}
