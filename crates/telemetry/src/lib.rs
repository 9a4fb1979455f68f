//! Names of metrics, spans and events, and redaction: one table.
