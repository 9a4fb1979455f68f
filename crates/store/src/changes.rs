//! What has changed since a gateway last looked.

use crate::{
    Store, StoreError,
    sql::{Row, Statement},
};

/// Changes that are kept: a gateway that has missed more reads everything anew.
const KEPT: i64 = 10_000;

/// Changes that are read at once.
const MOST: usize = 5_000;

/// What an entity is, as changes name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum What {
    /// An app.
    App,
    /// A token.
    Token,
    /// A plugin.
    Plugin,
    /// An LLM.
    Llm,
    /// A price.
    Price,
}

impl What {
    const ALL: [Self; 5] = [Self::App, Self::Token, Self::Plugin, Self::Llm, Self::Price];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Token => "token",
            Self::Plugin => "plugin",
            Self::Llm => "llm",
            Self::Price => "price",
        }
    }
}

/// One entity that was made, changed or removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Change {
    /// What it is.
    pub what: What,
    /// Its number.
    pub id: i64,
}

/// What has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// The last change there is: where to go on from.
    pub revision: i64,
    /// What changed, oldest first; `None` where more did than is known of, and everything has to be read anew.
    pub changed: Option<Vec<Change>>,
}

impl Store {
    /// The last change there is, 0 before the first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn revision(&self) -> Result<i64, StoreError> {
        let ask = Statement::new("looking for changes", "SELECT COALESCE(MAX(revision), 0) FROM changes");
        first(&self.driver.read(ask).await?)
    }

    /// What changed after a revision.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn changes_since(&self, revision: i64) -> Result<Changes, StoreError> {
        let now = self.revision().await?;
        // Behind what was seen: another database took this one's place.
        if now < revision {
            return Ok(Changes { revision: now, changed: None });
        }
        if now == revision {
            return Ok(Changes { revision, changed: Some(Vec::new()) });
        }
        let text =
            "SELECT revision, kind, entity FROM changes WHERE revision > $1 ORDER BY revision LIMIT 5001";
        let rows = self.driver.read(Statement::new("reading changes", text).with(revision)).await?;
        let oldest = "SELECT COALESCE(MIN(revision), 0) FROM changes";
        let oldest = first(&self.driver.read(Statement::new("reading changes", oldest)).await?)?;
        if rows.len() > MOST || (revision > 0 && oldest > revision + 1) || (revision == 0 && oldest > 1) {
            return Ok(Changes { revision: now, changed: None });
        }
        let mut last = revision;
        let mut changed = Vec::with_capacity(rows.len());
        for row in &rows {
            last = row.int(0)?;
            let word = row.text(1)?;
            // What a later version knows is nothing to this one.
            if let Some(what) = What::ALL.into_iter().find(|what| what.word() == word) {
                let change = Change { what, id: row.int(2)? };
                changed.retain(|known| *known != change);
                changed.push(change);
            }
        }
        Ok(Changes { revision: last, changed: Some(changed) })
    }

    /// Lets go of changes that every gateway has had the time to see.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget_changes(&self) -> Result<(), StoreError> {
        let text = "DELETE FROM changes WHERE revision <= (SELECT MAX(revision) FROM changes) - $1";
        let forget = Statement::new("letting go of changes", text).with(KEPT);
        self.driver.write(vec![forget]).await.map(drop).map_err(|undone| undone.into_error("change"))
    }

    /// A number that is kept under a name; 0 before it was set.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn fact(&self, name: &str) -> Result<i64, StoreError> {
        let ask = Statement::new("reading a fact", "SELECT number FROM facts WHERE name = $1").with(name);
        self.driver.read(ask).await?.first().map_or(Ok(0), |row| row.int(0))
    }

    /// Keeps a number under a name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn keep_fact(&self, name: &str, number: i64) -> Result<(), StoreError> {
        let text = "INSERT INTO facts (name, number) VALUES ($1, $2) \
                    ON CONFLICT (name) DO UPDATE SET number = excluded.number";
        let keep = Statement::new("keeping a fact", text).with(name).with(number);
        self.driver.write(vec![keep]).await.map(drop).map_err(|undone| undone.into_error("fact"))
    }
}

/// The note of a change, written with it.
pub(crate) fn note(what: What, id: i64) -> Statement {
    let text = "INSERT INTO changes (kind, entity) VALUES ($1, $2)";
    Statement::new("noting a change", text).with(what.word()).with(id)
}

fn first(rows: &[Row]) -> Result<i64, StoreError> {
    rows.first().map_or(Ok(0), |row| row.int(0))
}
