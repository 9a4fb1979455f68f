//! What a gateway has written and reads again, maybe after somebody else had it: recordings, and what was changed while
//! it ran.

use std::sync::LazyLock;

use mortise_framework::{
    Framework,
    config::{Diagnostic, Environment, FileKind, Mode},
    runtime::NativeRuntime,
};
use mortise_gateway::{
    config::{LoadOptions, Settled},
    overrides::Overrides,
    trace::recording::RecordedCall,
};
use mortise_plugin_api::{HookTable, Wire};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// What the variable `A` holds: it must be seen nowhere.
const HIDDEN: &str = "qX7-walrus-Zk3";

/// What is overridden: `a` runs, `b` does not.
const CONFIG: &str = "state_dir: state
plugins:
  - name: a
    kind: builtin.deny_list
    hooks: [tool_pre_invoke]
    config: { words: [secret] }
  - name: b
    kind: builtin.pii_filter
    hooks: [tool_post_invoke]
    mode: disabled
    priority: 20
bindings:
  - { plugin: a, scope: { tool: t }, mode: permissive }
";

static HOOKS: LazyLock<HookTable> = LazyLock::new(HookTable::standard);
static FRAMEWORK: LazyLock<Framework> =
    LazyLock::new(|| Framework::builder().runtime(NativeRuntime::new(mortise_builtins::all())).build());

/// A recording: what is read is written and read again as the same, and names the line that is not one.
pub fn recording(data: &[u8]) {
    let calls = match RecordedCall::read(data, &HOOKS) {
        Ok(calls) => calls,
        Err(error) => {
            let said = error.to_string();
            assert!(!said.is_empty() && !said.contains(char::is_control), "{said:?} is one line");
            return;
        }
    };
    let lines = calls.iter().map(|call| serde_json::to_string(call).unwrap() + "\n");
    let text: String = lines.collect();
    let again = RecordedCall::read(text.as_bytes(), &HOOKS);
    let again = again.unwrap_or_else(|error| panic!("{text} is read again: {error}"));
    assert_eq!(plain(&calls), plain(&again));
    for hook in calls.iter().flat_map(|call| &call.hooks) {
        let row = HOOKS.get(&hook.hook).unwrap();
        let payload = row.decode(&serde_json::to_vec(&hook.payload).unwrap(), Wire::Json);
        // What a replay shows plugins of it.
        if let Ok(payload) = payload {
            let text = payload.encode(Wire::Json).unwrap();
            assert!(row.decode(&text, Wire::Json).is_ok(), "{text:?} is read again");
        }
    }
}

/// `overrides.json`: laid over a configuration as it is at a start.
pub fn overrides(data: &[u8]) {
    if let Ok(read) = serde_json::from_slice::<Overrides>(data) {
        comes_back(&read);
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mortise.yaml");
    std::fs::write(&file, CONFIG).unwrap();
    std::fs::create_dir(folder.path().join("state")).unwrap();
    std::fs::write(Overrides::path(&folder.path().join("state")), data).unwrap();
    let environment = Environment::new([("A", HIDDEN)]);
    let mut options = LoadOptions::new(folder.path(), environment);
    options.files = vec![(file, FileKind::Own)];
    let seen = match Settled::load(&options, &FRAMEWORK) {
        Ok(settled) => {
            assert_eq!(
                settled.configured.entries.len(),
                settled.plan.entries.len(),
                "an override adds nothing"
            );
            let off: Vec<&str> = settled.overrides.switched_off().collect();
            let runs = |name: &str| {
                settled.plan.entries.iter().any(|entry| entry.name == name && entry.mode != Mode::Disabled)
            };
            assert!(off.iter().all(|name| !runs(name)), "what is switched off is off");
            settled.notices.iter().map(said).collect::<String>() + &format!("{:?}", settled.plan)
        }
        Err(errors) => {
            assert!(!errors.list().is_empty(), "a refusal says why");
            errors.list().iter().map(said).collect()
        }
    };
    let written = String::from_utf8_lossy(data).contains(HIDDEN);
    assert!(written || !seen.contains(HIDDEN), "a variable's value is shown: {seen}");
}

fn said(found: &Diagnostic) -> String {
    assert!(!found.message.is_empty());
    found.render("error", true)
}

fn comes_back<T: Serialize + DeserializeOwned>(value: &T) {
    let text = serde_json::to_string(value).unwrap();
    let again: T =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text} is read again: {error}"));
    assert_eq!(plain(value), plain(&again));
}

/// As a tree without fractions, which text and number make a little different of one another each time.
fn plain<T: Serialize + ?Sized>(value: &T) -> Value {
    fn without(value: Value) -> Value {
        match value {
            Value::Array(items) => items.into_iter().map(without).collect(),
            Value::Object(members) => members.into_iter().map(|(key, value)| (key, without(value))).collect(),
            Value::Number(number) if number.is_f64() => Value::Null,
            other => other,
        }
    }
    without(serde_json::to_value(value).unwrap())
}
