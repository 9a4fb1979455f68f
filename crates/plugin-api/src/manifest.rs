//! What a plugin says of itself before any of its code runs: `plugin-manifest.yaml`.
//!
//! Host and authors share this type; reading the file, with errors that name line and column, is the host's. Nothing
//! here grants anything: a manifest is a claim by whoever wrote it. The long form of the specification and the short
//! one (description, author, version, tags, hooks, default configuration) are the same type, since the long form's
//! further fields are all optional. What is text in the file and has a meaning (versions, ranges, dependencies,
//! permissions) is a type that cannot hold anything without one.

mod about;
mod dependency;
mod permission;
mod range;

#[cfg(test)]
mod tests;

use std::fmt;

use schemars::JsonSchema;
use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use about::About;
pub use dependency::{Dependency, DependencyError, Needed, slug};
pub use permission::{Action, Permission, PermissionError};
pub use range::{FRAMEWORK_NAME, FrameworkRange, RangeError, Release, VersionRange, framework_versions};

/// File name of a manifest.
pub const MANIFEST_FILE: &str = "plugin-manifest.yaml";

/// What a plugin says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Name for people. Not given, that of the folder it stands in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub name: Option<String>,
    /// What a configuration's `kind:` has to say to mean this plugin: a class path, or `builtin.NAME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 500))]
    pub kind: Option<String>,
    /// What it does.
    #[schemars(length(min = 1))]
    pub description: String,
    /// Who wrote it.
    #[schemars(length(min = 1))]
    pub author: String,
    /// Its semantic version: `2.1.0`.
    #[schemars(with = "String")]
    pub version: Version,
    /// Licence identifier: `MIT`, `Apache-2.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// Its page on the web (`http` or `https`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub homepage: Option<String>,
    /// Where its source is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// Hooks it can run at. `hooks` is read as the same key.
    #[serde(default, alias = "hooks", skip_serializing_if = "Vec::is_empty")]
    pub available_hooks: Vec<String>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Whether its code runs inside the gateway or elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin_type: Option<PluginType>,
    /// Language it is written in: `python`, `typescript`, `go`, `rust`, `java`, or any other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// How much time it adds to a call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub performance_tier: Option<Tier>,
    /// A configuration to start from; a template for people, never applied by itself. `default_configs` is read as the
    /// same key.
    #[serde(default, alias = "default_configs", skip_serializing_if = "Map::is_empty")]
    pub default_config: Map<String, Value>,
    /// What it needs to run.
    #[serde(default, skip_serializing_if = "Requirements::is_empty")]
    pub requirements: Requirements,
    /// Packages it uses, and plugins it needs: `spacy>=3.4.0`, `plugin:pii-filter>=1.0`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<Dependency>,
    /// What it is like.
    #[serde(default, skip_serializing_if = "Features::is_empty")]
    pub features: Features,
    /// Where its documentation is.
    #[serde(default, skip_serializing_if = "Documentation::is_empty")]
    pub documentation: Documentation,
    /// Where its tests are.
    #[serde(default, skip_serializing_if = "Testing::is_empty")]
    pub testing: Testing,
    /// Versions of the framework and of Python that it works with.
    #[serde(default, skip_serializing_if = "Compatibility::is_empty")]
    pub compatibility: Compatibility,
    /// How it is deployed.
    #[serde(default, skip_serializing_if = "Deployment::is_empty")]
    pub deployment: Deployment,
    /// Versions of the framework it works with, in one text: `mcp-plugin-framework>=1.0.0,<2.0.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub framework_compatibility: Option<FrameworkRange>,
    /// What it asks to be allowed.
    #[serde(default, rename = "capabilities", skip_serializing_if = "Vec::is_empty")]
    pub permissions: Vec<Permission>,
    /// Signature over it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing: Option<Signing>,
    /// Where it is in a repository of many plugins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monorepo: Option<Map<String, Value>>,
    /// Its package in a registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package_info: Option<Map<String, Value>>,
    /// Its folder on this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<Value>,
    /// Its git repository and what to check out of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_repo: Option<Map<String, Value>>,
}

impl Manifest {
    /// A manifest with nothing but what every one must have.
    #[must_use]
    pub fn new(description: impl Into<String>, author: impl Into<String>, version: Version) -> Self {
        Self {
            name: None,
            kind: None,
            description: description.into(),
            author: author.into(),
            version,
            license: None,
            homepage: None,
            repository: None,
            available_hooks: Vec::new(),
            tags: Vec::new(),
            plugin_type: None,
            language: None,
            performance_tier: None,
            default_config: Map::new(),
            requirements: Requirements::default(),
            dependencies: Vec::new(),
            features: Features::default(),
            documentation: Documentation::default(),
            testing: Testing::default(),
            compatibility: Compatibility::default(),
            deployment: Deployment::default(),
            framework_compatibility: None,
            permissions: Vec::new(),
            signing: None,
            monorepo: None,
            package_info: None,
            local: None,
            git_repo: None,
        }
    }

    /// Why it cannot run under this framework (1.x), in words that follow its name; `None` when it can.
    #[must_use]
    pub fn framework_problem(&self) -> Option<String> {
        let ours = framework_versions();
        let Compatibility { min_framework_version: min, max_framework_version: max, .. } =
            &self.compatibility;
        let wanted = match (&self.framework_compatibility, min, max) {
            (Some(range), ..) if !range.range().overlaps(&ours) => range.to_string(),
            (_, Some(min), _) if !min.and_above().overlaps(&ours) => format!("{FRAMEWORK_NAME}>={min}"),
            (_, _, Some(max)) if !max.and_below().overlaps(&ours) => format!("{FRAMEWORK_NAME}<={max}"),
            _ => return None,
        };
        Some(format!("wants {wanted}, and this is {FRAMEWORK_NAME} 1.x"))
    }
}

/// Where a plugin's code runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PluginType {
    /// Inside the gateway's process.
    Native,
    /// In a process of its own.
    External,
}

/// How much time a plugin adds to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// Less than 1 ms.
    High,
    /// Less than 10 ms.
    Medium,
    /// Less than 100 ms.
    Low,
}

impl Tier {
    /// All tiers, the fastest first.
    pub const ALL: [Self; 3] = [Self::High, Self::Medium, Self::Low];

    /// The word in manifests: `high`, `medium`, `low`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A section of a manifest in which every key is optional.
macro_rules! section {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$about])*
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $($(#[$doc])* #[serde(skip_serializing_if = "is_default")] pub $field: $type,)*
        }

        impl $name {
            /// Whether nothing in it is given.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                *self == Self::default()
            }
        }
    };
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

section! {
    /// What a plugin needs to run.
    Requirements {
        /// Versions of Python: `>=3.11`.
        python_version: Option<VersionRange>,
        /// Memory, in megabytes.
        #[schemars(range(min = 0))]
        memory_mb: Option<f64>,
        /// Processor cores.
        #[schemars(range(min = 0))]
        cpu_cores: Option<f64>,
        /// Longest time for one call, in seconds.
        #[schemars(range(min = 0))]
        timeout_seconds: Option<f64>,
    }
}

section! {
    /// What a plugin is like.
    Features {
        /// It takes a configuration.
        configurable: Option<bool>,
        /// It keeps state between requests.
        stateful: Option<bool>,
        /// It can wait without holding up others.
        async_capable: Option<bool>,
        /// It needs services outside.
        external_dependencies: Option<bool>,
        /// It keeps tenants apart.
        multi_tenant: Option<bool>,
    }
}

section! {
    /// Where a plugin's documentation is, relative to its manifest.
    Documentation {
        /// The first page.
        readme: Option<String>,
        /// Examples.
        examples: Option<String>,
        /// Reference.
        api_docs: Option<String>,
    }
}

section! {
    /// Where a plugin's tests are, relative to its manifest.
    Testing {
        /// Unit tests.
        unit_tests: Option<String>,
        /// Integration tests.
        integration_tests: Option<String>,
        /// Least share of lines that tests must reach, in per cent.
        #[schemars(range(min = 0, max = 100))]
        coverage_threshold: Option<f64>,
    }
}

section! {
    /// Versions that a plugin works with.
    Compatibility {
        /// The oldest framework.
        min_framework_version: Option<Release>,
        /// The newest framework; `2.x.x` means all of 2.
        max_framework_version: Option<Release>,
        /// Versions of Python.
        python_versions: Vec<Release>,
    }
}

section! {
    /// How a plugin is deployed.
    Deployment {
        /// Its container image.
        container_image: Option<String>,
        /// Its Kubernetes manifest, relative to its own.
        k8s_manifest: Option<String>,
        /// Path that answers when it is well.
        health_check_endpoint: Option<String>,
    }
}

/// A signature over a plugin. It is kept and shown; that it is right is nothing this type says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Signing {
    /// How it was made: `ECDSA`.
    #[schemars(length(min = 1))]
    pub algorithm: String,
    /// The signature.
    #[schemars(length(min = 1))]
    pub signature: String,
}
