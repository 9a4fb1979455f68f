//! Manifests of native kinds: made of what the kind says of itself, and a little more.

use std::sync::Arc;

use mortise_plugin_api::manifest::{About, Features, Manifest, PluginType};
use mortise_plugin_api::{HookTable, NativeKind};
use semver::Version;
use serde_json::{Map, Value, json};

use super::{Item, Origin};

/// The item of a kind.
pub(super) fn item(kind: &NativeKind, hooks: &HookTable, about: &About) -> Item {
    let version = Version::parse(about.version).unwrap_or(Version::new(0, 0, 0));
    let schema = (kind.config_schema)().to_value();
    let properties = schema["properties"].as_object();
    let default_config: Map<String, Value> = properties
        .into_iter()
        .flatten()
        .filter_map(|(key, property)| Some((key.clone(), property.get("default")?.clone())))
        .collect();
    let manifest = Manifest {
        name: Some(kind.name.to_owned()),
        kind: Some(format!("builtin.{}", kind.name)),
        available_hooks: hook_names(kind, hooks, about),
        tags: tags(kind.name, about),
        plugin_type: Some(PluginType::Native),
        language: Some("rust".to_owned()),
        performance_tier: Some(about.tier),
        default_config,
        features: Features { configurable: Some(properties.is_some()), ..Features::default() },
        ..Manifest::new(kind.about, about.author, version)
    };
    Item {
        name: kind.name.to_owned(),
        manifest: Arc::new(manifest),
        origin: Origin::BuiltIn,
        span: None,
        dependencies: Vec::new(),
    }
}

/// Those given, or else the words of the name.
fn tags(name: &str, about: &About) -> Vec<String> {
    if about.tags.is_empty() {
        return name.split('_').filter(|word| !word.is_empty()).map(str::to_owned).collect();
    }
    about.tags.iter().map(ToString::to_string).collect()
}

/// Every hook its code has, which only a plugin made of it can say; where none can be made without a configuration,
/// those it runs at by itself.
fn hook_names(kind: &NativeKind, hooks: &HookTable, about: &About) -> Vec<String> {
    let config = about.sample.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_else(|| json!({}));
    let plugin = (kind.build)(&config).ok();
    let has = |row: &&mortise_plugin_api::HookSpec| match &plugin {
        Some(plugin) => plugin.needs(row.id).is_some(),
        None => kind.hooks.contains(&row.id),
    };
    hooks.rows().iter().filter(has).map(|row| row.name.to_string()).collect()
}
