//! Changes of the overrides.

use jiff::Timestamp;
use mortise_framework::{
    Plan,
    config::{Mode, Overlay},
};
use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error},
};
use serde_json::{Map, Value};

use super::{Override, Overrides, Switch};

/// A change of the overrides.
#[derive(Clone, Debug)]
pub enum Patch {
    /// Switches all plugins off or on; `None` leaves it to the configuration.
    Switch(Option<bool>),
    /// Changes what is overridden of a plugin.
    Plugin(String, PluginPatch),
    /// Leaves a plugin to the configuration.
    Reset(String),
    /// Leaves everything to the configuration.
    ResetAll,
}

/// What is to change of a plugin. A field that is not given stays as it is; null leaves it to the configuration.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PluginPatch {
    /// `false` switches it off, in every binding too; `true` on, also where the configuration says `disabled`.
    #[serde(deserialize_with = "given")]
    #[schemars(with = "Option<bool>")]
    pub enabled: Option<Option<bool>>,
    /// Its mode. Bindings that name their own keep it.
    #[serde(deserialize_with = "given")]
    #[schemars(with = "Option<Mode>")]
    pub mode: Option<Option<Mode>>,
    /// Its priority; lower runs first. Bindings that name an order keep it.
    #[serde(deserialize_with = "given")]
    #[schemars(with = "Option<i64>")]
    pub priority: Option<Option<i64>>,
    /// Keys over its configuration: maps merge, lists and single values are replaced, null takes a key away. Keys that
    /// were overridden before stay so.
    #[serde(deserialize_with = "given")]
    #[schemars(with = "Option<Map<String, Value>>")]
    pub config: Option<Option<Map<String, Value>>>,
}

/// What is written counts as given, null too. What does not fit is refused with what would; where it stands, whoever
/// reads the whole knows.
fn given<'de, T: Field, D: Deserializer<'de>>(from: D) -> Result<Option<Option<T>>, D::Error> {
    let value = Value::deserialize(from)?;
    if value.is_null() {
        return Ok(Some(None));
    }
    let written = value.to_string();
    serde_json::from_value(value).map(|fit| Some(Some(fit))).map_err(|_| {
        let written = if T::MAY_BE_SHOWN { written.as_str() } else { "what was given" };
        D::Error::custom(format!("{written} is not {}", T::ALLOWED))
    })
}

/// What a field takes.
trait Field: DeserializeOwned {
    /// In words.
    const ALLOWED: &str;
    /// Whether what was written may be repeated; it may be secret else.
    const MAY_BE_SHOWN: bool = true;
}

impl Field for bool {
    const ALLOWED: &str = "true, false or null";
}

impl Field for i64 {
    const ALLOWED: &str = "a whole number or null";
}

impl Field for Mode {
    const ALLOWED: &str = "one of enforce, enforce_ignore_error, permissive, disabled, sequential, transform, audit, \
                           concurrent, fire_and_forget and null";
}

impl Field for Map<String, Value> {
    const ALLOWED: &str = "an object or null";
    const MAY_BE_SHOWN: bool = false;
}

impl Patch {
    /// The plugin it is about, where it is one.
    #[must_use]
    pub fn plugin(&self) -> Option<&str> {
        match self {
            Self::Plugin(name, _) | Self::Reset(name) => Some(name),
            Self::Switch(_) | Self::ResetAll => None,
        }
    }
}

impl Overrides {
    /// The overrides that come of a change, made by somebody now; `None` where there is no such plugin. What changes
    /// nothing leaves who and when as they were.
    #[must_use]
    pub fn patched(&self, patch: &Patch, configured: &Plan, by: &str) -> Option<Self> {
        let mut next = self.clone();
        let at = Timestamp::now().to_string();
        match patch {
            Patch::ResetAll => next = Self::default(),
            Patch::Switch(enabled) => {
                // What is configured so needs no override.
                let wanted = enabled.filter(|enabled| *enabled != configured.enabled);
                if wanted != next.plugins_enabled.as_ref().map(|switch| switch.enabled) {
                    next.plugins_enabled = wanted.map(|enabled| Switch { enabled, by: by.to_owned(), at });
                }
            }
            Patch::Reset(name) => {
                let known = configured.entries.iter().any(|entry| entry.name == *name);
                if next.plugins.remove(name).is_none() && !known {
                    return None;
                }
            }
            Patch::Plugin(name, patch) => {
                let entry = configured.entries.iter().find(|entry| entry.name == *name)?;
                let before = self.plugins.get(name).map(|over| over.overlay.clone()).unwrap_or_default();
                let overlay = patch.on(before.clone(), entry.mode);
                if overlay.is_empty() {
                    next.plugins.remove(name);
                } else if overlay != before {
                    next.plugins.insert(name.clone(), Override { overlay, by: by.to_owned(), at });
                }
            }
        }
        Some(next)
    }
}

impl PluginPatch {
    /// What comes of an overlay, for a plugin that is configured with this mode.
    fn on(&self, mut overlay: Overlay, configured: Mode) -> Overlay {
        if let Some(mode) = self.mode {
            overlay.mode = mode;
        }
        if let Some(priority) = self.priority {
            overlay.priority = priority;
        }
        match &self.config {
            None => {}
            Some(None) => overlay.config = None,
            Some(Some(over)) => {
                let mut config = overlay.config.take().unwrap_or_default();
                lay_over(&mut config, over);
                overlay.config = Some(config).filter(|config| !config.is_empty());
            }
        }
        match self.enabled {
            None => {}
            Some(None) => overlay.enabled = None,
            Some(Some(false)) => overlay.enabled = Some(false),
            Some(Some(true)) => {
                overlay.enabled = None;
                if overlay.mode == Some(Mode::Disabled) && self.mode.is_none() {
                    overlay.mode = None;
                }
                // Only what would be off otherwise has to be switched on.
                let off = overlay.mode_over(configured) == Mode::Disabled;
                overlay.enabled = off.then_some(true);
            }
        }
        overlay
    }
}

/// Lays keys over keys; null stays, as it takes a key of the configuration away.
fn lay_over(base: &mut Map<String, Value>, over: &Map<String, Value>) {
    for (key, value) in over {
        match (base.get_mut(key), value) {
            (Some(Value::Object(base)), Value::Object(over)) => lay_over(base, over),
            _ => {
                base.insert(key.clone(), value.clone());
            }
        }
    }
}

/// Shows which fields are given; what is in `config` may be secret.
impl std::fmt::Debug for PluginPatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PluginPatch")
            .field("enabled", &self.enabled)
            .field("mode", &self.mode)
            .field("priority", &self.priority)
            .field("config", &self.config.as_ref().map(|_| "***"))
            .finish()
    }
}
