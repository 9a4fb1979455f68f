//! The worker's program, embedded: what is sent to an interpreter to make a worker of it.

use crate::frame;

/// What the interpreter is given to run; it fetches the rest.
pub(crate) const BOOT: &str = include_str!("../worker/boot.py");

/// Modules of the package `mortise_worker`, by name.
const MODULES: [(&str, &str); 13] = [
    ("mortise_worker", include_str!("../worker/mortise_worker/__init__.py")),
    ("mortise_worker.debugger", include_str!("../worker/mortise_worker/debugger.py")),
    ("mortise_worker.families", include_str!("../worker/mortise_worker/families.py")),
    ("mortise_worker.framework", include_str!("../worker/mortise_worker/framework.py")),
    ("mortise_worker.limits", include_str!("../worker/mortise_worker/limits.py")),
    ("mortise_worker.link", include_str!("../worker/mortise_worker/link.py")),
    ("mortise_worker.loading", include_str!("../worker/mortise_worker/loading.py")),
    ("mortise_worker.main", include_str!("../worker/mortise_worker/main.py")),
    ("mortise_worker.model", include_str!("../worker/mortise_worker/model.py")),
    ("mortise_worker.output", include_str!("../worker/mortise_worker/output.py")),
    ("mortise_worker.plain", include_str!("../worker/mortise_worker/plain.py")),
    ("mortise_worker.seats", include_str!("../worker/mortise_worker/seats.py")),
    ("mortise_worker.shim", include_str!("../worker/mortise_worker/shim.py")),
];

/// The modules as the first frame to a worker.
pub(crate) fn modules() -> Vec<u8> {
    let modules: serde_json::Map<_, _> =
        MODULES.iter().map(|(name, source)| ((*name).to_owned(), (*source).into())).collect();
    frame::whole(serde_json::Value::Object(modules).to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_module_of_the_worker_is_embedded() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/worker/mortise_worker");
        let found = std::fs::read_dir(folder).unwrap().filter_map(Result::ok);
        let found = found.filter(|file| file.path().extension().is_some_and(|kind| kind == "py")).count();
        assert_eq!(found, MODULES.len(), "a module in {folder} has no row here");
    }
}
