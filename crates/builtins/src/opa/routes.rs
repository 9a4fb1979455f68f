//! Which policy is asked about which call.

use std::collections::BTreeMap;

use mortise_plugin_api::BuildError;

use super::config::{Applied, Config, Policy};
use crate::service::address;

/// Addresses of policies.
pub(super) struct Routes {
    /// Asked about everything that is not named.
    all: Option<String>,
    /// By first word of the hook and name of the thing; then by hook, with one for the hooks that no endpoint names.
    named: BTreeMap<(&'static str, String), Endpoints>,
}

struct Endpoints {
    /// Names of endpoints, which name hooks, with their addresses.
    by_name: Vec<(String, String)>,
}

impl Endpoints {
    /// The endpoint that has the hook in its name; where there is just one and it names no hook, that one.
    fn find(&self, hook: &str) -> Option<&str> {
        let named = self.by_name.iter().find(|(name, _)| name.contains(hook));
        let only = || match &*self.by_name {
            [only] if !names_hook(&only.0) => Some(only),
            _ => None,
        };
        named.or_else(only).map(|(_, url)| &**url)
    }
}

/// Whether a URI is below another one.
fn below(uri: &str, above: &str) -> bool {
    let rest = uri.strip_prefix(above.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.starts_with(['/', '?', '#']))
}

/// Whether an endpoint is for one hook.
fn names_hook(endpoint: &str) -> bool {
    ["_pre_invoke", "_post_invoke", "_pre_fetch", "_post_fetch"].iter().any(|end| endpoint.contains(end))
}

impl Routes {
    /// The policies that a configuration names, below `base`.
    ///
    /// # Errors
    /// A path that makes no address.
    pub(super) fn new(base: &str, config: &Config) -> Result<Self, BuildError> {
        let at = |field: &str, path: &str| address(field, &format!("{base}{}", path.trim_matches('/')));
        let all = match config.path.as_deref().map(str::trim).filter(|path| !path.is_empty()) {
            Some(path) => Some(at("path", &path.replace('.', "/"))?),
            None => None,
        };
        let mut named = BTreeMap::new();
        let Applied { tools, prompts, resources } = config.applied_to.clone().unwrap_or_default();
        let tools = tools.into_iter().map(|tool| ("tool", tool.tool_name, tool.extensions));
        let prompts = prompts.into_iter().map(|prompt| ("prompt", prompt.prompt_name, prompt.extensions));
        let resources = resources.into_iter().map(|one| ("resource", one.resource_uri, one.extensions));
        for (family, name, policy) in tools.chain(prompts).chain(resources) {
            let Some(Policy { policy, policy_endpoints, policy_endpoint, .. }) = policy else { continue };
            let endpoint = |name: &String| {
                let field = "applied_to.extensions.policy_endpoints";
                Ok((name.clone(), at(field, &format!("{}/{name}", policy.trim_matches('/')))?))
            };
            let names = policy_endpoints.iter().chain(&policy_endpoint);
            let by_name = names.map(endpoint).collect::<Result<_, BuildError>>()?;
            named.insert((family, name), Endpoints { by_name });
        }
        Ok(Self { all, named })
    }

    /// Whether nothing is ever asked.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_none() && self.named.values().all(|endpoints| endpoints.by_name.is_empty())
    }

    /// Where to ask about this thing at this hook.
    pub(super) fn find(&self, hook: &str, subject: &str) -> Option<&str> {
        let covers = |family: &str, name: &str| {
            hook.starts_with(family) && (name == subject || family == "resource" && below(subject, name))
        };
        let named = self.named.iter().filter(|((family, name), _)| covers(family, name));
        // Of resources that lie in one another the nearest counts.
        let nearest = named.max_by_key(|((_, name), _)| name.len());
        nearest.and_then(|(_, endpoints)| endpoints.find(hook)).or(self.all.as_deref())
    }
}
