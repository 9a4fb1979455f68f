//! Bands: plugins of equal priority, and in which order they run where `parallel_execution_within_band` is set.
//!
//! Members that may change the payload run one after another in file order, then all others at once. In that order,
//! since a guard must judge what goes on: beside a member that changes, it would have judged what no longer is. What
//! a member may do is what it declares and what its mode lets count; a foreign plugin, of which nothing is known, may
//! change. At hooks where the first answer wins there are no bands: there the order is the meaning.
//!
//! All of this is settled when a chain is compiled. A chain is a few stages, each first in turn, then at once; without
//! bands it is one.

use mortise_plugin_api::{Effect, HookSpec, Rule};

use super::{
    chain::{Stage, Step},
    policy::Group,
    row::Row,
};

/// A stage that is being filled.
#[derive(Default)]
struct Filling {
    in_turn: Vec<Step>,
    at_once: Vec<Step>,
}

/// The foreground of a chain. `sorted` are its steps by group and priority, equals in file order.
pub(super) fn stages(sorted: Vec<(Group, i64, Step)>, spec: &HookSpec, in_bands: bool) -> Vec<Stage> {
    let in_bands = in_bands && spec.rule != Rule::FirstAnswer;
    let mut stages = Vec::new();
    let mut rest = sorted.into_iter().peekable();
    while let Some((group, priority, step)) = rest.next() {
        let mut band = vec![step];
        // The concurrent group is one band whatever the priorities.
        let same = |next: &(Group, i64, Step)| {
            next.0 == group && (next.1 == priority && in_bands || group == Group::Concurrent)
        };
        while let Some((_, _, step)) = rest.next_if(same) {
            band.push(step);
        }
        add(&mut stages, band, group);
    }
    let full = |stage: Filling| Stage { in_turn: Row::new(stage.in_turn), at_once: Row::new(stage.at_once) };
    stages.into_iter().map(full).collect()
}

fn add(stages: &mut Vec<Filling>, band: Vec<Step>, group: Group) {
    if group == Group::Concurrent {
        return open(stages).at_once.extend(band);
    }
    let alone = band.len() == 1;
    let (in_turn, mut at_once): (Vec<_>, Vec<_>) =
        band.into_iter().partition(|step| alone || step.may_change());
    if !in_turn.is_empty() {
        open(stages).in_turn.extend(in_turn);
    }
    match &mut *at_once {
        [] => {}
        [_] => open(stages).in_turn.append(&mut at_once),
        _ => {
            // What it did not declare must not undo what another has changed.
            for step in &mut at_once {
                step.left_out = std::mem::take(&mut step.policy.changes);
            }
            open(stages).at_once = at_once;
        }
    }
}

/// The stage that is being filled: what runs at once ends a stage.
fn open(stages: &mut Vec<Filling>) -> &mut Filling {
    if stages.last().is_none_or(|stage| !stage.at_once.is_empty()) {
        stages.push(Filling::default());
    }
    let last = stages.len() - 1;
    &mut stages[last]
}

impl Step {
    /// Whether an answer of it may change the payload.
    fn may_change(&self) -> bool {
        let changes = |effect| effect == Effect::Change;
        self.policy.changes && self.needs.is_some_and(|needs| self.instance.foreign || changes(needs.effect))
    }
}
