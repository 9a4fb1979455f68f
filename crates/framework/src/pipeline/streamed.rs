//! The hook after an event whose answer comes as a stream.
//!
//! How a plugin takes streams is its own word ([`Stream`]); its mode can only make it less: one that may neither block
//! nor change is shown a stream when it is over, and delays nothing. What is left decides what the surface has to do:
//! let everything pass, lead texts through [windows](mortise_plugin_api::content::window) before they go out, or hold
//! the stream until it is whole.
//!
//! Each plugin has windows of its own, one behind the other: what the first lets out is what the second is shown, so
//! that a later guard sees what the client will. The price is that their longest matches add up.

use std::{sync::Arc, time::Instant};

use mortise_plugin_api::{
    Answer, Change, Edits, Effect, End, Outcome as CallOutcome, Part, PluginError, Revision, Stream,
    content::window::Windows,
};

use super::{
    budget::Budget,
    chain::{Chain, Step},
    context::Slots,
    outcome::{Blocked, Execution, Outcome, Status},
    pair::{Keep, Pair},
    policy::Group,
    ran::Ran,
    run::Run,
};

/// Windows at which something happened that are noted of one stream, for explanations.
const NOTED: u32 = 8;

/// What a stream has to go through.
pub struct Streamed {
    /// What is known of the answer before its text: status, headers.
    head: Arc<Revision>,
    /// Those that take windows: position among the steps that are waited for, and their longest match.
    guards: Vec<(usize, usize)>,
    whole: bool,
    observed: bool,
    noted: u32,
}

/// One text of a stream (one choice's content, one tool call's arguments) on its way out.
#[derive(Debug, Default)]
pub struct Lane {
    windows: Vec<Windows>,
    /// How a replacement is written where the text is one of a format of its own.
    write: Option<fn(&str) -> String>,
}

impl Streamed {
    /// Whether somebody must see the stream whole before any of it goes out. Then it is held, and goes to
    /// [`Pair::after`] as one answer.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.whole
    }

    /// Whether texts have to go through [`Pair::window`] before they go out.
    #[must_use]
    pub fn has_windows(&self) -> bool {
        !self.guards.is_empty()
    }

    /// Whether somebody wants to see all of it when it is over; see [`Pair::completed`].
    #[must_use]
    pub fn is_observed(&self) -> bool {
        self.observed
    }
}

impl std::fmt::Debug for Streamed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Streamed")
            .field("windows", &self.guards.len())
            .field("held", &self.whole)
            .field("observed", &self.observed)
            .finish_non_exhaustive()
    }
}

impl Lane {
    /// A text in which replacements have to be written in a way of its own, such as escaped.
    #[must_use]
    pub fn written(write: fn(&str) -> String) -> Self {
        Self { windows: Vec::new(), write: Some(write) }
    }

    /// Whether text is held back.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.windows.iter().any(|windows| windows.held() > 0)
    }

    /// The edits of the window of plugin `nth`, in the text's own writing. What an edit repeats of the text at its start
    /// is written that way already.
    fn edits(&self, nth: usize, edits: Edits) -> Edits {
        let Some(write) = self.write else { return edits };
        let (text, _) = self.windows[nth].view();
        let mut written = Edits::new();
        for edit in edits.iter() {
            let (same, new) =
                edit.with.split_at(repeated(text.get(edit.range.clone()).unwrap_or_default(), &edit.with));
            written.replace(edit.text, edit.range.clone(), format!("{same}{}", write(new)));
        }
        written
    }
}

/// How many bytes at the start of `with` are those of `text`; not so many that a sequence such as `\u00e9` could be cut.
fn repeated(text: &str, with: &str) -> usize {
    const LONGEST_SEQUENCE: usize = 6;
    let same = text.bytes().zip(with.bytes()).take_while(|(one, other)| one == other).count();
    let same = with.floor_char_boundary(same);
    let near = with.floor_char_boundary(same.saturating_sub(LONGEST_SEQUENCE));
    with[near..same].find('\\').map_or(same, |at| near + at)
}

impl Step {
    /// How it takes a stream under its mode. One that is not running stands in the way of the first text: its mode says
    /// what that means.
    pub(super) fn stream(&self) -> Stream {
        let Some(needs) = self.needs else { return Stream::Window { longest_match: 1 } };
        let silent = self.policy.group == Group::Background
            || !(self.policy.blocks || self.policy.changes)
            || needs.effect == Effect::Observe;
        match needs.stream {
            Stream::Skip => Stream::Skip,
            _ if silent => Stream::Observe,
            stream => stream,
        }
    }
}

impl<P: Keep> Pair<P> {
    /// What an answer has to go through that comes as a stream and begins with this head.
    pub fn streamed(&self, head: Arc<Revision>) -> Streamed {
        let mut streamed = Streamed { head, guards: Vec::new(), whole: false, observed: false, noted: 0 };
        let Some(chain) = self.pipelines.chain(self.after).filter(|_| self.has_after()) else {
            return streamed;
        };
        let run = self.run(&self.ran, End::Ok, Part::Whole);
        for (at, step) in chain.foreground().enumerate() {
            if !run.wants(step, &streamed.head) {
                continue;
            }
            match step.stream() {
                Stream::Skip => {}
                Stream::Observe => streamed.observed = true,
                Stream::Complete => streamed.whole = true,
                Stream::Window { longest_match } => streamed.guards.push((at, longest_match)),
            }
        }
        streamed.observed |= chain.background.iter().any(|step| run.wants(step, &streamed.head));
        streamed
    }

    /// Leads the next piece of a text through those that take windows. Gives what may go out now; with `last`, nothing
    /// of this text follows and all of it goes out.
    ///
    /// # Errors
    /// Who blocked, and why: nothing more of the stream may go out.
    pub async fn window(
        &mut self,
        streamed: &mut Streamed,
        lane: &mut Lane,
        text: &str,
        last: bool,
    ) -> Result<String, Box<Blocked>> {
        let mut text = text.to_owned();
        for nth in 0..streamed.guards.len() {
            let (at, longest) = streamed.guards[nth];
            if lane.windows.len() <= nth {
                lane.windows.push(Windows::new(longest));
            }
            if !lane.windows[nth].push(&text) && !last {
                return Ok(String::new());
            }
            let edits = self.look(streamed, at, &lane.windows[nth], last).await?;
            let edits = lane.edits(nth, edits);
            text = lane.windows[nth].settle(&edits, last).to_owned();
        }
        Ok(text)
    }

    /// Shows one plugin one window.
    async fn look(
        &mut self,
        streamed: &mut Streamed,
        at: usize,
        windows: &Windows,
        last: bool,
    ) -> Result<Edits, Box<Blocked>> {
        let Self { pipelines, after, request, contexts, ran, .. } = self;
        let Some((chain, step)) =
            pipelines.chain(*after).and_then(|chain| Some((chain, chain.foreground().nth(at)?)))
        else {
            return Ok(Edits::new());
        };
        let (text, context) = windows.view();
        let part = Part::Window { text, context, last };
        let run = Run { pipelines, request, end: End::Ok, before: ran, part };
        let mut budget = Budget::left(&run, contexts);
        let patience = budget.patience(step.timeout);
        let mut slots = Slots { own: contexts.take(step.ix), patch: None };
        let clock = Instant::now();
        let context = slots.context(contexts.shared());
        let result = match step.call(chain, &run, &streamed.head, clock, patience, context) {
            Answer::Ready(result) => result,
            Answer::Later(future) => step.wait(future, patience).await,
        };
        let took = clock.elapsed();
        budget.spend(took, contexts);
        contexts.put(step.ix, slots.own);
        if step.policy.shares {
            contexts.merge(slots.patch);
        }
        let mut outcome = Outcome::begin(false);
        let (status, edits) = chain.settle_window(step, &run, &streamed.head, result, &mut outcome);
        step.stats.count(status, took);
        if status != Status::Pass && (streamed.noted < NOTED || outcome.blocked.is_some()) {
            streamed.noted += 1;
            outcome.executions.push(Execution::new(step.ix, status, took));
            contexts.running(*after, End::Ok, &streamed.head).finish(&mut outcome);
        }
        match outcome.blocked {
            Some(blocked) => Err(blocked),
            None => Ok(edits),
        }
    }

    /// Ends the pair: shows those that only look on the stream, which is over and ended so. `answer` is what has gone
    /// out, put together.
    pub async fn completed(&mut self, end: End, answer: Arc<Revision>) -> Outcome {
        self.over(end, answer, Part::Complete).await
    }
}

impl Chain {
    /// Takes an answer to a window; gives what it came to, and the edits that count.
    fn settle_window(
        &self,
        step: &Step,
        run: &Run<'_>,
        head: &Arc<Revision>,
        result: CallOutcome,
        outcome: &mut Outcome,
    ) -> (Status, Edits) {
        let mut reply = match result {
            Ok(reply) if reply.is_pass() => {
                step.succeeded();
                return (Status::Pass, Edits::new());
            }
            Ok(reply) => reply,
            Err(error) => return (self.take_error(step, run, &error, outcome), Edits::new()),
        };
        let edits = match reply.change.take() {
            None => Edits::new(),
            Some(Change::Text(edits)) => edits,
            Some(_) => {
                step.failed();
                let error =
                    PluginError::InvalidAnswer("a window of a stream is changed by edits alone".to_owned());
                return (self.take_error(step, run, &error, outcome), Edits::new());
            }
        };
        let status = self.take_reply(step, run, head, reply, outcome);
        step.succeeded();
        if outcome.blocked.is_some() || edits.is_empty() || !step.policy.changes || !self.spec.may.change {
            return (status, Edits::new());
        }
        (if status == Status::Pass { Status::Change } else { status }, edits)
    }
}

/// Whether a step is to be shown a part.
pub(super) fn takes(step: &Step, part: Part<'_>) -> bool {
    match part {
        Part::Whole => true,
        Part::Window { .. } => matches!(step.stream(), Stream::Window { .. }),
        Part::Complete => step.stream() == Stream::Observe,
    }
}

impl<P: Keep> Pair<P> {
    fn run<'a>(&'a self, before: &'a Ran, end: End, part: Part<'a>) -> Run<'a> {
        Run { pipelines: &self.pipelines, request: &self.request, end, before, part }
    }
}

#[cfg(test)]
mod tests;
