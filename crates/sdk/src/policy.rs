//! What the mode of a served plugin means for its answers.
//!
//! Both ends apply a mode: the gateway the one of its entry, and a plugin server the one of its own. So a plugin that
//! may only observe here cannot block there.

/// The switches of one served plugin. The default is that of `enforce`: violations and errors are told as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Whether its violations are told; otherwise the call goes on.
    pub blocks: bool,
    /// Whether its changes are told.
    pub changes: bool,
    /// Whether what it writes for other plugins is told.
    pub shares: bool,
    /// What becomes of its errors.
    pub trouble: Trouble,
}

/// What becomes of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It is told; the gateway decides.
    Tell,
    /// The call goes on.
    Pass,
    /// The call goes on, and the plugin is not called again.
    PassAndDisable,
}

impl Default for Policy {
    fn default() -> Self {
        Self { blocks: true, changes: true, shares: true, trouble: Trouble::Tell }
    }
}
