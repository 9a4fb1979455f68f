//! One trait for both databases, and who implements it.
//!
//! Small on purpose: what differs between databases differs here and in the words of the migrations, and everything else
//! is written once.

#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::{
    Place, StoreError,
    sql::{Done, Row, Statement},
};

/// A database.
pub(crate) trait Driver: Send + Sync {
    /// Its words where they differ.
    fn words(&self) -> &'static Words;

    /// Asks for rows.
    fn read(&self, statement: Statement) -> BoxFuture<'_, Result<Vec<Row>, StoreError>>;

    /// Does all of these, or none.
    fn write(&self, statements: Vec<Statement>) -> BoxFuture<'_, Result<Vec<Done>, Undone>>;

    /// Ends every connection.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// Words of a database that are its own.
pub(crate) struct Words {
    /// A number of its own for each row, never given twice.
    pub(crate) id: &'static str,
    pub(crate) int: &'static str,
    pub(crate) real: &'static str,
    pub(crate) bytes: &'static str,
}

/// Why nothing was written.
#[derive(Debug)]
pub(crate) enum Undone {
    /// A row with this value is there already; the columns, as far as the database tells.
    Taken(String),
    /// What a row refers to is not there.
    NoSuchReference,
    /// A statement touched no row although it had to.
    Untouched,
    /// The database failed.
    Failed(StoreError),
}

impl Undone {
    /// The same where only failure is expected.
    pub(crate) fn into_error(self, what: &'static str) -> StoreError {
        match self {
            Self::Taken(columns) => StoreError::Taken { what, field: field_of(&columns) },
            Self::NoSuchReference => {
                StoreError::Unfit { what, field: "app", why: "is none that there is".to_owned() }
            }
            Self::Untouched => StoreError::Missing { what, id: 0 },
            Self::Failed(error) => error,
        }
    }
}

/// The field that a unique column is about: of `apps.name` or `apps_name_key`, `name`.
fn field_of(columns: &str) -> String {
    let fields = ["name", "slug", "digest", "model"];
    let found = fields
        .into_iter()
        .find(|field| columns.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == *field));
    found.unwrap_or("name").to_owned()
}

/// Opens the database at a place.
pub(crate) async fn open(place: &Place) -> Result<Arc<dyn Driver>, StoreError> {
    match place {
        #[cfg(feature = "sqlite")]
        Place::File(path) => Ok(Arc::new(sqlite::Sqlite::open(path, place).await?)),
        #[cfg(feature = "postgres")]
        Place::Postgres(url) => Ok(Arc::new(postgres::Postgres::open(url, place).await?)),
        #[cfg(not(all(feature = "sqlite", feature = "postgres")))]
        other => Err(StoreError::NoDriver(other.clone())),
    }
}

/// The errors of a driver, told apart.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
fn undone(doing: &'static str, error: sqlx::Error) -> Undone {
    if let sqlx::Error::Database(said) = &error {
        if said.is_unique_violation() {
            // SQLite names the columns in its message, PostgreSQL the constraint.
            return Undone::Taken(said.constraint().unwrap_or(said.message()).to_owned());
        }
        if said.is_foreign_key_violation() {
            return Undone::NoSuchReference;
        }
    }
    Undone::Failed(failed(doing, error))
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
fn failed(doing: &'static str, error: sqlx::Error) -> StoreError {
    StoreError::Failed { doing, source: Box::new(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unique_columns_are_told_by_their_field() {
        for (said, field) in [
            ("UNIQUE constraint failed: apps.name", "name"),
            ("plugins_slug_key", "slug"),
            ("prices_vendor_model_valid_from_key", "model"),
            ("UNIQUE constraint failed: tokens.digest", "digest"),
        ] {
            assert_eq!(field_of(said), field, "{said}");
        }
    }
}
