//! What can go wrong with a database.

use crate::Place;

/// Something a driver says.
pub(crate) type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a database did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// It cannot be opened.
    #[error("cannot open the database at {place}")]
    Open {
        /// Where it is.
        place: Place,
        /// What the driver says.
        #[source]
        source: Source,
    },
    /// This build has no driver for it.
    #[error("this build of mortise has no driver for the database at {0}")]
    NoDriver(Place),
    /// It was brought up to date by a later version.
    #[error(
        "the database was written by a later version: its tables are at step {found}, this version knows {known}"
    )]
    TooNew {
        /// The last step it has seen.
        found: i64,
        /// The last step there is here.
        known: i64,
    },
    /// There is another one of that name.
    #[error("another {what} has this {field} already")]
    Taken {
        /// What sort of thing: `app`.
        what: &'static str,
        /// Which field: `name`.
        field: String,
    },
    /// It is not there.
    #[error("there is no {what} {id}")]
    Missing {
        /// What sort of thing.
        what: &'static str,
        /// Its number.
        id: i64,
    },
    /// Something in it is wrong.
    #[error("`{field}` of the {what} {why}")]
    Unfit {
        /// What sort of thing.
        what: &'static str,
        /// Which field.
        field: &'static str,
        /// What is wrong with it, and what it may be.
        why: String,
    },
    /// A plugin has written as much as it may.
    #[error("the plugin's values are full: at most {keys} keys and {bytes} bytes")]
    Full {
        /// Most keys.
        keys: i64,
        /// Most bytes.
        bytes: i64,
    },
    /// What stands in the database cannot be read.
    #[error("the database holds a {what} that cannot be read")]
    Garbled {
        /// What sort of thing.
        what: &'static str,
        /// What is wrong with it.
        #[source]
        source: Source,
    },
    /// The database failed.
    #[error("the database failed while {doing}")]
    Failed {
        /// What was being done.
        doing: &'static str,
        /// What the driver says.
        #[source]
        source: Source,
    },
}

impl StoreError {
    /// Whether what was asked for is wrong, rather than the database.
    #[must_use]
    pub fn is_the_askers(&self) -> bool {
        matches!(self, Self::Taken { .. } | Self::Missing { .. } | Self::Unfit { .. } | Self::Full { .. })
    }
}
