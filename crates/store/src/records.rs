//! What became of calls: records as they are, and what was spent, added up by day.
//!
//! Written in batches, in one transaction: what was spent is never counted without its record, nor twice. Sums are of
//! whole days, so that a month that begins on any day is a sum over days. Apps and LLMs stand here by name, as those of
//! files have no number.

use jiff::{Timestamp, civil, tz::TimeZone};
use serde_json::Value as Json;

use crate::{
    Store, StoreError,
    entity::shown,
    error::Source,
    sql::{Row, Statement},
};

/// Statements of one transaction.
const IN_ONE: usize = 500;

/// What a record tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A request and its answer.
    ProxyLog,
    /// What a call took: model, tokens, time.
    Analytics,
    /// What a call cost.
    BudgetUsage,
}

impl Kind {
    /// Its name.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::ProxyLog => "proxy_log",
            Self::Analytics => "analytics",
            Self::BudgetUsage => "budget_usage",
        }
    }
}

/// A record of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// What it tells of.
    pub kind: Kind,
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// The app, by name; empty for none.
    pub app: String,
    /// The LLM, by name; empty for none.
    pub llm: String,
    /// What it tells.
    pub document: Json,
}

/// A record that was read, with its moment in UTC.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// Its number.
    pub id: i64,
    /// When, in UTC.
    pub at: String,
    /// The app, by name; empty for none.
    pub app: String,
    /// The LLM, by name; empty for none.
    pub llm: String,
    /// What it tells.
    pub document: Json,
}

/// A day in UTC, counted from 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub i64);

impl Day {
    /// The day of a moment in milliseconds since 1970.
    #[must_use]
    pub fn of(at: i64) -> Self {
        Self(at.div_euclid(86_400_000))
    }

    /// The first day of the month that a moment is in, where months begin on day `reset`, 1 to 28.
    #[must_use]
    pub fn month_of(at: i64, reset: u8) -> Self {
        let reset = i8::try_from(reset.clamp(1, 28)).unwrap_or(1);
        let Ok(moment) = Timestamp::from_millisecond(at) else { return Self::of(at) };
        let date = moment.to_zoned(TimeZone::UTC).date();
        let (year, month) = match (date.day() >= reset, date.month()) {
            (true, month) => (date.year(), month),
            (false, 1) => (date.year() - 1, 12),
            (false, month) => (date.year(), month - 1),
        };
        let first = civil::Date::new(year, month, reset).ok();
        let first = first.and_then(|first| first.to_zoned(TimeZone::UTC).ok());
        first.map_or(Self::of(at), |first| Self::of(first.timestamp().as_millisecond()))
    }

    /// The first day of the month after the one that begins on this day.
    #[must_use]
    pub fn next_month(self, reset: u8) -> Self {
        // Longer than any month, and shorter than any two.
        Self::month_of(Self(self.0.saturating_add(32)).begins(), reset)
    }

    /// Its first moment, in milliseconds since 1970.
    #[must_use]
    pub fn begins(self) -> i64 {
        self.0.saturating_mul(86_400_000)
    }
}

/// What was spent on a day, to be added to what stands there.
#[derive(Clone, Debug, PartialEq)]
pub struct Usage {
    /// The day.
    pub day: Day,
    /// The app, by name; empty for none.
    pub app: String,
    /// The LLM, by name; empty for none.
    pub llm: String,
    /// What.
    pub spent: Spent,
}

/// What was spent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spent {
    /// Calls.
    pub requests: i64,
    /// Tokens that went in.
    pub input_tokens: i64,
    /// Tokens that came out.
    pub output_tokens: i64,
    /// Money.
    pub cost: f64,
}

impl std::ops::AddAssign for Spent {
    fn add_assign(&mut self, more: Self) {
        self.requests += more.requests;
        self.input_tokens += more.input_tokens;
        self.output_tokens += more.output_tokens;
        self.cost += more.cost;
    }
}

impl Store {
    /// Appends records and adds up what was spent: all or none of up to 500 of both together, in order.
    ///
    /// # Errors
    /// When the database fails; what was appended by then stays.
    pub async fn append(&self, records: &[Record], usage: &[Usage]) -> Result<(), StoreError> {
        let mut statements = Vec::with_capacity((records.len() + usage.len()).min(IN_ONE));
        for record in records {
            let text = "INSERT INTO records (kind, at, app, llm, document) VALUES ($1, $2, $3, $4, $5)";
            let insert = Statement::new("keeping records", text).with(record.kind.word()).with(record.at);
            let insert = insert.with(record.app.as_str()).with(record.llm.as_str());
            statements.push(insert.with(record.document.to_string()));
            self.flush(&mut statements, IN_ONE).await?;
        }
        // In one order, so that two gateways never wait for one another's rows.
        let mut usage: Vec<&Usage> = usage.iter().collect();
        usage.sort_by(|a, b| (&a.app, &a.llm, a.day).cmp(&(&b.app, &b.llm, b.day)));
        for used in usage {
            let text = "INSERT INTO usage_by_day (day, app, llm, requests, input_tokens, output_tokens, cost) \
                        VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (app, llm, day) DO UPDATE SET \
                        requests = usage_by_day.requests + excluded.requests, \
                        input_tokens = usage_by_day.input_tokens + excluded.input_tokens, \
                        output_tokens = usage_by_day.output_tokens + excluded.output_tokens, \
                        cost = usage_by_day.cost + excluded.cost";
            let add = Statement::new("adding up what was spent", text).with(used.day.0);
            let add = add.with(used.app.as_str()).with(used.llm.as_str()).with(used.spent.requests);
            let add = add.with(used.spent.input_tokens).with(used.spent.output_tokens).with(used.spent.cost);
            statements.push(add);
            self.flush(&mut statements, IN_ONE).await?;
        }
        self.flush(&mut statements, 1).await
    }

    async fn flush(&self, statements: &mut Vec<Statement>, at: usize) -> Result<(), StoreError> {
        if statements.len() < at {
            return Ok(());
        }
        let done = self.driver.write(std::mem::take(statements)).await;
        done.map(drop).map_err(|undone| undone.into_error("record"))
    }

    /// What was spent from a day on, to the day before another: by one app or all, on one LLM or all.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn spent(
        &self,
        app: Option<&str>,
        llm: Option<&str>,
        from: Day,
        to: Day,
    ) -> Result<Spent, StoreError> {
        let sums = "SELECT CAST(COALESCE(SUM(requests), 0) AS BIGINT), \
                    CAST(COALESCE(SUM(input_tokens), 0) AS BIGINT), \
                    CAST(COALESCE(SUM(output_tokens), 0) AS BIGINT), COALESCE(SUM(cost), 0.0) FROM usage_by_day";
        let mut text = format!("{sums} WHERE day >= $1 AND day < $2");
        let mut values = vec![from.0.into(), to.0.into()];
        for (column, wanted) in [("app", app), ("llm", llm)] {
            if let Some(wanted) = wanted {
                values.push(wanted.into());
                text.push_str(&format!(" AND {column} = ${}", values.len()));
            }
        }
        let rows =
            self.driver.read(Statement::new("adding up what was spent", text).with_all(values)).await?;
        rows.first().map_or(Ok(Spent::default()), |row| spent(row, 0))
    }

    /// What every app spent on every LLM from a day on: app, LLM, sum. For a gateway that begins to count.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn spent_by_all(&self, from: Day) -> Result<Vec<(String, String, Spent)>, StoreError> {
        let text = "SELECT app, llm, CAST(SUM(requests) AS BIGINT), CAST(SUM(input_tokens) AS BIGINT), \
                    CAST(SUM(output_tokens) AS BIGINT), SUM(cost) FROM usage_by_day WHERE day >= $1 \
                    GROUP BY app, llm ORDER BY app, llm";
        let rows = self.driver.read(Statement::new("adding up what was spent", text).with(from.0)).await?;
        let all =
            rows.iter().map(|row| Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned(), spent(row, 2)?)));
        all.collect()
    }

    /// Until when limits of a minute are used up, in milliseconds since 1970, by name; those for which that is over are not
    /// among them.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn limits(&self, now: i64) -> Result<Vec<(String, i64)>, StoreError> {
        let text = "SELECT name, ends FROM limits WHERE ends > $1";
        let rows = self.driver.read(Statement::new("reading limits", text).with(now)).await?;
        rows.iter().map(|row| Ok((row.text(0)?.to_owned(), row.int(1)?))).collect()
    }

    /// Keeps until when limits are used up, and forgets those for which that is over. What stands there and is later stays.
    ///
    /// # Errors
    /// When the database fails; what was kept by then stays.
    pub async fn keep_limits(&self, limits: &[(String, i64)], now: i64) -> Result<(), StoreError> {
        let over = Statement::new("forgetting limits", "DELETE FROM limits WHERE ends <= $1").with(now);
        let mut statements = vec![over];
        let mut limits: Vec<&(String, i64)> = limits.iter().collect();
        limits.sort();
        for (name, until) in limits {
            let text = "INSERT INTO limits (name, ends) VALUES ($1, $2) \
                        ON CONFLICT (name) DO UPDATE SET ends = excluded.ends WHERE excluded.ends > limits.ends";
            statements.push(Statement::new("keeping limits", text).with(name.as_str()).with(*until));
            self.flush(&mut statements, IN_ONE).await?;
        }
        self.flush(&mut statements, 1).await
    }

    /// What was spent from a day on, to the day before another, by day, app and LLM, the last day first: of one app or all,
    /// on one LLM or all, at most `limit` lines.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn spent_by_day(
        &self,
        app: Option<&str>,
        llm: Option<&str>,
        (from, to): (Day, Day),
        limit: usize,
    ) -> Result<Vec<Usage>, StoreError> {
        let columns = "SELECT day, app, llm, requests, input_tokens, output_tokens, cost FROM usage_by_day";
        let mut text = format!("{columns} WHERE day >= $1 AND day < $2");
        let mut values = vec![from.0.into(), to.0.into()];
        for (column, wanted) in [("app", app), ("llm", llm)] {
            if let Some(wanted) = wanted {
                values.push(wanted.into());
                text.push_str(&format!(" AND {column} = ${}", values.len()));
            }
        }
        text.push_str(&format!(" ORDER BY day DESC, app, llm LIMIT {limit}"));
        let rows = self.driver.read(Statement::new("reading what was spent", text).with_all(values)).await?;
        let usage = rows.iter().map(|row| {
            let (day, app, llm) = (Day(row.int(0)?), row.text(1)?.to_owned(), row.text(2)?.to_owned());
            Ok(Usage { day, app, llm, spent: spent(row, 3)? })
        });
        usage.collect()
    }

    /// The last records of a kind, the newest first: of one app or all, at most 1,000.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn last_records(
        &self,
        kind: Kind,
        app: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Kept>, StoreError> {
        let limit = limit.min(1_000);
        let mut values = vec![kind.word().into()];
        let mut text = "SELECT id, at, app, llm, document FROM records WHERE kind = $1".to_owned();
        if let Some(app) = app {
            values.push(app.into());
            text.push_str(" AND app = $2");
        }
        text.push_str(&format!(" ORDER BY at DESC, id DESC LIMIT {limit}"));
        let rows = self.driver.read(Statement::new("reading records", text).with_all(values)).await?;
        rows.iter().map(kept).collect()
    }

    /// Removes records from before a moment, in milliseconds since 1970. Gives back how many there were. What was
    /// spent stays.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn drop_records_before(&self, at: i64) -> Result<u64, StoreError> {
        let drop = Statement::new("removing old records", "DELETE FROM records WHERE at < $1").with(at);
        let done = self.driver.write(vec![drop]).await.map_err(|undone| undone.into_error("record"))?;
        Ok(done.first().map_or(0, |done| done.touched))
    }
}

fn spent(row: &Row, at: usize) -> Result<Spent, StoreError> {
    Ok(Spent {
        requests: row.int(at)?,
        input_tokens: row.int(at + 1)?,
        output_tokens: row.int(at + 2)?,
        cost: row.real(at + 3)?,
    })
}

fn kept(row: &Row) -> Result<Kept, StoreError> {
    let garbled =
        |source: serde_json::Error| StoreError::Garbled { what: "record", source: Source::from(source) };
    Ok(Kept {
        id: row.int(0)?,
        at: shown(row.int(1)?),
        app: row.text(2)?.to_owned(),
        llm: row.text(3)?.to_owned(),
        document: serde_json::from_str(row.text(4)?).map_err(garbled)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_begin_on_the_day_they_are_told_to() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap().as_millisecond();
        let day = |text: &str| Day::of(at(&format!("{text}T00:00:00Z")));
        for (moment, reset, first) in [
            ("2026-11-21T12:00:00Z", 1, "2026-11-01"),
            ("2026-11-21T00:00:00Z", 21, "2026-11-21"),
            ("2026-11-20T23:59:59Z", 21, "2026-10-21"),
            ("2027-01-03T00:00:00Z", 15, "2026-12-15"),
            ("2027-03-01T00:00:00Z", 28, "2027-02-28"),
        ] {
            assert_eq!(Day::month_of(at(moment), reset), day(first), "{moment} {reset}");
        }
        assert_eq!(Day::of(day("2026-11-21").begins()), day("2026-11-21"));
        assert_eq!(Day::of(-1), Day(-1));
        for (first, reset, next) in [
            ("2026-11-01", 1, "2026-12-01"),
            ("2027-01-28", 28, "2027-02-28"),
            ("2027-02-28", 28, "2027-03-28"),
        ] {
            assert_eq!(day(first).next_month(reset), day(next), "{first}");
        }
    }
}
