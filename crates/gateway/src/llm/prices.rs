//! Prices that are kept in storage, as calls are charged by them.

use std::collections::HashMap;

use jiff::Timestamp;
use mortise_llm::price::{Price, PriceRow, PriceTable};
use mortise_store::Stored;

/// Word for whatever vendor.
const ANY: &str = "*";

/// Prices by vendor.
#[derive(Debug, Default)]
pub(crate) struct Prices(HashMap<Box<str>, PriceTable>);

impl Prices {
    /// These, which are in force from now on.
    pub(crate) fn of(kept: &[Stored<mortise_store::Price>]) -> Self {
        let mut tables: HashMap<Box<str>, PriceTable> = HashMap::new();
        for price in kept.iter().map(|kept| &kept.fields) {
            tables.entry(price.vendor.as_str().into()).or_default().0.push(row(price));
        }
        Self(tables)
    }

    /// What a model of a vendor costs at a moment.
    pub(super) fn price(&self, vendor: &str, model: &str, at: &str) -> Option<Price> {
        let of = |vendor: &str| self.0.get(vendor).and_then(|table| table.price(model, at));
        of(vendor).or_else(|| of(ANY))
    }

    /// All, with the word of their vendor.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&str, &PriceRow)> {
        self.0.iter().flat_map(|(vendor, table)| table.0.iter().map(move |row| (&**vendor, row)))
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn row(price: &mortise_store::Price) -> PriceRow {
    let begins = price.valid_from.as_ref().and_then(|_| price.begins());
    let begins = begins.and_then(|at| Timestamp::from_second(at.div_euclid(1_000)).ok());
    PriceRow {
        model: price.model.clone(),
        from: begins.map(|at| at.to_string()).unwrap_or_default(),
        price: Price {
            input: Price::of_token(price.input),
            output: Price::of_token(price.output),
            cache_read: price.cache_read.map(Price::of_token),
            cache_write: price.cache_write.map(Price::of_token),
        },
    }
}

/// The moment that is now, as prices are looked up by it.
pub(super) fn now() -> String {
    Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn price_of_the_vendor_goes_before_that_of_any_and_holds_from_its_moment_on() {
        let kept = |vendor: &str, model: &str, input: f64, from: Option<&str>| Stored {
            id: 1,
            fields: serde_json::from_value(serde_json::json!({
                "vendor": vendor, "model": model, "input": input, "output": 0.0, "valid_from": from,
            }))
            .unwrap(),
            created: String::new(),
            updated: String::new(),
        };
        let prices = Prices::of(&[
            kept("openai", "gpt-*", 1e-6, None),
            kept("openai", "gpt-*", 2e-6, Some("2027-01-31T12:00:00Z")),
            kept("openai", "gpt-*", 3e-6, Some("2027-02-01")),
            kept("*", "*", 9e-6, None),
        ]);
        let price = |vendor, model, at| prices.price(vendor, model, at).map(|price| price.input.0);
        assert_eq!(price("openai", "gpt-5", "2026-11-21T17:00:00Z"), Some(1_000_000));
        assert_eq!(price("openai", "gpt-5", "2027-01-31T12:00:00Z"), Some(2_000_000));
        assert_eq!(price("openai", "gpt-5", "2027-02-01T00:00:00Z"), Some(3_000_000));
        assert_eq!(price("openai", "o9", "2027-02-01T00:00:00Z"), Some(9_000_000));
        assert_eq!(price("anthropic", "claude", "2027-02-01T00:00:00Z"), Some(9_000_000));
        assert!(now().ends_with('Z') && now().len() == "2027-02-01T00:00:00Z".len());
    }
}
