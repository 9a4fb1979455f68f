//! SQLite: a file, one connection that writes, a few that read and end when nobody has asked for a while.

use std::{path::Path, time::Duration};

use futures_util::future::BoxFuture;
use sqlx::{
    AssertSqlSafe, Column as _, Row as _, TypeInfo as _, ValueRef as _,
    query::Query,
    sqlite::{
        SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow,
        SqliteSynchronous,
    },
};

use super::{Driver, Undone, Words, failed, undone};
use crate::{
    Place, StoreError,
    sql::{Done, Row, Statement, Value},
};

/// Connections that read at once.
const READERS: u32 = 2;

/// How long a connection nobody uses is kept.
const IDLE: Duration = Duration::from_secs(30);

/// How long a statement waits for a turn.
const PATIENCE: Duration = Duration::from_secs(10);

const WORDS: Words =
    Words { id: "INTEGER PRIMARY KEY AUTOINCREMENT", int: "INTEGER", real: "REAL", bytes: "BLOB" };

pub(super) struct Sqlite {
    readers: SqlitePool,
    writer: SqlitePool,
}

impl Sqlite {
    pub(super) async fn open(path: &Path, place: &Place) -> Result<Self, StoreError> {
        make(path).map_err(|source| StoreError::Open { place: place.clone(), source: source.into() })?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .foreign_keys(true)
            .busy_timeout(PATIENCE)
            // KiB when negative: what is asked for is small.
            .pragma("cache_size", "-256")
            .statement_cache_capacity(32);
        let pool = |most| {
            SqlitePoolOptions::new().max_connections(most).idle_timeout(IDLE).acquire_timeout(PATIENCE)
        };
        let opening = |source: sqlx::Error| StoreError::Open { place: place.clone(), source: source.into() };
        let writer = pool(1).connect_with(options.clone()).await.map_err(opening)?;
        Ok(Self { readers: pool(READERS).connect_lazy_with(options), writer })
    }
}

/// Makes the file for its owner only: SQLite would make it for everybody.
fn make(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path).map(drop)
}

impl Driver for Sqlite {
    fn words(&self) -> &'static Words {
        &WORDS
    }

    fn read(&self, statement: Statement) -> BoxFuture<'_, Result<Vec<Row>, StoreError>> {
        Box::pin(async move {
            let doing = statement.doing;
            let rows = query(statement).fetch_all(&self.readers).await;
            rows.and_then(|rows| rows.iter().map(row).collect()).map_err(|error| failed(doing, error))
        })
    }

    fn write(&self, statements: Vec<Statement>) -> BoxFuture<'_, Result<Vec<Done>, Undone>> {
        Box::pin(async move {
            let doing = statements.first().map_or("writing", |first| first.doing);
            // At once for writing: a reader that becomes a writer later may find that it cannot.
            let begun = self.writer.begin_with("BEGIN IMMEDIATE").await;
            let mut transaction = begun.map_err(|error| undone(doing, error))?;
            let mut all = Vec::with_capacity(statements.len());
            for statement in statements {
                let (doing, must_touch) = (statement.doing, statement.must_touch);
                let failed = |error| undone(doing, error);
                let done = if statement.answers() {
                    let rows = query(statement).fetch_all(&mut *transaction).await.map_err(failed)?;
                    let rows: Vec<Row> = rows.iter().map(row).collect::<Result<_, _>>().map_err(failed)?;
                    Done { touched: rows.len() as u64, rows }
                } else {
                    let done = query(statement).execute(&mut *transaction).await.map_err(failed)?;
                    Done { touched: done.rows_affected(), rows: Vec::new() }
                };
                if must_touch && done.touched == 0 {
                    return Err(Undone::Untouched);
                }
                all.push(done);
            }
            transaction.commit().await.map_err(|error| undone(doing, error))?;
            Ok(all)
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.readers.close().await;
            self.writer.close().await;
        })
    }
}

fn query(statement: Statement) -> Query<'static, sqlx::Sqlite, SqliteArguments> {
    let mut query = sqlx::query(AssertSqlSafe(statement.text));
    for value in statement.values {
        query = match value {
            Value::Int(value) => query.bind(value),
            Value::Real(value) => query.bind(value),
            Value::Text(value) => query.bind(value),
            Value::Bytes(value) => query.bind(value),
        };
    }
    query
}

fn row(row: &SqliteRow) -> Result<Row, sqlx::Error> {
    let value = |column: &sqlx::sqlite::SqliteColumn| {
        let at = column.ordinal();
        let raw = row.try_get_raw(at)?;
        if raw.is_null() {
            return Ok(Value::Int(None));
        }
        let kind = raw.type_info().into_owned();
        Ok(match kind.name() {
            "REAL" => Value::Real(row.try_get(at)?),
            "TEXT" => Value::Text(row.try_get(at)?),
            "BLOB" => Value::Bytes(row.try_get(at)?),
            _ => Value::Int(row.try_get(at)?),
        })
    };
    row.columns().iter().map(value).collect::<Result<_, _>>().map(Row)
}
