//! Steps that stand one after another, and which of them a call can concern.
//!
//! With few steps each is asked whether it wants the call. In a configuration of many teams most steps name the tool,
//! the tenant or the place they are for, and a call is for one of each: a row with many such steps keeps them under
//! those words, so that what a call costs goes by the plugins it concerns and not by those there are.
//!
//! The words only find who *may* want a call; whether it does is decided by scope and conditions as ever, and a step
//! with a pattern, or without a word, is always asked.

use std::{collections::HashMap, ops::Deref, ops::Range};

use mortise_plugin_api::{Payload, Revision};
use smallvec::SmallVec;

use super::{chain::Step, run::Run, scope};

/// From so many steps that can be found by a word, they are.
const MANY: usize = 24;

/// Steps in the order they run.
#[derive(Debug, Default)]
pub(crate) struct Row {
    steps: Vec<Step>,
    index: Option<Box<Index>>,
}

/// What a word of a scope or a condition is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Field {
    /// What is called: exposed name, name at the upstream, `upstream-name`.
    Subject,
    /// The virtual server or the upstream.
    Place,
    /// The tenant of the caller.
    Tenant,
    /// The app of the caller.
    App,
    /// The LLM that is asked.
    Llm,
}

/// One of a step's words: it does not want a call that has none of them.
pub(crate) type Key = (Field, Box<str>);

/// Positions of steps, in order.
type Positions = SmallVec<[u32; 24]>;

#[derive(Debug)]
struct Index {
    /// Those to ask at every call.
    always: Vec<u32>,
    /// Those to ask where the call has the word.
    keyed: [HashMap<Box<str>, Vec<u32>>; 5],
    /// Position by place, sorted by place.
    places: Vec<(u32, u32)>,
}

/// Positions of the steps of a row that may want a call, in order.
pub(crate) enum Wanted {
    All(Range<u32>),
    Some(smallvec::IntoIter<[u32; 24]>),
}

impl Row {
    pub(crate) fn new(steps: Vec<Step>) -> Self {
        let index = Index::of(&steps).map(Box::new);
        Self { steps, index }
    }

    /// Who may want the call as it now is.
    #[inline]
    pub(crate) fn wanted(&self, run: &Run<'_>, payload: &Revision) -> Wanted {
        match &self.index {
            None => Wanted::All(0..self.steps.len() as u32),
            Some(index) => Wanted::Some(index.find(run, payload.payload()).into_iter()),
        }
    }

    /// The steps that may want the call.
    pub(crate) fn candidates(&self, run: &Run<'_>, payload: &Revision) -> impl Iterator<Item = &Step> {
        self.wanted(run, payload).filter_map(|at| self.steps.get(at as usize))
    }
}

impl Deref for Row {
    type Target = [Step];

    fn deref(&self) -> &[Step] {
        &self.steps
    }
}

impl<'a> IntoIterator for &'a Row {
    type Item = &'a Step;
    type IntoIter = std::slice::Iter<'a, Step>;

    fn into_iter(self) -> Self::IntoIter {
        self.steps.iter()
    }
}

impl Iterator for Wanted {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        match self {
            Self::All(range) => range.next(),
            Self::Some(found) => found.next(),
        }
    }
}

impl Wanted {
    /// Looks anew after the step at `done` has changed the payload: it may be about something else now.
    #[cold]
    pub(crate) fn renew(&mut self, row: &Row, run: &Run<'_>, payload: &Revision, done: u32) {
        if let (Self::Some(found), Some(index)) = (self, &row.index) {
            let mut anew = index.find(run, payload.payload());
            anew.retain(|at| *at > done);
            *found = anew.into_iter();
        }
    }
}

impl Index {
    fn of(steps: &[Step]) -> Option<Self> {
        let keys: Vec<Option<Vec<Key>>> = steps.iter().map(Step::keys).collect();
        if keys.iter().flatten().count() < MANY {
            return None;
        }
        let (mut always, mut keyed) = (Vec::new(), <[HashMap<Box<str>, Vec<u32>>; 5]>::default());
        for (keys, at) in keys.into_iter().zip(0..) {
            let Some(keys) = keys else {
                always.push(at);
                continue;
            };
            for (field, word) in keys {
                let under = keyed[field as usize].entry(word).or_default();
                if under.last() != Some(&at) {
                    under.push(at);
                }
            }
        }
        let mut places: Vec<_> = steps.iter().zip(0..).map(|(step, at)| (step.place, at)).collect();
        places.sort_unstable();
        Some(Self { always, keyed, places })
    }

    fn find(&self, run: &Run<'_>, payload: &dyn Payload) -> Positions {
        let request = run.request;
        let mut found: Positions = self.always.as_slice().into();
        let mut add = |field: Field, word: Option<&str>| {
            if let Some(under) = word.and_then(|word| self.keyed[field as usize].get(word)) {
                found.extend_from_slice(under);
            }
        };
        add(Field::Place, request.server_id.as_deref());
        add(Field::Place, request.upstream.as_deref());
        add(Field::Tenant, request.caller.tenant.as_deref());
        add(Field::App, request.caller.app.as_deref());
        add(Field::Llm, scope::llm(request, payload.subject()));
        if !self.keyed[Field::Subject as usize].is_empty() {
            let _none = scope::names(request, payload.subject(), |name| {
                add(Field::Subject, Some(name));
                false
            });
        }
        // Who ran at the hook before the event runs at this one, whatever the call has become.
        for place in run.before.iter() {
            let from = self.places.partition_point(|(known, _)| *known < place);
            found.extend(
                self.places[from..].iter().take_while(|(known, _)| *known == place).map(|(_, at)| *at),
            );
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}
