//! The registrations of one plugin, sorted for look-up.
//!
//! Exact before wildcard, a longer wildcard before a shorter one, by method throughout: a path that is registered with
//! one method leaves the others to a wildcard. Of two registrations of one path and method the later one counts.

use std::{collections::HashMap, sync::Arc};

use mortise_plugin_api::{EndpointMethod, EndpointRegistration};

/// Positions of registrations by method.
type ByMethod = [Option<u32>; EndpointMethod::ALL.len()];

/// What a request leads to.
#[derive(Clone, Debug)]
pub struct Found {
    registrations: Arc<[EndpointRegistration]>,
    /// Position among the plugin's registrations; `None` where nothing fits.
    at: Option<u32>,
}

impl Found {
    /// The registration, and its position among those of the plugin; `None` where nothing fits.
    #[must_use]
    pub fn registration(&self) -> Option<(usize, &EndpointRegistration)> {
        let at = usize::try_from(self.at?).ok()?;
        Some((at, self.registrations.get(at)?))
    }
}

/// Registrations, sorted.
#[derive(Debug)]
pub(super) struct Table {
    registrations: Arc<[EndpointRegistration]>,
    exact: HashMap<String, ByMethod>,
    /// What stands before the star, the longest first.
    below: Vec<(String, ByMethod)>,
}

impl Table {
    /// Sorts the registrations of a plugin; those that mean nothing are left out, with a word in the log.
    pub(super) fn new(plugin: &str, registrations: Arc<[EndpointRegistration]>) -> Self {
        let (mut exact, mut below) = (HashMap::<String, ByMethod>::new(), HashMap::<String, ByMethod>::new());
        for (at, registration) in (0_u32..).zip(registrations.iter()) {
            let path = &registration.path;
            if let Some(why) = problem(registration) {
                tracing::warn!(plugin, path, why, "endpoint left out");
                continue;
            }
            let by_method = match path.strip_suffix('*').filter(|before| before.ends_with('/')) {
                Some(before) => below.entry(before.to_owned()).or_default(),
                None => exact.entry(path.clone()).or_default(),
            };
            for method in &registration.methods {
                by_method[*method as usize] = Some(at);
            }
        }
        let mut below: Vec<_> = below.into_iter().collect();
        below.sort_by_key(|(before, _)| std::cmp::Reverse(before.len()));
        Self { registrations, exact, below }
    }

    pub(super) fn registrations(&self) -> &Arc<[EndpointRegistration]> {
        &self.registrations
    }

    pub(super) fn find(&self, method: EndpointMethod, path: &str) -> Found {
        let at = self.fitting(path).find_map(|by_method| by_method[method as usize]);
        Found { registrations: self.registrations.clone(), at }
    }

    pub(super) fn methods(&self, path: &str) -> Vec<EndpointMethod> {
        let served = |method: &EndpointMethod| {
            self.fitting(path).any(|by_method| by_method[*method as usize].is_some())
        };
        EndpointMethod::ALL.into_iter().filter(served).collect()
    }

    /// What fits a path, the most specific first.
    fn fitting<'t>(&'t self, path: &'t str) -> impl Iterator<Item = &'t ByMethod> {
        let below = self.below.iter().filter(move |(before, _)| path.starts_with(before.as_str()));
        self.exact.get(path).into_iter().chain(below.map(|(_, by_method)| by_method))
    }
}

fn problem(registration: &EndpointRegistration) -> Option<&'static str> {
    match registration.path.as_str() {
        path if !path.starts_with('/') => Some("its path does not begin with a slash"),
        path if path.contains("..") => Some("its path contains `..`"),
        _ if registration.methods.is_empty() => Some("it has no method that there is"),
        _ => None,
    }
}
