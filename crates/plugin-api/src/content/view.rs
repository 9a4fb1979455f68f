//! Text parts, and the helper that gives a payload of several fields one numbering.

use std::{borrow::Cow, ops::ControlFlow};

use super::{
    edits::{EditError, Edits, TextId, apply},
    scan::{self, Select},
};
use crate::Json;

/// One piece of human-readable text of a payload.
#[derive(Debug)]
pub struct TextPart<'a> {
    /// Its number, for edits.
    pub id: TextId,
    /// The text.
    pub text: Cow<'a, str>,
    /// Name of the nearest enclosing member (the argument's name, for instance); empty where there is none.
    pub key: Cow<'a, str>,
    /// In a window of a stream: how many bytes at the start of `text` have gone out already. They are shown so that
    /// word boundaries can be told; edits there are ignored. 0 everywhere else.
    pub context: usize,
}

/// A field of a payload that carries text.
#[derive(Clone, Copy)]
pub(crate) enum Carrier<'a> {
    Json(&'a str, &'a Json, Select),
    Text(&'a str, &'a str),
}

/// A JSON field of a payload, of which `select` says what is text.
pub(crate) fn json<'a>(name: &'a str, json: &'a Json, select: Select) -> Carrier<'a> {
    Carrier::Json(name, json, select)
}

/// A text field of a payload.
pub(crate) fn text<'a>(name: &'a str, text: &'a str) -> Carrier<'a> {
    Carrier::Text(name, text)
}

/// A field after edits.
pub(crate) enum Edited {
    Same,
    Json(Json),
    Text(String),
}

/// Shows the text of several fields under one numbering.
pub(crate) fn show(carriers: &[Carrier<'_>], visit: &mut dyn FnMut(TextPart<'_>) -> ControlFlow<()>) {
    let mut base = 0;
    for carrier in carriers {
        let mut stopped = false;
        match carrier {
            Carrier::Text(key, text) => {
                let part =
                    TextPart { id: TextId(base), text: (*text).into(), key: (*key).into(), context: 0 };
                stopped = visit(part).is_break();
                base += 1;
            }
            Carrier::Json(_, json, select) => {
                let first = base;
                scan::strings_of(json, *select, |found| {
                    base = first + found.number + 1;
                    let id = TextId(first + found.number);
                    let flow = visit(TextPart { id, text: found.text, key: found.key, context: 0 });
                    stopped = flow.is_break();
                    flow
                });
            }
        }
        if stopped {
            return;
        }
    }
}

/// Applies edits to several fields under one numbering.
pub(crate) fn edit(carriers: &[Carrier<'_>], edits: &Edits) -> Result<Vec<Edited>, EditError> {
    let mut base = 0;
    let last = edits.last_text();
    let mut out = Vec::with_capacity(carriers.len());
    for carrier in carriers {
        if last.is_none_or(|last| last.0 < base) {
            out.push(Edited::Same);
            continue;
        }
        match carrier {
            Carrier::Text(_, text) => {
                let mine = edits.of(TextId(base));
                out.push(if mine.is_empty() { Edited::Same } else { Edited::Text(apply(text, mine)?) });
                base += 1;
            }
            Carrier::Json(_, json, select) => {
                let (edited, count) = scan::splice(json.text(), *select, edits, base)?;
                out.push(edited.map_or(Edited::Same, |edited| Edited::Json(Json::assume_valid(edited))));
                base += count;
            }
        }
    }
    match last {
        Some(last) if last.0 >= base => Err(EditError::NoSuchText(last.0)),
        _ => Ok(out),
    }
}

/// Where text `id` stands, with the field's name first.
pub(crate) fn path(carriers: &[Carrier<'_>], id: TextId) -> String {
    let mut base = 0;
    for carrier in carriers {
        let count = size(carrier);
        if id.0 < base + count {
            return match carrier {
                Carrier::Text(name, _) => (*name).to_owned(),
                Carrier::Json(name, json, select) => {
                    let inner = scan::path(json.text(), *select, id.0 - base);
                    let dot = if inner.is_empty() || inner.starts_with('[') { "" } else { "." };
                    format!("{name}{dot}{inner}")
                }
            };
        }
        base += count;
    }
    String::new()
}

fn size(carrier: &Carrier<'_>) -> u32 {
    match carrier {
        Carrier::Text(..) => 1,
        Carrier::Json(_, json, select) => scan::count(json.text(), *select),
    }
}
