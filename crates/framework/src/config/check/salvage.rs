//! What can still be read of a tree with errors.
//!
//! The steps after the check would otherwise wait for a file without errors, and a file with faults of all kinds would
//! have to be corrected once per step. What does not fit is taken out, and what cannot be without it too, until the
//! rest fits. The rest is for finding more errors only: nothing ever runs with it.

use std::cmp::Reverse;

use serde::de::DeserializeOwned;

use super::flatten::{Finding, What};
use super::{Compiled, Diagnostic, Node, find, path};
use crate::config::node::{Flags, Value};
use crate::config::source::Span;
use crate::config::typed;

/// Each round can take out what needed something that the round before took out: as deep as any schema nests.
const ROUNDS: usize = 32;

/// Values that fit the schema and not their type are found one by one.
const UNTYPED: usize = 32;

/// List items that were taken out of a tree: where they were at that time.
#[derive(Debug, Clone, Default)]
pub struct Gaps(Vec<(String, usize)>);

impl Gaps {
    /// The path that a place in what is left has in what was written.
    #[must_use]
    pub fn written(&self, path: &str) -> String {
        let mut written = path.to_owned();
        for (list, gone) in self.0.iter().rev() {
            let item = written.strip_prefix(list.as_str()).and_then(|rest| rest.strip_prefix('['));
            let Some((index, rest)) = item.and_then(|item| item.split_once(']')) else { continue };
            if let Some(index) = index.parse::<usize>().ok().filter(|index| index >= gone) {
                written = format!("{}{rest}", path::with_index(list, index + 1));
            }
        }
        written
    }
}

/// What is left of a tree.
pub(in crate::config) struct Rest<T> {
    pub(in crate::config) value: T,
    pub(in crate::config) gaps: Gaps,
    /// Values that fit the schema and not their type.
    pub(in crate::config) untyped: Vec<Diagnostic>,
}

/// A tree without what is wrong with it, for finding what else is.
#[derive(Debug)]
pub struct Salvaged {
    node: Node,
    gaps: Gaps,
}

impl Salvaged {
    /// What is left of a tree when everything is gone that does not fit the schema; none when nothing fits.
    pub(in crate::config) fn new(mut node: Node, schema: Option<&Compiled>) -> Option<Self> {
        let mut gaps = Gaps::default();
        if let Some(schema) = schema {
            fit(&mut node, schema, &mut gaps)?;
        }
        Some(Self { node, gaps })
    }

    /// The tree as it is now.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        self.node.to_json()
    }

    /// Takes a value out by its dotted path: gives back where it was written, and its path there. None where there
    /// is no such value.
    pub fn take_out(&mut self, field: &str) -> Option<(Span, String)> {
        if field.is_empty() {
            return None;
        }
        let (span, written) = (self.node.at(field)?.span().clone(), self.gaps.written(field));
        let steps = path::parse(field).into_iter().map(segment).collect();
        take_out(&mut self.node, vec![steps], &mut self.gaps).then_some((span, written))
    }
}

fn segment(step: path::Step) -> String {
    match step {
        path::Step::Key(key) => key,
        path::Step::Index(index) => index.to_string(),
    }
}

/// Takes out of a tree what keeps it from being a `T`; none when that is everything.
pub(in crate::config) fn salvage<T: DeserializeOwned>(
    node: &mut Node,
    compiled: &Compiled,
) -> Option<Rest<T>> {
    let mut gaps = Gaps::default();
    let mut unset = Vec::new();
    unset_places(node, &mut Vec::new(), &mut unset);
    take_out(node, unset, &mut gaps);
    let mut untyped: Vec<Diagnostic> = Vec::new();
    for _ in 0..UNTYPED {
        fit(node, compiled, &mut gaps)?;
        match typed::deserialize(node, "") {
            Ok(value) => return Some(Rest { value, gaps, untyped }),
            Err(mut error) => {
                let place = path::parse(&error.path).into_iter().map(segment).collect();
                error.path = gaps.written(&error.path);
                untyped.push(error);
                take_out(node, vec![place], &mut gaps).then_some(())?;
            }
        }
    }
    None
}

fn fit(node: &mut Node, compiled: &Compiled, gaps: &mut Gaps) -> Option<()> {
    for _ in 0..ROUNDS {
        let findings = find(compiled, node);
        if findings.is_empty() {
            return Some(());
        }
        let places = findings.iter().flat_map(culprits).collect();
        take_out(node, places, gaps).then_some(())?;
    }
    None
}

/// What has to go for a finding to go.
fn culprits(finding: &Finding) -> Vec<Vec<String>> {
    let at: Vec<String> = path::pointer_segments(&finding.pointer).collect();
    match &finding.what {
        What::Unknown(keys) => {
            let key = |key: &String| at.iter().chain([key]).cloned().collect();
            keys.iter().map(key).collect()
        }
        _ => vec![at],
    }
}

fn unset_places(node: &Node, at: &mut Vec<String>, places: &mut Vec<Vec<String>>) {
    if node.has(Flags::UNSET) {
        places.push(at.clone());
        return;
    }
    let mut below = |segment: String, node: &Node| {
        at.push(segment);
        unset_places(node, at, places);
        at.pop();
    };
    match node.value() {
        Value::List(items) => {
            items.iter().enumerate().for_each(|(index, item)| below(index.to_string(), item));
        }
        Value::Map(map) => map.iter().for_each(|(key, entry)| below(key.clone(), &entry.node)),
        _ => {}
    }
}

/// Whether anything was there to be taken out.
fn take_out(root: &mut Node, mut places: Vec<Vec<String>>, gaps: &mut Gaps) -> bool {
    // From the end, so that positions in lists stay what they are until it is their turn.
    places.sort_by_cached_key(|place| {
        Reverse(place.iter().map(|s| (s.parse::<usize>().ok(), s.clone())).collect::<Vec<_>>())
    });
    places.dedup();
    let mut any = false;
    for place in places {
        let Some((last, parents)) = place.split_last() else { continue };
        let escaped = parents.iter().map(|segment| segment.replace('~', "~0").replace('/', "~1"));
        let pointer: String = escaped.flat_map(|segment| ["/".to_owned(), segment]).collect();
        let (_, dotted, _) = root.locate(&pointer);
        any |= root.pointer_mut(&pointer).is_some_and(|parent| remove(parent, last, dotted, gaps));
    }
    any
}

fn remove(parent: &mut Node, segment: &str, list: String, gaps: &mut Gaps) -> bool {
    match parent.value_mut() {
        Value::Map(map) => map.shift_remove(segment).is_some(),
        Value::List(items) => match segment.parse::<usize>() {
            Ok(index) if index < items.len() => {
                items.remove(index);
                gaps.0.push((list, index));
                true
            }
            _ => false,
        },
        _ => false,
    }
}
