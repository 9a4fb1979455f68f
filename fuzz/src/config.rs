//! Configuration: both files and the manifest.
//!
//! Inputs that name files and hold a path are left out: what stands elsewhere on the machine would decide then.

use std::{path::Path, sync::LazyLock};

use mortise_framework::{
    Framework, Plan,
    config::{
        Diagnostic, Environment, Errors, FileKind, Loader, Node, PluginsFile, PluginsFileOptions, Span,
        manifest::ManifestReader,
    },
    runtime::NativeRuntime,
};
use mortise_gateway::config::{Config, LoadOptions, Settled};
use mortise_plugin_api::HookTable;
use serde_json::Value;

/// What the variable `A` holds: it must be seen nowhere.
const HIDDEN: &str = "qX7-walrus-Zk3";

static HOOKS: LazyLock<HookTable> = LazyLock::new(HookTable::standard);
static FRAMEWORK: LazyLock<Framework> =
    LazyLock::new(|| Framework::builder().runtime(NativeRuntime::new(mortise_builtins::all())).build());
static MANIFESTS: LazyLock<ManifestReader<'static>> =
    LazyLock::new(|| ManifestReader::new(&HOOKS, false).unwrap());

fn environment() -> Environment {
    Environment::new([("A", HIDDEN), ("B", ""), ("N", "8")])
}

/// `mortise.yaml`: settled with everything that is checked beyond its schema, and read back from what it came to.
pub fn own(data: &[u8]) {
    if leaves_the_folder(data) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mortise.yaml");
    std::fs::write(&file, data).unwrap();
    let mut options = LoadOptions::new(folder.path(), environment());
    options.files = vec![(file.clone(), FileKind::Own)];
    match Settled::load(&options, &FRAMEWORK) {
        Ok(settled) => {
            notices_hold(data, &settled.notices);
            let read = |file: &Path| Loader::new(environment()).own_file(file).load::<Config>();
            let loaded = read(&file).unwrap_or_else(|errors| panic!("loads alone too: {errors}"));
            unseen(data, &format!("{:?}", loaded.node));
            std::fs::write(&file, written(&loaded.node)).unwrap();
            let again = read(&file).unwrap_or_else(|errors| panic!("loads again: {errors}"));
            assert_eq!(again.node.to_json(), loaded.node.to_json());
        }
        Err(errors) => errors_hold(data, &errors),
    }
}

/// A plugin file: its template, its entries, the check of their `config:`, and read back from what it came to.
pub fn plugins(data: &[u8]) {
    if leaves_the_folder(data) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yaml");
    let (env, names) = (environment(), HOOKS.names());
    let read = |data: &[u8], strict| {
        std::fs::write(&file, data).unwrap();
        let mut options = PluginsFileOptions::new(&env);
        (options.known_hooks, options.strict) = (&names, strict);
        options.limits.template_steps = 10_000;
        PluginsFile::load(std::slice::from_ref(&file), &options)
    };
    let loaded = match read(data, false) {
        Ok(loaded) => loaded,
        Err(errors) => return errors_hold(data, &errors),
    };
    notices_hold(data, &loaded.notices);
    unseen(data, &format!("{:?}", loaded.node));
    if let Err(errors) = read(data, true) {
        errors_hold(data, &errors);
    }
    let plan = Plan { entries: loaded.entries, enabled: true, ..Plan::default() };
    match FRAMEWORK.check(&plan) {
        Ok(notices) => notices_hold(data, &notices),
        Err(errors) => errors_hold(data, &errors),
    }
    let text = written(&loaded.node);
    // In what is written again these would be a template.
    if !["{{", "{%", "{#"].iter().any(|mark| text.contains(mark)) {
        let again = read(text.as_bytes(), false).unwrap_or_else(|errors| panic!("loads again: {errors}"));
        assert_eq!(again.node.to_json(), loaded.node.to_json());
    }
}

/// A manifest, and read back from what it came to.
pub fn manifest(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match MANIFESTS.parse("plugin-manifest.yaml", text) {
        Ok(parsed) => {
            notices_hold(data, &parsed.notices);
            let text = ascii(&serde_json::to_string(&parsed.manifest).unwrap());
            let again = MANIFESTS.parse("again", &text);
            let again = again.unwrap_or_else(|errors| panic!("{text} is read again: {errors}"));
            assert_eq!(again.manifest, parsed.manifest);
        }
        Err(errors) => errors_hold(data, &errors),
    }
}

/// Whether an input would have other files read than its own. Where a variable is part of a file's name, that name is
/// shown all the same: nobody could tell which file is missing otherwise.
fn leaves_the_folder(data: &[u8]) -> bool {
    let names = ["include", "plugin_dirs", "plugins_files", "file:"];
    let varies = ["{{", "{%", "${"].iter().any(|variable| holds(data, variable));
    (varies && holds(data, "include")) || (data.contains(&b'/') && names.iter().any(|name| holds(data, name)))
}

fn holds(data: &[u8], word: &str) -> bool {
    data.windows(word.len()).any(|part| part == word.as_bytes())
}

/// What is said of a file shows no variable, wherever it was printed.
fn unseen(data: &[u8], text: &str) {
    assert!(holds(data, HIDDEN) || !text.contains(HIDDEN), "a variable's value is shown: {text}");
}

fn notices_hold(data: &[u8], notices: &[Diagnostic]) {
    notices.iter().for_each(|notice| holds_up(data, notice));
}

fn errors_hold(data: &[u8], errors: &Errors) {
    assert!(!errors.list().is_empty(), "a refusal says why");
    errors.list().iter().for_each(|error| holds_up(data, error));
    unseen(data, &format!("{errors} {errors:?}"));
}

/// A place that exists, and no value of a variable.
fn holds_up(data: &[u8], found: &Diagnostic) {
    assert!(!found.message.is_empty());
    let lines = data.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count() + 1;
    if let Some(line) = found.span.as_ref().and_then(Span::line) {
        assert!((1..=lines).contains(&(line as usize)), "line {line} of {lines}: {}", found.message);
    }
    unseen(data, &(found.render("error", true) + &found.render("notice", false)));
}

/// A tree as a file that means the same.
fn written(node: &Node) -> String {
    ascii(&escaped(node.to_json()).to_string())
}

/// With what would be a reference written as a literal.
fn escaped(value: Value) -> Value {
    match value {
        Value::String(text) => text.replace("${", "$${").into(),
        Value::Array(items) => items.into_iter().map(escaped).collect(),
        Value::Object(members) => members.into_iter().map(|(key, value)| (key, escaped(value))).collect(),
        // Without a point a number with an exponent is a text in files of the foreign format.
        Value::Number(number) if number.is_f64() && !number.to_string().contains('.') => Value::Null,
        other => other,
    }
}

/// JSON as YAML takes it: characters that YAML does not print are escaped as YAML writes them.
fn ascii(json: &str) -> String {
    let escape = |c: char| match u32::from(c) {
        0x20..=0x7e => c.to_string(),
        code @ ..=0xffff => format!("\\u{code:04x}"),
        code => format!("\\U{code:08x}"),
    };
    json.chars().map(escape).collect()
}
