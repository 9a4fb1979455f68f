//! Names of metrics, spans and events, and redaction.
//!
//! Metric names are a promise to whoever builds a dashboard, so they stand in one table ([`names::METRICS`]) from
//! which the reference page is generated and against which the exposition is tested. Measuring itself must cost a
//! hot path no more than a few atomic additions: [`counts::Counts`] and [`histogram::Histogram`], read out when
//! somebody scrapes, as is the memory of other processes ([`memory`]). This crate exports nothing by itself.

pub mod counts;
pub mod histogram;
pub mod memory;
pub mod names;
pub mod redact;
