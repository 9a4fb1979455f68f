//! What calls to LLMs came to, as it is kept in storage: records of them, and what was spent by day, app and LLM.

use bytes::Bytes;
use http::{Response, StatusCode};
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use mortise_store::{Day, Kept, Kind, Spent};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::{AWAY, crud::answer, refusing, storage};
use crate::manage::{
    answers::{Refused, ok, refused},
    asked::Asked,
    route::{Content::Json, Handler::Later, Parameter, Route, Tag, Verb, one},
};

/// Lines of one answer at most.
const MOST: usize = 1_000;

/// A record of a call.
#[derive(Serialize, JsonSchema)]
struct Record {
    /// Its number.
    id: i64,
    /// When it was made, in UTC.
    at: String,
    /// The app; empty for none.
    app: String,
    /// The LLM.
    llm: String,
    /// What it tells.
    record: Value,
}

/// The last records of a kind.
#[derive(Serialize, JsonSchema)]
struct Records {
    /// The newest first.
    items: Vec<Record>,
}

/// What an app spent on an LLM on a day.
#[derive(Serialize, JsonSchema)]
struct Line {
    /// The day, in UTC.
    day: String,
    /// The app; empty for none.
    app: String,
    /// The LLM.
    llm: String,
    /// What.
    #[serde(flatten)]
    sum: Sum,
}

/// What was spent.
#[derive(Default, Serialize, JsonSchema)]
struct Sum {
    /// Calls.
    requests: i64,
    /// Tokens that went in.
    input_tokens: i64,
    /// Tokens that came out.
    output_tokens: i64,
    /// Money.
    cost: f64,
}

/// What was spent from a day to another.
#[derive(Serialize, JsonSchema)]
struct Spending {
    /// By day, app and LLM, the last day first; at most 1,000.
    items: Vec<Line>,
    /// All of it, also what is not among the items.
    total: Sum,
}

impl From<Spent> for Sum {
    fn from(spent: Spent) -> Self {
        let Spent { requests, input_tokens, output_tokens, cost } = spent;
        Self { requests, input_tokens, output_tokens, cost }
    }
}

impl From<Kept> for Record {
    fn from(kept: Kept) -> Self {
        let Kept { id, at, app, llm, document } = kept;
        Self { id, at, app, llm, record: document }
    }
}

const RECORDS_LISTED: &[Parameter] = &[
    Parameter {
        name: "kind",
        about: "`analytics` or `proxy_log`; `analytics` without it",
        schema: one::<String>,
    },
    Parameter { name: "app", about: "Only those of this app, by name", schema: one::<String> },
    Parameter { name: "limit", about: "How many at most, 1 to 1,000; 100 without it", schema: one::<u32> },
];

const SPENDING_LISTED: &[Parameter] = &[
    Parameter { name: "app", about: "Only what this app spent, by name", schema: one::<String> },
    Parameter { name: "llm", about: "Only what was spent on this LLM, by name", schema: one::<String> },
    Parameter {
        name: "from",
        about: "The first day in UTC, such as 2027-01-31; without it the first of this month",
        schema: one::<String>,
    },
    Parameter { name: "to", about: "The last day in UTC; without it today", schema: one::<String> },
];

/// Every route.
pub(in crate::manage) static ROUTES: &[Route] = &[
    Route::change(
        Verb::Get,
        "/api/v1/records",
        "listRecords",
        "The last records of calls to LLMs, of the kinds that storage keeps",
        Json(one::<Records>),
        Later(|asked| Box::pin(records(asked))),
    )
    .of(Tag::Storage)
    .query(RECORDS_LISTED)
    .refuses(AWAY),
    Route::change(
        Verb::Get,
        "/api/v1/spending",
        "listSpending",
        "What apps have spent on LLMs, by day; the last seconds may still be missing",
        Json(one::<Spending>),
        Later(|asked| Box::pin(spending(asked))),
    )
    .of(Tag::Storage)
    .query(SPENDING_LISTED)
    .refuses(AWAY),
];

async fn records(asked: &Asked<'_>) -> Response<Bytes> {
    answer(last(asked).await.map(|records| ok(&records)))
}

async fn last(asked: &Asked<'_>) -> Result<Records, Refused> {
    let kind = match asked.parameter("kind").as_deref() {
        None | Some("analytics") => Kind::Analytics,
        Some("proxy_log") => Kind::ProxyLog,
        Some(_) => return Err(refused(StatusCode::BAD_REQUEST, "`kind` is `analytics` or `proxy_log`")),
    };
    let (limit, app) = (asked.number("limit", 100, MOST)?, asked.parameter("app"));
    let read = storage(asked)?
        .read(move |store| async move { store.last_records(kind, app.as_deref(), limit).await })
        .await;
    let items = read.map_err(refusing)?.unwrap_or_default();
    Ok(Records { items: items.into_iter().map(Record::from).collect() })
}

async fn spending(asked: &Asked<'_>) -> Response<Bytes> {
    answer(spent(asked).await.map(|spending| ok(&spending)))
}

async fn spent(asked: &Asked<'_>) -> Result<Spending, Refused> {
    let now = Timestamp::now().as_millisecond();
    let from = day(asked, "from")?.unwrap_or_else(|| Day::month_of(now, 1));
    let to = Day(day(asked, "to")?.unwrap_or_else(|| Day::of(now)).0.saturating_add(1));
    let (app, llm) = (asked.parameter("app"), asked.parameter("llm"));
    let read = storage(asked)?
        .read(move |store| async move {
            let (app, llm) = (app.as_deref(), llm.as_deref());
            let lines = store.spent_by_day(app, llm, (from, to), MOST).await?;
            Ok((lines, store.spent(app, llm, from, to).await?))
        })
        .await;
    let (lines, total) = read.map_err(refusing)?.unwrap_or_default();
    let items = lines.into_iter().map(|line| Line {
        day: shown(line.day),
        app: line.app,
        llm: line.llm,
        sum: line.spent.into(),
    });
    Ok(Spending { items: items.collect(), total: total.into() })
}

/// A day of the query.
fn day(asked: &Asked<'_>, name: &str) -> Result<Option<Day>, Refused> {
    let Some(text) = asked.parameter(name) else { return Ok(None) };
    let date: Option<Date> = text.parse().ok();
    let at = date.and_then(|date| date.to_zoned(TimeZone::UTC).ok());
    let unfit = || refused(StatusCode::BAD_REQUEST, &format!("`{name}` is a day such as 2027-01-31"));
    at.map(|at| Some(Day::of(at.timestamp().as_millisecond()))).ok_or_else(unfit)
}

fn shown(day: Day) -> String {
    let at = Timestamp::from_millisecond(day.begins()).unwrap_or_default();
    at.to_zoned(TimeZone::UTC).date().to_string()
}
