//! What outlives a gateway in a database: apps, their tokens, plugins, LLMs, prices, plugins' own values, and records.
//!
//! SQLite in a file, or PostgreSQL by URL; both say the same to every question, which one suite of tests holds. What is
//! looked for, sorted by or unique has a column; the rest of an entity is one JSON document beside them, so that a new
//! field needs no migration. Moments are whole milliseconds since 1970, numbers 64 bits wide: the same in both.
//!
//! Every change of what gateways are configured by is one row in `changes`, written in the same transaction. A gateway
//! asks for what is newer than what it has seen, so one look-up tells that nothing has changed, and another gateway's
//! change is taken over like one's own, entity by entity.
//!
//! Not here: what entities mean to a gateway, and when a database is opened. Nothing is until somebody needs it.
#![cfg_attr(
    not(any(feature = "sqlite", feature = "postgres")),
    expect(dead_code, reason = "without a driver nothing is ever asked for")
)]

pub mod documents;
pub mod entity;
pub mod error;
pub mod place;
pub mod records;

mod changes;
mod collection;
mod driver;
mod migrations;
mod sql;
mod values;

use std::sync::Arc;

pub use changes::{Change, Changes, What};
pub use collection::{Collection, Filter, Listing, Page};
pub use entity::{App, Llm, Plugin, Price, Stored, Token};
pub use error::StoreError;
pub use place::Place;
pub use records::{Day, Kept, Kind, Record, Spent, Usage};
pub use values::{MAX_KEY, MAX_VALUE, PluginValues};

use driver::Driver;

/// A database that is open. Cheap to clone; the last one closes nothing: [`Store::close`] does.
#[derive(Clone)]
pub struct Store {
    driver: Arc<dyn Driver>,
    place: Place,
}

impl Store {
    /// Opens a database, makes it where it is a file that is not there, and brings its tables up to date.
    ///
    /// # Errors
    /// When it cannot be reached or written, is newer than this program, or this build has no driver for it.
    pub async fn open(place: &Place) -> Result<Self, StoreError> {
        let driver = driver::open(place).await?;
        migrations::run(&*driver).await?;
        Ok(Self { driver, place: place.clone() })
    }

    /// Where it is.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The apps that may call.
    #[must_use]
    pub fn apps(&self) -> Collection<'_, App> {
        Collection::new(&*self.driver)
    }

    /// Their tokens.
    #[must_use]
    pub fn tokens(&self) -> Collection<'_, Token> {
        Collection::new(&*self.driver)
    }

    /// Plugins.
    #[must_use]
    pub fn plugins(&self) -> Collection<'_, Plugin> {
        Collection::new(&*self.driver)
    }

    /// LLMs.
    #[must_use]
    pub fn llms(&self) -> Collection<'_, Llm> {
        Collection::new(&*self.driver)
    }

    /// What models cost.
    #[must_use]
    pub fn prices(&self) -> Collection<'_, Price> {
        Collection::new(&*self.driver)
    }

    /// Closes every connection, once what is under way has ended.
    pub async fn close(&self) {
        self.driver.close().await;
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("place", &self.place).finish_non_exhaustive()
    }
}

/// The current moment, in milliseconds since 1970.
pub(crate) fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
