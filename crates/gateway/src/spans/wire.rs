//! What a collector answers: messages of OTLP, as far as they are read. What is sent to it is written by
//! [`write`](super::write).
//!
//! Written down here rather than taken from OpenTelemetry's SDK, which brings a pipeline of its own for what the
//! gateway has already: the spans of a request are made when it is over, of what was noted then.

/// What a collector answers.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ExportResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PartialSuccess {
    #[prost(int64, tag = "1")]
    pub(super) rejected_spans: i64,
    #[prost(string, tag = "2")]
    pub(super) error_message: String,
}
