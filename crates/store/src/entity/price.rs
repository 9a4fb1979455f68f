//! What models cost, from when on.

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Entity, check_amount, check_name, unfit, words};
use crate::{StoreError, changes::What, sql::Value};

/// What a model costs from a moment on, until a later price takes over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Whose model: `openai`.
    pub vendor: String,
    /// The model, or a pattern in which `*` stands for anything.
    pub model: String,
    /// For each token that goes in.
    pub input: f64,
    /// For each token that comes out.
    pub output: f64,
    /// For each token that is read from the vendor's cache. Not given, as one that goes in.
    #[serde(default)]
    pub cache_read: Option<f64>,
    /// For each token that is written to the vendor's cache. Not given, as one that goes in.
    #[serde(default)]
    pub cache_write: Option<f64>,
    /// Currency. Default `USD`.
    #[serde(default = "usd")]
    pub currency: String,
    /// The day (`2027-01-31`) or moment from which it holds, in UTC. Not given, always.
    #[serde(default)]
    pub valid_from: Option<String>,
}

fn usd() -> String {
    "USD".to_owned()
}

impl Price {
    /// The moment from which it holds, in milliseconds since 1970; `None` where that cannot be read.
    #[must_use]
    pub fn begins(&self) -> Option<i64> {
        let Some(text) = &self.valid_from else { return Some(0) };
        if let Ok(at) = text.parse::<Timestamp>() {
            return Some(at.as_millisecond());
        }
        let day: Date = text.parse().ok()?;
        Some(day.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond())
    }
}

impl Entity for Price {
    const TABLE: &'static str = "prices";
    const WORD: &'static str = "price";
    const CHANGE: Option<What> = Some(What::Price);

    fn columns(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("vendor", self.vendor.as_str().into()),
            ("model", self.model.as_str().into()),
            ("valid_from", self.begins().unwrap_or(0).into()),
            ("words", words([Some(&*self.vendor), Some(&*self.model)])),
        ]
    }

    fn check(&self) -> Result<(), StoreError> {
        check_name(Self::WORD, "vendor", &self.vendor)?;
        check_name(Self::WORD, "model", &self.model)?;
        check_name(Self::WORD, "currency", &self.currency)?;
        for (field, amount) in [
            ("input", Some(self.input)),
            ("output", Some(self.output)),
            ("cache_read", self.cache_read),
            ("cache_write", self.cache_write),
        ] {
            check_amount(Self::WORD, field, amount)?;
        }
        if self.begins().is_none() {
            return Err(unfit(
                Self::WORD,
                "valid_from",
                "is a day (2027-01-31) or a moment (2027-01-31T12:00:00Z)",
            ));
        }
        Ok(())
    }
}
