//! Data sources: texts found by what they mean, at `/datasource/{slug}`.
//!
//! A text that is asked for becomes a vector by an LLM of the configuration, in a request like any other to that LLM: the
//! same plugins see it, and what it costs is the app's. Whoever keeps the documents ([`mortise_store::documents`]) says
//! which are nearest. Putting documents in and taking them out is for administrators.

mod asked;
mod embed;
mod serve;

#[cfg(test)]
mod tests;

pub(crate) use serve::{Shared, serve};
