//! How a plugin fails, as opposed to how it refuses.
//!
//! A refusal is a [`Violation`](crate::Violation), a decision about the call. A [`PluginError`] says that there
//! was no decision; what becomes of the call is then the plugin's mode's business, never the plugin's.

use serde_json::{Map, Value};

/// Why a plugin gave no answer.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PluginError {
    /// The plugin ran and failed.
    #[error("{message}")]
    Failed {
        /// What went wrong, for logs and, under `enforce`, for the caller.
        message: String,
        /// A code of the plugin's own, may be empty.
        code: String,
        /// Anything else worth telling.
        details: Map<String, Value>,
    },
    /// The plugin panicked; the text is the panic's message.
    #[error("panicked: {0}")]
    Panicked(String),
    /// The plugin is not there: not started, away, not installed, or its breaker is open.
    #[error("not available: {0}")]
    Unavailable(String),
    /// The plugin did not answer within its deadline.
    #[error("no answer within {}", Millis(*.0))]
    Timeout(std::time::Duration),
    /// The plugin answered with something that is no answer to this hook.
    #[error("invalid answer: {0}")]
    InvalidAnswer(String),
    /// A payload could not be encoded for, or decoded from, a foreign runtime.
    #[error("payload of {hook} could not be {action}: {reason}")]
    Payload {
        /// Name of the hook.
        hook: &'static str,
        /// `encoded` or `decoded`.
        action: &'static str,
        /// What the encoder or decoder said.
        reason: String,
    },
    /// A host service was asked for that this host does not offer or that the plugin may not use.
    #[error("host service {0} is not available to this plugin")]
    NoService(&'static str),
}

impl PluginError {
    /// A failure with only a message.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::Failed { message: message.into(), code: String::new(), details: Map::new() }
    }

    /// A stable word for metrics and logs: `error`, `panic`, `unavailable`, `timeout`, `invalid_answer`,
    /// `payload`, `no_service`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Failed { .. } => "error",
            Self::Panicked(_) => "panic",
            Self::Unavailable(_) => "unavailable",
            Self::Timeout(_) => "timeout",
            Self::InvalidAnswer(_) => "invalid_answer",
            Self::Payload { .. } => "payload",
            Self::NoService(_) => "no_service",
        }
    }
}

/// Shows a duration in milliseconds, as time limits are configured and compared.
struct Millis(std::time::Duration);

impl std::fmt::Display for Millis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ms", self.0.as_millis())
    }
}
