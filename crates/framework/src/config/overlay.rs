//! What is laid over a plugin's entry while the program runs.
//!
//! An overlay is one more layer of the configuration: maps of `config` merge deep, lists and single values are
//! replaced, null takes a key away. The entry that comes of it is checked like any other, errors name the overlay as
//! their place, and what was configured stays readable beside it. Values are taken as they are: `${NAME}` is not
//! expanded, so that whoever may change a plugin cannot read the environment or files through it.

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::entry::{Mode, PluginEntry};
use super::merge::merge_below;
use super::node::{Flags, Node, Value};
use super::source::Source;

/// What of an entry is changed; without any field, nothing.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Overlay {
    /// `false`: off, whatever its mode says, and in every binding. `true`: on, where its mode says `disabled`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Mode instead of the configured one. Bindings that name their own keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Priority instead of the configured one. Bindings that name an order keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i64>,
    /// Keys over the configured `config`: maps merge, null takes away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Map<String, Json>>,
}

/// An overlay on an entry, and what the entry says without it.
#[derive(Clone, Debug)]
pub struct Overlaid {
    /// What is laid over.
    pub overlay: Overlay,
    /// The mode as configured.
    pub mode: Mode,
    /// The priority as configured.
    pub priority: i64,
    /// The plugin's own configuration as configured.
    pub config: Node,
}

impl Overlay {
    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it switches the plugin off.
    #[must_use]
    pub fn switches_off(&self) -> bool {
        self.enabled == Some(false) || (self.enabled.is_none() && self.mode == Some(Mode::Disabled))
    }

    /// The mode that comes of a configured one.
    #[must_use]
    pub fn mode_over(&self, configured: Mode) -> Mode {
        match (self.enabled, self.mode.unwrap_or(configured)) {
            (Some(false), _) => Mode::Disabled,
            (Some(true), Mode::Disabled) => Mode::default(),
            (_, mode) => mode,
        }
    }

    /// Its `config` as it may be shown: secrets as `***`.
    #[must_use]
    pub fn masked_config(&self) -> Option<Json> {
        let span = Source::from_value("", "").span_at(0, 1);
        let config = self.config.as_ref()?;
        Some(Node::from_json(&Json::Object(config.clone()), &span).to_masked_json())
    }
}

impl PluginEntry {
    /// The entry with this laid over it. `place` is how errors call the overlay.
    #[must_use]
    pub fn overlaid(mut self, overlay: &Overlay, place: &str) -> Self {
        let configured = Overlaid {
            overlay: overlay.clone(),
            mode: self.mode,
            priority: self.priority,
            config: self.config.clone(),
        };
        let span = Source::from_value(place, "").span_at(0, 1);
        let mut names = |key: &str| {
            if !self.given.iter().any(|given| given == key) {
                self.given.push(key.to_owned());
            }
            self.places.insert(key.to_owned(), span.clone());
        };
        if overlay.mode.is_some() || overlay.enabled.is_some() {
            names("mode");
        }
        if overlay.priority.is_some() {
            names("priority");
        }
        if let Some(config) = &overlay.config {
            names("config");
            let mut over = Node::from_json(&Json::Object(config.clone()), &span);
            nulls_take_away(&mut over);
            self.config = merge_below(self.config, over);
            self.config_json = match self.config.to_json() {
                Json::Object(config) => config,
                _ => Map::new(),
            };
        }
        self.mode = overlay.mode_over(self.mode);
        self.priority = overlay.priority.unwrap_or(self.priority);
        self.overlaid = Some(Arc::new(configured));
        self
    }
}

/// Also where there is nothing to take away: what is null under a plugin must not come to be what it is configured by.
fn nulls_take_away(node: &mut Node) {
    if node.is_null() {
        node.flag(Flags::REMOVED);
    }
    if let Value::Map(map) = node.value_mut() {
        map.values_mut().for_each(|entry| nulls_take_away(&mut entry.node));
    }
}

/// Shows which fields are there; what is in `config` may be secret.
impl fmt::Debug for Overlay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Overlay")
            .field("enabled", &self.enabled)
            .field("mode", &self.mode)
            .field("priority", &self.priority)
            .field("config", &self.masked_config())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn entry(config: &Json) -> PluginEntry {
        let mut entry = PluginEntry::new("p", "builtin.p").with_config(config.as_object().cloned().unwrap());
        (entry.mode, entry.priority) = (Mode::Permissive, 7);
        entry
    }

    fn overlay(json: Json) -> Overlay {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn what_is_laid_over_counts_and_what_was_configured_stays_readable() {
        let configured = json!({ "a": { "b": 1, "c": [1, 2] }, "gone": true });
        let over = json!({ "mode": "enforce", "priority": 1, "config": { "a": { "c": [3] }, "gone": null, "d": null } });
        let entry = entry(&configured).overlaid(&overlay(over), "override of `p`");
        assert_eq!((entry.mode, entry.priority), (Mode::Enforce, 1));
        assert_eq!(Json::Object(entry.config_json.clone()), json!({ "a": { "b": 1, "c": [3] } }));
        assert_eq!(entry.config.to_json(), Json::Object(entry.config_json.clone()));
        assert_eq!(entry.place("priority").to_string(), "override of `p`");
        let before = entry.overlaid.as_ref().unwrap();
        assert_eq!((before.mode, before.priority), (Mode::Permissive, 7));
        assert_eq!(before.config.to_json(), configured);
    }

    #[test]
    fn a_switch_decides_over_the_mode() {
        for (over, configured, mode, off) in [
            (json!({ "enabled": false }), Mode::Enforce, Mode::Disabled, true),
            (json!({ "enabled": false, "mode": "audit" }), Mode::Enforce, Mode::Disabled, true),
            (json!({ "enabled": true }), Mode::Disabled, Mode::Enforce, false),
            (json!({ "enabled": true, "mode": "audit" }), Mode::Disabled, Mode::Audit, false),
            (json!({ "enabled": true }), Mode::Permissive, Mode::Permissive, false),
            (json!({ "mode": "disabled" }), Mode::Enforce, Mode::Disabled, true),
            (json!({}), Mode::Disabled, Mode::Disabled, false),
        ] {
            let over = overlay(over);
            assert_eq!((over.mode_over(configured), over.switches_off()), (mode, off), "{over:?}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let over = overlay(json!({ "config": { "api_key": "hunter2", "depth": 3 } }));
        assert!(!format!("{over:?}").contains("hunter2"));
        assert_eq!(over.masked_config(), Some(json!({ "api_key": "***", "depth": 3 })));
    }

    fn tree() -> impl Strategy<Value = Json> {
        let leaf =
            prop_oneof![Just(Json::Null), any::<bool>().prop_map(Json::from), (0..9).prop_map(Json::from)];
        let map = |inner| {
            proptest::collection::btree_map("[a-c]", inner, 0..4)
                .prop_map(|map| Json::Object(map.into_iter().collect()))
        };
        let tree = leaf.prop_recursive(3, 24, 4, move |inner| {
            prop_oneof![map(inner.clone()), proptest::collection::vec(inner, 0..3).prop_map(Json::Array)]
        });
        proptest::collection::btree_map("[a-c]", tree, 0..4)
            .prop_map(|map| Json::Object(map.into_iter().collect()))
    }

    /// What the merge comes to, said as RFC 7396 says it.
    fn patched(base: &Json, over: &Json) -> Json {
        let Json::Object(over) = over else { return over.clone() };
        let mut result = base.as_object().cloned().unwrap_or_default();
        for (key, value) in over {
            if value.is_null() {
                result.remove(key);
            } else {
                let below = result.get(key).cloned().unwrap_or(Json::Null);
                result.insert(key.clone(), patched(&below, value));
            }
        }
        result.into()
    }

    proptest! {
        #[test]
        fn a_config_is_laid_over_as_a_merge_patch(base in tree(), over in tree()) {
            let laid = entry(&base).overlaid(&overlay(json!({ "config": over })), "override");
            prop_assert_eq!(Json::Object(laid.config_json), patched(&base, &over));
        }

        #[test]
        fn laying_the_same_over_twice_changes_nothing_more(base in tree(), over in tree()) {
            let over = overlay(json!({ "config": over }));
            let once = entry(&base).overlaid(&over, "override");
            let twice = once.clone().overlaid(&over, "override");
            prop_assert_eq!(once.config_json, twice.config_json);
        }
    }
}
