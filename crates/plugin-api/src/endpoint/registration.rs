//! What a plugin registers: a path below its own, methods, and what the gateway is to see to.

use std::{collections::BTreeMap, fmt};

/// A method that an endpoint can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the words say it")]
pub enum EndpointMethod {
    Get,
    Post,
    Put,
    Delete,
    Patch,
    Options,
    Head,
}

impl EndpointMethod {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Get, Self::Post, Self::Put, Self::Delete, Self::Patch, Self::Options, Self::Head];

    /// The word on the wire: `GET`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Patch => "PATCH",
            Self::Options => "OPTIONS",
            Self::Head => "HEAD",
        }
    }

    /// The method of a word in any letter case.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.word().eq_ignore_ascii_case(word))
    }
}

impl fmt::Display for EndpointMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One path that a plugin serves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointRegistration {
    /// The path below the plugin's own, beginning with a slash: `/token`. `/*` is everything, `/users/*` everything
    /// below `/users/`; an exact path goes before a wildcard, and a longer wildcard before a shorter one.
    pub path: String,
    /// Methods it is served with. `HEAD` and `OPTIONS` are served only where they are among them.
    pub methods: Vec<EndpointMethod>,
    /// What it is for, for people.
    pub description: String,
    /// Whether callers have to be known: the gateway authenticates them, and the plugin is told the app.
    pub require_auth: bool,
    /// Whether it is answered piece by piece.
    pub stream_response: bool,
    /// Data of the plugin's own, shown where endpoints are listed.
    pub metadata: BTreeMap<String, String>,
}

impl EndpointRegistration {
    /// A path with these methods, open to everyone, answered whole.
    #[must_use]
    pub fn new(path: impl Into<String>, methods: impl IntoIterator<Item = EndpointMethod>) -> Self {
        Self { path: path.into(), methods: methods.into_iter().collect(), ..Self::default() }
    }

    /// Says what it is for.
    #[must_use]
    pub fn describe(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// Leaves it to the gateway to know who calls.
    #[must_use]
    pub fn authenticated(mut self) -> Self {
        self.require_auth = true;
        self
    }

    /// Adds data of the plugin's own.
    #[must_use]
    pub fn with_metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }
}
