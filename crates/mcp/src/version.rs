//! The revisions of the protocol, choosing one, and what differs between them.
//!
//! Revisions are an ordered list of known ones, not strings to compare: an unknown revision is not "newer"
//! because its date is.

use std::fmt;
use std::str::FromStr;

/// Names of the HTTP headers MCP uses, in the case the specification writes them.
pub mod header {
    /// The revision a request is made in; required from 2025-06-18 on, after `initialize`.
    pub const PROTOCOL_VERSION: &str = "MCP-Protocol-Version";
    /// The session; up to 2025-11-25.
    pub const SESSION_ID: &str = "Mcp-Session-Id";
    /// The last event seen, when a stream is resumed; up to 2025-11-25.
    pub const LAST_EVENT_ID: &str = "Last-Event-ID";
    /// The method of the request in the body; required from 2026-07-28 on.
    pub const METHOD: &str = "Mcp-Method";
    /// The name or URI that the request in the body is about; required from 2026-07-28 on.
    pub const NAME: &str = "Mcp-Name";
    /// What a header begins with that repeats an argument of a tool call; from 2026-07-28 on.
    pub const PARAM_PREFIX: &str = "Mcp-Param-";
}

/// A revision of the protocol. Ordered by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// 2024-11-05: the first, with HTTP+SSE as its network transport.
    V2024_11_05,
    /// 2025-03-26: streamable HTTP, batches.
    V2025_03_26,
    /// 2025-06-18: structured results, elicitation, no batches, a version header.
    V2025_06_18,
    /// 2025-11-25: tasks, icons, URL elicitation. The last with `initialize`.
    V2025_11_25,
    /// 2026-07-28: without sessions; every request says for itself who asks.
    V2026_07_28,
}

impl Version {
    /// All revisions, oldest first.
    pub const ALL: [Self; 5] =
        [Self::V2024_11_05, Self::V2025_03_26, Self::V2025_06_18, Self::V2025_11_25, Self::V2026_07_28];
    /// The newest.
    pub const LATEST: Self = Self::V2026_07_28;
    /// The newest that a session can be opened in.
    pub const LATEST_WITH_INITIALIZE: Self = Self::V2025_11_25;
    /// What a request over streamable HTTP is taken for when it carries no version header.
    pub const WITHOUT_HEADER: Self = Self::V2025_03_26;

    /// The revision as it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V2024_11_05 => "2024-11-05",
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }

    /// The revision a server answers `initialize` with: the one asked for where it is known and has
    /// `initialize`, else [`Version::LATEST_WITH_INITIALIZE`], which the client takes or leaves.
    #[must_use]
    pub fn negotiate(asked: &str) -> Self {
        match asked.parse::<Self>() {
            Ok(version) if version.has_initialize() => version,
            _ => Self::LATEST_WITH_INITIALIZE,
        }
    }

    /// Whether sessions are opened with `initialize`; else each request carries what that would have said.
    #[must_use]
    pub fn has_initialize(self) -> bool {
        self < Self::V2026_07_28
    }

    /// Whether a body may hold several messages.
    #[must_use]
    pub fn has_batches(self) -> bool {
        self == Self::V2025_03_26
    }

    /// Whether requests over HTTP must carry [`header::PROTOCOL_VERSION`] (after `initialize`, where there is
    /// one).
    #[must_use]
    pub fn needs_version_header(self) -> bool {
        self >= Self::V2025_06_18
    }

    /// Whether requests over HTTP must carry [`header::METHOD`] and, where it applies, [`header::NAME`].
    #[must_use]
    pub fn needs_routing_headers(self) -> bool {
        self >= Self::V2026_07_28
    }

    /// Whether tool results may carry `structuredContent` and tools an `outputSchema`.
    #[must_use]
    pub fn has_structured_content(self) -> bool {
        self >= Self::V2025_06_18
    }

    /// Whether the server may send `elicitation/create`.
    #[must_use]
    pub fn has_elicitation(self) -> bool {
        (Self::V2025_06_18..=Self::V2025_11_25).contains(&self)
    }

    /// Whether the server may send requests to the client at all.
    #[must_use]
    pub fn has_server_requests(self) -> bool {
        self.has_initialize()
    }

    /// Whether the network transport is streamable HTTP, with one path for all; before, it was a GET stream that
    /// names the path to POST to.
    #[must_use]
    pub fn has_streamable_http(self) -> bool {
        self >= Self::V2025_03_26
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A revision that is not known here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "could not read the protocol version: known are 2024-11-05, 2025-03-26, 2025-06-18, 2025-11-25 and 2026-07-28"
)]
pub struct UnknownVersion;

impl FromStr for Version {
    type Err = UnknownVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|version| version.as_str() == text).ok_or(UnknownVersion)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_reads_back_and_the_order_is_by_age() {
        for pair in Version::ALL.windows(2) {
            assert!(pair[0] < pair[1]);
            assert!(pair[0].as_str() < pair[1].as_str());
        }
        for version in Version::ALL {
            assert_eq!(version.to_string().parse(), Ok(version));
        }
    }

    #[test]
    fn known_version_is_answered_with_itself_and_others_with_the_latest_that_has_initialize() {
        assert_eq!(Version::negotiate("2024-11-05"), Version::V2024_11_05);
        assert_eq!(Version::negotiate("2025-11-25"), Version::V2025_11_25);
        for asked in ["2026-07-28", "2099-01-01", "", "zzz", "2025-03-26 "] {
            assert_eq!(Version::negotiate(asked), Version::V2025_11_25, "{asked}");
        }
    }
}
