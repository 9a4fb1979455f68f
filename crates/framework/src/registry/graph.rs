//! Who depends on whom among configured plugins.
//!
//! Without recursion: a chain of dependencies may be as long as a configuration.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use mortise_plugin_api::manifest::{Needed, Release, slug};
use semver::Version;

use crate::config::{DependsOn, Diagnostic, DiagnosticKind, Mode, Notice, PluginEntry, nearest};

/// For each entry those it depends on, as positions.
pub(super) struct Graph {
    needs: Vec<Vec<usize>>,
}

/// What was found while it was made.
#[derive(Default)]
pub(super) struct Found {
    pub(super) errors: Vec<Diagnostic>,
    pub(super) notices: Vec<Notice>,
}

/// Entries by what they may be called.
struct Names<'e> {
    exact: HashMap<&'e str, Vec<usize>>,
    slugs: HashMap<String, Vec<usize>>,
    manifests: HashMap<String, Vec<usize>>,
}

impl<'e> Names<'e> {
    fn of(entries: &[&'e PluginEntry]) -> Self {
        let mut names = Self { exact: HashMap::new(), slugs: HashMap::new(), manifests: HashMap::new() };
        for (at, entry) in entries.iter().enumerate() {
            names.exact.entry(entry.name.as_str()).or_default().push(at);
            names.slugs.entry(slug(&entry.name)).or_default().push(at);
            if let Some(name) = entry.manifest.as_ref().and_then(|manifest| manifest.name.as_ref()) {
                names.manifests.entry(slug(name)).or_default().push(at);
            }
        }
        names
    }

    /// The entries a name means: one called so, or nearly so, or all whose kind is called so.
    fn find(&self, name: &str) -> &[usize] {
        let slug = slug(name);
        let found = self.exact.get(name).or_else(|| self.slugs.get(&slug));
        found.or_else(|| self.manifests.get(&slug)).map(Vec::as_slice).unwrap_or_default()
    }
}

impl Graph {
    /// The graph alone.
    pub(super) fn of(entries: &[&PluginEntry]) -> Self {
        Self::build(entries, None)
    }

    /// The graph, and what is wrong with single dependencies.
    pub(super) fn checked(entries: &[&PluginEntry]) -> (Self, Found) {
        let mut found = Found::default();
        let graph = Self::build(entries, Some(&mut found));
        (graph, found)
    }

    fn build(entries: &[&PluginEntry], mut found: Option<&mut Found>) -> Self {
        if entries.iter().all(|entry| entry.dependencies.is_empty()) {
            return Self { needs: vec![Vec::new(); entries.len()] };
        }
        let names = Names::of(entries);
        let mut needs = Vec::with_capacity(entries.len());
        for entry in entries {
            let mut own = Vec::new();
            // What does not run needs nothing.
            let wanted = entry.dependencies.iter().filter(|_| entry.mode != Mode::Disabled);
            for depends in wanted.filter(|depends| depends.dependency.needed != Needed::Package) {
                let targets = names.find(&depends.dependency.name);
                own.extend_from_slice(targets);
                if let Some(found) = &mut found {
                    found.judge(entry, depends, targets, entries);
                }
            }
            own.sort_unstable();
            own.dedup();
            needs.push(own);
        }
        Self { needs }
    }

    /// Positions in an order that respects dependencies and otherwise changes nothing.
    pub(super) fn order(&self) -> Vec<usize> {
        let (mut waits, dependents) = self.turned();
        let ready = (0..waits.len()).filter(|at| waits[*at] == 0);
        let mut ready: BinaryHeap<Reverse<usize>> = ready.map(Reverse).collect();
        let mut order = Vec::with_capacity(waits.len());
        while let Some(Reverse(at)) = ready.pop() {
            order.push(at);
            for dependent in &dependents[at] {
                waits[*dependent] -= 1;
                if waits[*dependent] == 0 {
                    ready.push(Reverse(*dependent));
                }
            }
        }
        order.extend((0..waits.len()).filter(|at| waits[*at] > 0));
        order
    }

    /// For each how many stand one after another below it.
    pub(super) fn levels(&self) -> Vec<usize> {
        let mut levels = vec![0; self.needs.len()];
        for at in self.order() {
            levels[at] = self.needs[at].iter().map(|need| levels[*need] + 1).max().unwrap_or(0);
        }
        levels
    }

    /// Whether one of those, or a dependency of theirs.
    pub(super) fn reachable(&self, mut from: Vec<usize>) -> Vec<bool> {
        let mut reached = vec![false; self.needs.len()];
        while let Some(at) = from.pop() {
            if !std::mem::replace(&mut reached[at], true) {
                from.extend_from_slice(&self.needs[at]);
            }
        }
        reached
    }

    /// How many each waits for, and for each who waits for it.
    fn turned(&self) -> (Vec<usize>, Vec<Vec<usize>>) {
        let mut dependents = vec![Vec::new(); self.needs.len()];
        for (at, needs) in self.needs.iter().enumerate() {
            for need in needs {
                dependents[*need].push(at);
            }
        }
        (self.needs.iter().map(Vec::len).collect(), dependents)
    }

    /// An error for each circle, or knot of circles.
    pub(super) fn circles(&self, entries: &[&PluginEntry]) -> Vec<Diagnostic> {
        let knots = self.knots();
        let mut told = vec![false; knots.len()];
        let mut errors = Vec::new();
        for start in 0..knots.len() {
            let next = |at: usize| self.needs[at].iter().find(|need| knots[**need] == knots[at]).copied();
            if next(start).is_none() || std::mem::replace(&mut told[knots[start]], true) {
                continue;
            }
            // Within a knot one can go on for ever, so some position comes again.
            let (mut path, mut at) = (Vec::new(), start);
            let mut place: HashMap<usize, usize> = HashMap::new();
            while !place.contains_key(&at) {
                place.insert(at, path.len());
                path.push(at);
                let Some(further) = next(at) else { break };
                at = further;
            }
            let from = place.get(&at).copied().unwrap_or(0);
            errors.push(circle(&path[from..], entries));
        }
        errors
    }

    /// For each the number of its knot: equal where each can be reached from the other. Kosaraju's two walks.
    fn knots(&self) -> Vec<usize> {
        let (_, dependents) = self.turned();
        let mut seen = vec![false; self.needs.len()];
        let mut finished = Vec::with_capacity(seen.len());
        for start in 0..seen.len() {
            let mut stack = vec![(start, 0)];
            if std::mem::replace(&mut seen[start], true) {
                continue;
            }
            while let Some((at, tried)) = stack.pop() {
                let Some(next) = self.needs[at].get(tried) else {
                    finished.push(at);
                    continue;
                };
                stack.push((at, tried + 1));
                if !std::mem::replace(&mut seen[*next], true) {
                    stack.push((*next, 0));
                }
            }
        }
        let mut knots = vec![usize::MAX; seen.len()];
        for (number, start) in finished.into_iter().rev().enumerate() {
            let mut stack = vec![start];
            while let Some(at) = stack.pop() {
                if knots[at] == usize::MAX {
                    knots[at] = number;
                    stack.extend_from_slice(&dependents[at]);
                }
            }
        }
        knots
    }
}

fn circle(path: &[usize], entries: &[&PluginEntry]) -> Diagnostic {
    let names: Vec<String> = path.iter().map(|at| format!("`{}`", entries[*at].name)).collect();
    let [first, rest @ ..] = path else {
        return Diagnostic::new(DiagnosticKind::InvalidValue, "plugins need each other");
    };
    let message = match names.as_slice() {
        [one] => format!("the plugin {one} needs itself"),
        _ => format!("plugins need each other in a circle: {} → {}", names.join(" → "), names[0]),
    };
    let entry = entries[*first];
    let mut error = Diagnostic::new(DiagnosticKind::InvalidValue, message)
        .at(entry.span.clone())
        .path(format!("{}.dependencies", entry.path))
        .help("none of them could start first");
    for at in rest {
        error = error.related(entries[*at].span.clone(), format!("`{}` is here", entries[*at].name));
    }
    error
}

impl Found {
    /// One dependency of one entry: whether there is such a plugin, in a version that will do.
    fn judge(
        &mut self,
        entry: &PluginEntry,
        depends: &DependsOn,
        targets: &[usize],
        entries: &[&PluginEntry],
    ) {
        let dependency = &depends.dependency;
        let say = |kind, message: String| {
            Diagnostic::new(kind, message).at(depends.span.clone()).path(depends.path.clone())
        };
        if targets.is_empty() {
            if dependency.needed == Needed::Plugin {
                let message = format!(
                    "`{}` needs the plugin `{}`, which is not configured",
                    entry.name, dependency.name
                );
                let near = nearest(&dependency.name, entries.iter().map(|entry| entry.name.as_str()));
                let error = say(DiagnosticKind::InvalidValue, message);
                self.errors.push(match (&depends.hint, near.first()) {
                    (Some(hint), _) => error.help(hint.to_string()),
                    (None, Some(near)) => error.help(format!("did you mean `{near}`?")),
                    (None, None) => error,
                });
            }
            return;
        }
        for target in targets.iter().map(|at| entries[*at]) {
            if target.mode == Mode::Disabled {
                let message =
                    format!("`{}` needs the plugin `{}`, which is disabled", entry.name, target.name);
                self.notices.push(say(DiagnosticKind::Remark, message));
            }
            match version_of(target) {
                Some(version) if !dependency.range.matches(&version) => {
                    let message = format!(
                        "`{}` needs the plugin `{}` in version {}, and it is {version}",
                        entry.name, target.name, dependency.range
                    );
                    let error = say(DiagnosticKind::InvalidValue, message);
                    self.errors
                        .push(error.related(target.span.clone(), format!("`{}` is here", target.name)));
                }
                None if !dependency.range.is_any() => {
                    let message = format!(
                        "`{}` needs the plugin `{}` in version {}, and nothing says which version it is",
                        entry.name, target.name, dependency.range
                    );
                    self.notices.push(say(DiagnosticKind::Remark, message));
                }
                _ => {}
            }
        }
    }
}

/// The version of an entry's code: its manifest's, or else the one it gives itself, where that is one.
fn version_of(entry: &PluginEntry) -> Option<Version> {
    match &entry.manifest {
        Some(manifest) => Some(manifest.version.clone()),
        None => entry.version.as_ref()?.parse::<Release>().ok().map(|release| release.lowest()),
    }
}
