//! What a native kind does not say of itself and a manifest wants to know.

use super::Tier;

/// What stands in the manifest of a native kind beside its name, description and hooks. Every field has a default.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// Its version. Default `0.0.0`.
    pub version: &'static str,
    /// Who wrote it. Default `Unknown`.
    pub author: &'static str,
    /// Words to find it by. Default: the words of its name.
    pub tags: &'static [&'static str],
    /// How much time it adds to a call. Default [`Tier::High`], less than 1 ms.
    pub tier: Tier,
    /// The smallest configuration it can be made of, as JSON, where that is not an empty one.
    pub sample: Option<&'static str>,
}

impl Default for About {
    fn default() -> Self {
        Self { version: "0.0.0", author: "Unknown", tags: &[], tier: Tier::High, sample: None }
    }
}
