//! What a plugin's program says of itself, as far as the gateway goes by it.
//!
//! A claim by whoever wrote the program: it tells which hooks the program has where the entry does not say, and which
//! of the gateway's services it wants. What it does not ask for it does not get.
//!
//! `requirements` and `sandbox` are Mortise's own sections, in the words of other manifests and of an entry; programs that
//! know nothing of them have neither.

use mortise_framework::config::{SandboxKeys, SandboxProfile};
use serde::Deserialize;

/// A manifest.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Manifest {
    pub(crate) id: String,
    pub(crate) version: String,
    /// What it needs to run, which is also what it gets at most.
    pub(crate) requirements: Needs,
    /// What it asks to reach.
    #[serde(deserialize_with = "asked")]
    pub(crate) sandbox: Option<SandboxKeys>,
    capabilities: Abilities,
    permissions: Permissions,
}

/// What the program needs to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Needs {
    pub(crate) memory_mb: Option<f64>,
    pub(crate) cpu_cores: Option<f64>,
}

/// A sandbox that somebody asks for by name is the strict one, unless they say otherwise. One that cannot be understood
/// is taken for one that asks for nothing.
fn asked<'de, D: serde::Deserializer<'de>>(section: D) -> Result<Option<SandboxKeys>, D::Error> {
    let section = serde_json::Value::deserialize(section)?;
    if section.is_null() {
        return Ok(None);
    }
    let strict = || SandboxKeys { profile: SandboxProfile::Strict, ..SandboxKeys::default() };
    let mut keys = serde_json::from_value::<SandboxKeys>(section.clone()).unwrap_or_else(|error| {
        tracing::warn!(%error, "the sandbox that a plugin's manifest asks for cannot be understood");
        strict()
    });
    if section.get("profile").is_none() {
        keys.profile = SandboxProfile::Strict;
    }
    Ok(Some(keys))
}

/// What the program can do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Abilities {
    hooks: Vec<String>,
}

/// What the program asks to be allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Permissions {
    services: Vec<String>,
}

impl Manifest {
    /// Reads one; `None` for none (`{}`) and for what cannot be read.
    pub(crate) fn read(json: &str) -> Option<Self> {
        let manifest: Self = serde_json::from_str(json).ok()?;
        (manifest != Self::default()).then_some(manifest)
    }

    /// Words of the hooks it has.
    pub(crate) fn hooks(&self) -> &[String] {
        &self.capabilities.hooks
    }

    /// Whether it asks for a service of the gateway.
    pub(crate) fn asks_for(&self, scope: &str) -> bool {
        self.permissions.services.iter().any(|asked| same(asked, scope))
    }
}

/// Whether two words mean one permission: documents and programs call some by different names.
pub(crate) fn same(one: &str, other: &str) -> bool {
    fn code(word: &str) -> &str {
        match word {
            "tools.execute" => "tools.call",
            "plugins.write" => "plugins.config",
            word => word,
        }
    }
    code(one) == code(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifest_tells_hooks_and_services_and_keeps_the_rest_to_itself() {
        let manifest = Manifest::read(
            r#"{"id": "com.acme.echo", "version": "1.0.0", "name": "Echo", "ui": {"slots": []},
                "capabilities": {"hooks": ["pre_auth", "studio_ui"], "primary_hook": "pre_auth"},
                "permissions": {"services": ["kv.readwrite"], "kv": ["read"]}}"#,
        )
        .unwrap();
        assert_eq!(manifest.hooks(), ["pre_auth", "studio_ui"]);
        assert!(manifest.asks_for("kv.readwrite") && !manifest.asks_for("apps.read"));
        assert!(same("tools.execute", "tools.call") && !same("tools.execute", "tools.read"));
    }

    #[test]
    fn no_manifest_is_none() {
        for text in ["{}", "", "[]", "no json", r#"{"id": 3}"#] {
            assert_eq!(Manifest::read(text), None, "{text}");
        }
    }

    #[test]
    fn sandbox_is_strict_unless_its_section_says_otherwise() {
        let profile = |section: &str| {
            let manifest = Manifest::read(&format!(r#"{{"id": "a", "sandbox": {section}}}"#)).unwrap();
            manifest.sandbox.map(|keys| keys.profile)
        };
        assert_eq!(profile("null"), None);
        assert_eq!(profile(r#"{"network": true}"#), Some(SandboxProfile::Strict));
        assert_eq!(profile(r#"{"profile": "compat"}"#), Some(SandboxProfile::Compat));
        for garbled in [r#"{"profile": "loose"}"#, "7", r#"{"network": "often"}"#] {
            assert_eq!(profile(garbled), Some(SandboxProfile::Strict), "{garbled}");
        }
    }
}
