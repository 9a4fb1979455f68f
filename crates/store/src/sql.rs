//! What is said to a database and what it answers, whichever it is.

use std::borrow::Cow;

use crate::{StoreError, error::Source};

/// A value in a statement or an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A whole number; truth is 0 or 1.
    Int(Option<i64>),
    /// A number with a fraction.
    Real(Option<f64>),
    /// A text.
    Text(Option<String>),
    /// Bytes.
    Bytes(Option<Vec<u8>>),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(Some(value))
    }
}

impl From<Option<i64>> for Value {
    fn from(value: Option<i64>) -> Self {
        Self::Int(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Int(Some(value.into()))
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Real(Some(value))
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(Some(value.to_owned()))
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(Some(value))
    }
}

impl From<Option<String>> for Value {
    fn from(value: Option<String>) -> Self {
        Self::Text(value)
    }
}

/// One statement, with `$1`, `$2`, … for its values. Its text never holds anything that came from outside.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    pub(crate) text: Cow<'static, str>,
    pub(crate) values: Vec<Value>,
    /// What it is for, as an error says it: `reading apps`.
    pub(crate) doing: &'static str,
    /// Whether what came before is undone where it touches no row.
    pub(crate) must_touch: bool,
}

impl Statement {
    pub(crate) fn new(doing: &'static str, text: impl Into<Cow<'static, str>>) -> Self {
        Self { text: text.into(), values: Vec::new(), doing, must_touch: false }
    }

    pub(crate) fn with(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    pub(crate) fn with_all(mut self, values: impl IntoIterator<Item = Value>) -> Self {
        self.values.extend(values);
        self
    }

    pub(crate) fn must_touch(mut self) -> Self {
        self.must_touch = true;
        self
    }

    /// Whether it notes a change for gateways to see.
    #[cfg(feature = "postgres")]
    pub(crate) fn notes_a_change(&self) -> bool {
        self.text.starts_with("INSERT INTO changes")
    }

    /// Whether it answers with rows.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) fn answers(&self) -> bool {
        self.text.starts_with("SELECT") || self.text.contains(" RETURNING ")
    }
}

/// A row of an answer.
#[derive(Clone, Debug)]
pub(crate) struct Row(pub(crate) Vec<Value>);

/// A column that does not hold what it should.
#[derive(Debug, thiserror::Error)]
#[error("column {at} of the answer holds something else than expected")]
struct Odd {
    at: usize,
}

impl Row {
    pub(crate) fn int(&self, at: usize) -> Result<i64, StoreError> {
        self.maybe_int(at)?.ok_or_else(|| odd(at))
    }

    pub(crate) fn maybe_int(&self, at: usize) -> Result<Option<i64>, StoreError> {
        match self.0.get(at) {
            Some(Value::Int(value)) => Ok(*value),
            // Nothing has no type in SQLite.
            Some(Value::Text(None) | Value::Real(None) | Value::Bytes(None)) => Ok(None),
            _ => Err(odd(at)),
        }
    }

    pub(crate) fn real(&self, at: usize) -> Result<f64, StoreError> {
        match self.0.get(at) {
            Some(Value::Real(Some(value))) => Ok(*value),
            #[expect(clippy::cast_precision_loss, reason = "a sum without a fraction, far below 2^53")]
            Some(Value::Int(Some(value))) => Ok(*value as f64),
            _ => Err(odd(at)),
        }
    }

    pub(crate) fn text(&self, at: usize) -> Result<&str, StoreError> {
        match self.0.get(at) {
            Some(Value::Text(Some(value))) => Ok(value),
            _ => Err(odd(at)),
        }
    }

    pub(crate) fn bytes(&self, at: usize) -> Result<&[u8], StoreError> {
        match self.0.get(at) {
            Some(Value::Bytes(Some(value))) => Ok(value),
            _ => Err(odd(at)),
        }
    }
}

fn odd(at: usize) -> StoreError {
    StoreError::Garbled { what: "row", source: Source::from(Odd { at }) }
}

/// What came of a statement.
#[derive(Clone, Debug, Default)]
pub(crate) struct Done {
    /// What it answered.
    pub(crate) rows: Vec<Row>,
    /// How many rows it touched.
    pub(crate) touched: u64,
}
