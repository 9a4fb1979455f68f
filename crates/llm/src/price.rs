//! What calls cost: prices of models, and the cost of a usage.
//!
//! Types and arithmetic only; where prices come from is the gateway's business. Amounts are whole numbers of
//! millionths of millionths of the currency's unit, so that sums over months do not drift.

use crate::meter::Usage;

/// Millionths of millionths of a unit of currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cost(pub u64);

impl Cost {
    /// In units of currency, for people.
    #[must_use]
    pub fn units(self) -> f64 {
        self.0 as f64 / 1e12
    }

    /// The sum, or the largest amount there is.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

/// Prices of one model, per token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Price {
    /// A token of the request.
    pub input: Cost,
    /// A token of the answer.
    pub output: Cost,
    /// A token read from a cache; `None`: as `input`.
    pub cache_read: Option<Cost>,
    /// A token written to a cache; `None`: as `input`.
    pub cache_write: Option<Cost>,
}

impl Price {
    /// Prices as vendors publish them: units of currency per million tokens. What is negative or no number is 0.
    #[must_use]
    pub fn per_million(input: f64, output: f64) -> Self {
        Self { input: Self::token(input), output: Self::token(output), cache_read: None, cache_write: None }
    }

    /// One such price.
    #[must_use]
    pub fn token(per_million: f64) -> Cost {
        // A float out of range becomes the nearest whole number, and what is none becomes 0.
        Cost((per_million * 1e6).round() as u64)
    }

    /// The price of one token, in units of currency. What is negative or no number is 0.
    #[must_use]
    pub fn of_token(units: f64) -> Cost {
        Cost((units * 1e12).round() as u64)
    }

    /// What a call cost.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> Cost {
        let times = |tokens: u64, price: Cost| tokens.saturating_mul(price.0);
        let read = usage.cache_read.min(usage.input);
        let written = usage.cache_write.min(usage.input - read);
        let plain = usage.input - read - written;
        let input = times(plain, self.input)
            .saturating_add(times(read, self.cache_read.unwrap_or(self.input)))
            .saturating_add(times(written, self.cache_write.unwrap_or(self.input)));
        Cost(input.saturating_add(times(usage.output, self.output)))
    }
}

/// The price of the models of a pattern from a day on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceRow {
    /// Name of the model; `*` stands for any characters.
    pub model: String,
    /// The first day it holds, as `YYYY-MM-DD`, or the first moment, as `YYYY-MM-DDTHH:MM:SSZ`; empty for always.
    pub from: String,
    /// The price.
    pub price: Price,
}

/// Prices of many models over time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PriceTable(pub Vec<PriceRow>);

impl PriceTable {
    /// The price of a model at a moment, written as [`PriceRow::from`] is: of the rows whose pattern matches and whose time
    /// has come, the one with the longest pattern, and of those the latest.
    #[must_use]
    pub fn price(&self, model: &str, at: &str) -> Option<Price> {
        let rows = self.0.iter().filter(|row| row.from.as_str() <= at && matches(&row.model, model));
        rows.max_by_key(|row| (row.model.len(), row.from.as_str())).map(|row| row.price)
    }
}

/// Whether `text` is as `pattern`, in which `*` stands for any characters.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut rest) = text.strip_prefix(head) else { return false };
    let mut parts = tail.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cached_tokens_cost_what_they_cost() {
        let price = Price { cache_read: Some(Price::token(0.25)), ..Price::per_million(2.5, 10.0) };
        let usage =
            Usage { input: 1_000_000, output: 100_000, cache_read: 400_000, cache_write: 0, reasoning: 0 };
        assert!((price.cost(&usage).units() - 2.6).abs() < 1e-9);
        let absurd = Usage {
            input: u64::MAX,
            output: u64::MAX,
            cache_read: u64::MAX,
            cache_write: u64::MAX,
            reasoning: 0,
        };
        assert_eq!(price.cost(&absurd), Cost(u64::MAX));
    }

    #[test]
    fn the_most_specific_price_of_the_day_holds() {
        let row = |model: &str, from: &str, n| PriceRow {
            model: model.to_owned(),
            from: from.to_owned(),
            price: Price { input: Cost(n), ..Price::default() },
        };
        let table = PriceTable(vec![
            row("*", "2020-01-01", 1),
            row("gpt-5*", "2025-01-01", 2),
            row("gpt-5*", "2026-06-01", 3),
            row("gpt-5-mini", "2027-01-01", 4),
            row("gpt-5-nano", "2027-01-01T12:00:00Z", 5),
        ]);
        let price = |model, day| table.price(model, day).map(|price| price.input.0);
        assert_eq!(price("gpt-5-mini", "2026-11-21"), Some(3));
        assert_eq!(price("gpt-5-mini", "2026-01-01"), Some(2));
        assert_eq!(price("gpt-5-mini", "2027-01-01"), Some(4));
        assert_eq!(price("gpt-5-nano", "2027-01-01T11:59:59Z"), Some(3));
        assert_eq!(price("gpt-5-nano", "2027-01-01T12:00:00Z"), Some(5));
        assert_eq!(price("other", "2026-01-01"), Some(1));
        assert_eq!(price("other", "2019-01-01"), None);
    }

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, text, expected) in [
            ("a*c", "abc", true),
            ("a*c", "ac", true),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "aXc", false),
            ("*", "", true),
            ("a*a", "a", false),
            ("abc", "abcd", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
