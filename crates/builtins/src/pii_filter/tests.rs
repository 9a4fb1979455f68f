//! Tests of the PII filter: what it finds, what it leaves alone, what its hooks answer, and what it withstands.

mod finds;
mod hooks;
mod hostile;
mod plain;
mod sharing;
mod streams;
