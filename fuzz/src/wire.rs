//! The JSON that foreign plugins are sent and answer with: payloads of every hook, contexts, results.

use std::{ops::ControlFlow, sync::LazyLock};

use mortise_plugin_api::{
    Edits, Family, Headers, HookSpec, HookTable, Payload, Violation, Wire,
    wire::{WireContext, WireResult},
};
use serde::{Serialize, de::DeserializeOwned};

use super::knobs;

static HOOKS: LazyLock<HookTable> = LazyLock::new(HookTable::standard);

/// Knobs: the hook, and the form. Then JSON.
pub fn check(data: &[u8]) {
    let Some(([hook, form], json)) = knobs::<2>(data) else { return };
    let row = &HOOKS.rows()[hook % HOOKS.rows().len()];
    let wire = if form % 2 == 0 { Wire::Json } else { Wire::JsonLegacy };
    if let Ok(payload) = row.decode(json, wire) {
        payload_holds(row, wire, &*payload);
        if let Ok(change) = row.decode_change(json, wire) {
            let applied = row.apply(&*payload, change).unwrap();
            let answered_with_itself = matches!(row.family, Family::Tool | Family::Prompt | Family::Resource);
            assert!(!answered_with_itself || applied.payload.is_none(), "an equal answer is no change");
        }
    }
    if let Ok(result) = serde_json::from_slice::<WireResult>(json) {
        let stops = !result.continue_processing;
        if let Ok(reply) = result.into_reply(row, wire) {
            assert_eq!(reply.violation.is_some(), stops, "a refusal stays one, and nothing else becomes one");
        }
    }
    comes_back::<WireContext>(json);
    comes_back::<Violation>(json);
    comes_back::<Headers>(json);
}

fn payload_holds(row: &HookSpec, wire: Wire, payload: &dyn Payload) {
    let texts = texts(payload);
    let text = payload.encode(wire).unwrap();
    let again = row.decode(&text, wire).unwrap_or_else(|error| panic!("{text:?} is read again: {error}"));
    assert_eq!(again.encode(wire).unwrap(), text);
    assert_eq!((self::texts(&*again), again.subject()), (texts.clone(), payload.subject()));
    drop((payload.size(), payload.content_type(), format!("{payload:?}")));

    let mut edits = Edits::new();
    payload.texts(&mut |part| {
        drop(payload.text_path(part.id));
        edits.replace_all(part.id, part.text.len(), "\"x\n");
        ControlFlow::Continue(())
    });
    let edited = payload.edited(&edits).unwrap();
    assert_eq!(self::texts(&*edited), vec!["\"x\n"; texts.len()]);
    let text = edited.encode(wire).unwrap();
    let again = row.decode(&text, wire).unwrap_or_else(|error| panic!("{text:?} is read again: {error}"));
    assert_eq!(self::texts(&*again), vec!["\"x\n"; texts.len()]);
}

/// The texts, after a look at how they are numbered.
fn texts(payload: &dyn Payload) -> Vec<String> {
    let mut texts = Vec::new();
    payload.texts(&mut |part| {
        assert_eq!((part.id.0 as usize, part.context), (texts.len(), 0));
        texts.push(part.text.into_owned());
        ControlFlow::Continue(())
    });
    texts
}

/// What is read is written and read again as the same.
fn comes_back<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(json: &[u8]) {
    let Ok(value) = serde_json::from_slice::<T>(json) else { return };
    let text = serde_json::to_vec(&value).unwrap();
    assert_eq!(serde_json::from_slice::<T>(&text).unwrap(), value);
}
