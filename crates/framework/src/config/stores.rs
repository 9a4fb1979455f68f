//! Stores of secrets that values refer to: `${SCHEME:...}`.
//!
//! The seam between the expansion of values and whatever keeps secrets elsewhere. Reading a configuration is one
//! synchronous piece of work, so asking a store is, too; a store that goes over the network brings what it needs for
//! that, and its own time limits. Nothing here knows any store.

use std::fmt;

/// Something that gives a value for a reference.
pub trait SecretStore: Send + Sync + 'static {
    /// The value of what stands behind the scheme, as written.
    ///
    /// # Errors
    /// When there is none, or the store does not say.
    fn look_up(&self, reference: &str) -> Result<String, NoSecret>;
}

/// Why there is no value. Neither form may repeat one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoSecret {
    /// The store has none there: a default stands in where one is given.
    Absent(String),
    /// The store does not say, or the reference is none: a default must not hide that.
    Failed(String),
}

impl NoSecret {
    /// The reason, as a clause behind the reference.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Absent(reason) | Self::Failed(reason) => reason,
        }
    }
}

impl fmt::Display for NoSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl std::error::Error for NoSecret {}
