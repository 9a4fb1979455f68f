//! What is changed of plugins while the gateway runs: all or one switched off or on, and another mode, priority or
//! configuration of one.
//!
//! An override is a layer over the configuration and nothing else: it is checked as the configuration is, put in force
//! by the same swap, and refused with all reasons while what was in force stays. Overrides are kept in the state folder
//! (`overrides.json`, for the owner only) and read at a start, so that what was switched off in an emergency does not
//! come back by a restart. One for a plugin that is not configured any more is kept and named, and counts again when
//! the plugin is back. The file is written by the gateway alone; what somebody else writes there is read at a start.

mod file;
mod patch;
mod shown;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use mortise_framework::{
    Plan,
    config::{Diagnostic, DiagnosticKind, Mode, Notice, Overlay},
};
use serde::{Deserialize, Serialize};

pub(crate) use file::{read, write_aside};
pub use patch::{Patch, PluginPatch};
pub use shown::{Configured, Overridden};

/// Name of the file in the state folder.
pub const FILE: &str = "overrides.json";

/// Everything that is changed while the gateway runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overrides {
    /// Whether plugins run at all, whatever `PLUGINS_ENABLED` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugins_enabled: Option<Switch>,
    /// What is changed of single plugins, by name.
    #[serde(default)]
    pub plugins: BTreeMap<String, Override>,
}

/// The switch for all plugins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Switch {
    /// Whether they run.
    pub enabled: bool,
    /// Who said so.
    pub by: String,
    /// When, in UTC.
    pub at: String,
}

/// What is changed of one plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// The change.
    #[serde(rename = "override")]
    pub overlay: Overlay,
    /// Who made its last part.
    pub by: String,
    /// When, in UTC.
    pub at: String,
}

/// Where the overrides of a configuration come from.
#[derive(Clone, Debug, Default)]
pub enum OverrideSource {
    /// The state folder.
    #[default]
    StateDir,
    /// These, which a running gateway holds.
    Given(std::sync::Arc<Overrides>),
    /// Nowhere: the configuration is looked at for itself.
    Ignored,
}

impl Overrides {
    /// Where they are kept.
    #[must_use]
    pub fn path(state_dir: &Path) -> PathBuf {
        state_dir.join(FILE)
    }

    /// Lays them over what is configured. Told are those of plugins that are not.
    #[must_use]
    pub fn lay_over(&self, configured: &Plan) -> (Plan, Vec<Notice>) {
        let mut plan = configured.clone();
        if let Some(switch) = &self.plugins_enabled {
            plan.enabled = switch.enabled;
        }
        let entries = std::mem::take(&mut plan.entries).into_iter();
        plan.entries = entries
            .map(|entry| match self.plugins.get(&entry.name) {
                Some(over) => {
                    let place = format!("override of `{}`", entry.name);
                    entry.overlaid(&over.overlay, &place)
                }
                None => entry,
            })
            .collect();
        for binding in &mut plan.bindings {
            // What is switched off runs nowhere.
            if self.plugins.get(&binding.plugin).is_some_and(|over| over.overlay.switches_off()) {
                binding.mode = Some(Mode::Disabled);
            }
        }
        let notices = self.orphans(configured).map(|name| {
            let message = format!("there is an override of `{name}`, and no such plugin");
            let help =
                format!("`mortise plugins reset {name}` removes it; until then it waits for the plugin");
            Diagnostic::new(DiagnosticKind::Remark, message).help(help)
        });
        (plan, notices.collect())
    }

    /// Overrides of plugins that are not configured, by name.
    pub fn orphans<'a>(&'a self, configured: &'a Plan) -> impl Iterator<Item = &'a str> {
        let names = self.plugins.keys();
        names.filter(|name| !configured.entries.iter().any(|entry| entry.name == **name)).map(String::as_str)
    }

    /// Plugins that are switched off, by name.
    pub fn switched_off(&self) -> impl Iterator<Item = &str> {
        let off = self.plugins.iter().filter(|(_, over)| over.overlay.switches_off());
        off.map(|(name, _)| name.as_str())
    }
}

#[cfg(test)]
mod tests;
