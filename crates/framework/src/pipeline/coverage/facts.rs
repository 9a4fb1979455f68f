//! What is known of calls that nobody has made yet, and what follows from it.
//!
//! A `Truth` has a third value beside yes and no, which names what it depends on. Scopes and conditions judge
//! `Facts` by the rules by which they match calls; a property test holds the two together: whatever is filled in for
//! what is not known, a yes stays a yes and a no a no.

use std::{ops::BitOr, sync::Arc};

use mortise_plugin_api::{Caller, Request};
use serde::{Serialize, Serializer};

/// A value of a caller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Fact {
    /// It could be anything.
    #[default]
    Unknown,
    /// The caller has none.
    Absent,
    /// It is this one.
    Is(Arc<str>),
}

impl Fact {
    /// A value that is known, also where it is none.
    pub fn known(value: Option<Arc<str>>) -> Self {
        value.map_or(Self::Absent, Self::Is)
    }

    /// The verdict of a test that looks at the value where `asked` is there.
    pub(crate) fn judge<T>(
        &self,
        asked: Option<T>,
        field: Fields,
        test: impl FnOnce(Option<&str>) -> Truth,
    ) -> Truth {
        match (asked, self) {
            (None, _) => Truth::Yes,
            (Some(_), Self::Unknown) => Truth::Unknown(field),
            (Some(_), Self::Absent) => test(None),
            (Some(_), Self::Is(value)) => test(Some(value)),
        }
    }
}

/// Who calls, as far as that is known. By default nothing is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Who {
    /// The app.
    pub app: Fact,
    /// The user.
    pub user: Fact,
    /// The tenant.
    pub tenant: Fact,
    /// The teams; `None` where they are not known.
    pub teams: Option<Vec<Arc<str>>>,
}

impl Who {
    /// A caller of whom everything is known.
    pub fn is(caller: &Caller) -> Self {
        Self {
            app: Fact::known(caller.app.clone()),
            user: Fact::known(caller.user.clone()),
            tenant: Fact::known(caller.tenant.clone()),
            teams: Some(caller.teams.clone()),
        }
    }
}

/// A call that nobody has made yet.
#[derive(Debug)]
pub(crate) struct Facts<'a> {
    /// Everything but the caller, who is not looked at there.
    pub(crate) request: &'a Request,
    /// Who calls.
    pub(crate) who: &'a Who,
    /// The name of what is called; `None` where that is not known.
    pub(crate) subject: Option<&'a str>,
    /// The content's type, if it has one; `None` where that is not known.
    pub(crate) content_type: Option<Option<&'a str>>,
}

/// Things that an answer can depend on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fields(u8);

impl Fields {
    /// The app that calls.
    pub const APP: Self = Self(1);
    /// The user.
    pub const USER: Self = Self(2);
    /// The tenant.
    pub const TENANT: Self = Self(4);
    /// The teams.
    pub const TEAM: Self = Self(8);
    /// The type of the content.
    pub const CONTENT_TYPE: Self = Self(16);
    /// The name: of a resource template, the URI it is filled in to.
    pub const NAME: Self = Self(32);

    const WORDS: [(Self, &'static str); 6] = [
        (Self::APP, "app"),
        (Self::USER, "user"),
        (Self::TENANT, "tenant"),
        (Self::TEAM, "team"),
        (Self::CONTENT_TYPE, "content_type"),
        (Self::NAME, "uri"),
    ];

    /// Stable words, in a fixed order: `app`, `user`, `tenant`, `team`, `content_type`, `uri`.
    pub fn words(self) -> Vec<&'static str> {
        Self::WORDS.iter().filter(|(field, _)| self.0 & field.0 != 0).map(|(_, word)| *word).collect()
    }
}

impl BitOr for Fields {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.words().serialize(serializer)
    }
}

/// Yes, no, or that it depends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Truth {
    Yes,
    No,
    Unknown(Fields),
}

impl Truth {
    pub(crate) fn of(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }

    pub(crate) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Unknown(a), Self::Unknown(b)) => Self::Unknown(a | b),
            (Self::Unknown(fields), Self::Yes) | (Self::Yes, Self::Unknown(fields)) => Self::Unknown(fields),
            (Self::Yes, Self::Yes) => Self::Yes,
        }
    }

    pub(crate) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Yes, _) | (_, Self::Yes) => Self::Yes,
            (Self::Unknown(a), Self::Unknown(b)) => Self::Unknown(a | b),
            (Self::Unknown(fields), Self::No) | (Self::No, Self::Unknown(fields)) => Self::Unknown(fields),
            (Self::No, Self::No) => Self::No,
        }
    }
}
