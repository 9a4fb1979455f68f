//! Configuration of the audit logger.

use std::collections::BTreeMap;

use mortise_plugin_api::{BuildError, End};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

/// Most rotated files that are kept.
const MAX_KEPT: usize = 1000;
/// Smallest size at which a file is rotated, in bytes.
const MIN_FILE: u64 = 4096;

/// Configuration of the audit logger.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Least level of what is recorded. Calls on their way and those that went well are `INFO`; those that were
    /// blocked, or whose client left, are `WARNING`; those whose upstream failed or did not answer are `ERROR`.
    pub log_level: Level,
    /// Record payloads too, with personal data, credentials and the values of secret-sounding members taken out.
    pub include_payloads: bool,
    /// Largest payload that is recorded, in bytes of redacted JSON. Of larger ones the size is.
    pub max_payload_bytes: usize,
    /// HTTP endpoints to which records are posted as JSON lines (`application/x-ndjson`).
    pub audit_endpoints: Vec<String>,
    /// Headers sent to every endpoint, such as `authorization`.
    pub endpoint_headers: BTreeMap<String, String>,
    /// Seconds for one request to an endpoint.
    #[schemars(range(min = 1, max = 300))]
    pub endpoint_timeout_seconds: u64,
    /// How often a request is sent again that failed for no fault of its own: no answer, 408, 429 or 5xx.
    #[schemars(range(max = 10))]
    pub endpoint_retries: u32,
    /// Most records in one request to an endpoint.
    #[schemars(range(min = 1, max = 10_000))]
    pub batch_records: usize,
    /// Milliseconds that an endpoint's records wait for more.
    #[schemars(range(max = 60_000))]
    pub batch_delay_ms: u64,
    /// File to append records to; made with mode 0600 where it is not there. Its folder must exist. Without a file and
    /// without endpoints, records go to the gateway's log.
    pub file: Option<String>,
    /// Bytes at which the file is rotated: renamed to `FILE.1`, with the older ones moving up.
    #[schemars(range(min = 4096))]
    pub max_file_bytes: u64,
    /// Age in seconds at which the file is rotated; 0 for never.
    pub max_file_age_seconds: u64,
    /// Rotated files that are kept; older ones are removed.
    #[schemars(range(max = 1000))]
    pub keep_files: usize,
    /// Most records that wait for one destination. More are dropped and counted.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub queue_records: usize,
    /// Most bytes of payloads that wait for one destination.
    pub queue_bytes: usize,
    /// Seconds for writing what still waits when the plugin stops.
    #[schemars(range(min = 1, max = 25))]
    pub shutdown_timeout_seconds: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            log_level: Level::Info,
            include_payloads: false,
            max_payload_bytes: 65_536,
            audit_endpoints: Vec::new(),
            endpoint_headers: BTreeMap::new(),
            endpoint_timeout_seconds: 10,
            endpoint_retries: 3,
            batch_records: 200,
            batch_delay_ms: 1000,
            file: None,
            max_file_bytes: 104_857_600,
            max_file_age_seconds: 86_400,
            keep_files: 14,
            queue_records: 8192,
            queue_bytes: 67_108_864,
            shutdown_timeout_seconds: 5,
        }
    }
}

impl std::fmt::Debug for Config {
    /// Without the endpoints' headers and paths: they hold credentials.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let endpoints: Vec<String> = self.audit_endpoints.iter().map(|url| origin(url)).collect();
        f.debug_struct("Config")
            .field("log_level", &self.log_level)
            .field("include_payloads", &self.include_payloads)
            .field("audit_endpoints", &endpoints)
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

/// How much a record is worth noting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// As `INFO`: nothing is recorded below it.
    Debug,
    /// Calls on their way, and those that went well.
    Info,
    /// Calls that were blocked, or whose client left.
    Warning,
    /// Calls whose upstream failed or did not answer.
    Error,
}

impl Level {
    /// The level of a call that ended so.
    pub(super) const fn of(end: End) -> Self {
        match end {
            End::Ok => Self::Info,
            End::Blocked | End::Cancelled => Self::Warning,
            End::UpstreamFailed | End::TimedOut => Self::Error,
        }
    }

    /// Its name in records.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
        }
    }
}

/// Scheme, host and port of an endpoint: what may be said of it.
pub(super) fn origin(url: &str) -> String {
    Url::parse(url).map_or_else(|_| "endpoint".to_owned(), |url| url.origin().ascii_serialization())
}

impl Config {
    /// Checks what the schema cannot.
    ///
    /// # Errors
    /// A number out of its range, an endpoint that is no HTTP URL, or a header that is none.
    pub fn check(&self) -> Result<(), BuildError> {
        let between = |field: &str, value: u64, least: u64, most: u64| {
            let message = || format!("is {value}; allowed are {least} to {most}");
            if (least..=most).contains(&value) { Ok(()) } else { Err(BuildError::new(field, message())) }
        };
        between("endpoint_timeout_seconds", self.endpoint_timeout_seconds, 1, 300)?;
        between("endpoint_retries", self.endpoint_retries.into(), 0, 10)?;
        between("batch_records", self.batch_records as u64, 1, 10_000)?;
        between("batch_delay_ms", self.batch_delay_ms, 0, 60_000)?;
        between("max_file_bytes", self.max_file_bytes, MIN_FILE, u64::MAX)?;
        between("keep_files", self.keep_files as u64, 0, MAX_KEPT as u64)?;
        between("queue_records", self.queue_records as u64, 1, 1_000_000)?;
        between("shutdown_timeout_seconds", self.shutdown_timeout_seconds, 1, 25)?;
        if self.file.as_deref() == Some("") {
            return Err(BuildError::new("file", "is empty; leave it out to write to no file"));
        }
        for (at, url) in self.audit_endpoints.iter().enumerate() {
            let good =
                Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
            if !good {
                let message = "must be an absolute http or https URL";
                return Err(BuildError::new(format!("audit_endpoints[{at}]"), message));
            }
        }
        for (name, value) in &self.endpoint_headers {
            let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            let good = !name.is_empty() && name.bytes().all(token);
            if !good || value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
                let message =
                    "is no header: names are letters, digits and dashes, values have no line breaks";
                return Err(BuildError::new(format!("endpoint_headers.{name}"), message));
            }
        }
        Ok(())
    }
}
