//! The tables, step by step. A step that has been handed out is never changed: what comes later is another step.

use crate::{
    StoreError,
    driver::{Driver, Undone},
    now,
    sql::Statement,
};

/// Every step in order, its number from 1. `{id}`, `{int}`, `{real}` and `{bytes}` are the database's own words.
const STEPS: &[&str] = &[
    include_str!("migrations/0001.sql"),
    include_str!("migrations/0002.sql"),
    include_str!("migrations/0003.sql"),
];

/// Brings the tables up to date.
pub(crate) async fn run(driver: &dyn Driver) -> Result<(), StoreError> {
    let table = "CREATE TABLE IF NOT EXISTS migrations (step {int} PRIMARY KEY, at {int} NOT NULL)";
    write(driver, vec![statement(driver, table)]).await?;
    let ask =
        Statement::new("reading which tables there are", "SELECT COALESCE(MAX(step), 0) FROM migrations");
    let rows = driver.read(ask).await?;
    let found = rows.first().map_or(Ok(0), |row| row.int(0))?;
    let known = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
    if found > known {
        return Err(StoreError::TooNew { found, known });
    }
    for (step, text) in (1..).zip(STEPS).skip_while(|(step, _)| *step <= found) {
        // First, so that of two that begin at once the second finds it taken.
        let mark = Statement::new("making tables", "INSERT INTO migrations (step, at) VALUES ($1, $2)");
        let mut statements = vec![mark.with(step).with(now())];
        let parts = text.split(';').map(str::trim).filter(|part| !part.is_empty());
        statements.extend(parts.map(|part| statement(driver, part)));
        match driver.write(statements).await {
            Ok(_) | Err(Undone::Taken(_)) => {}
            Err(other) => return Err(other.into_error("table")),
        }
    }
    Ok(())
}

async fn write(driver: &dyn Driver, statements: Vec<Statement>) -> Result<(), StoreError> {
    driver.write(statements).await.map(drop).map_err(|undone| undone.into_error("table"))
}

fn statement(driver: &dyn Driver, text: &str) -> Statement {
    let words = driver.words();
    let text = text
        .replace("{id}", words.id)
        .replace("{int}", words.int)
        .replace("{real}", words.real)
        .replace("{bytes}", words.bytes);
    Statement::new("making tables", text)
}
