//! The table of metrics, and the names of span fields.

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Durations in seconds, in buckets.
    Histogram,
}

/// One metric: its name without the suffix the exposition format adds to counters.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Name as written in this program.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Labels, in order.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

macro_rules! metrics {
    ($($(#[$doc:meta])* $constant:ident = $name:literal, $kind:ident, $labels:expr, $help:literal;)*) => {
        $(#[doc = $help] pub const $constant: Metric =
            Metric { name: $name, kind: Kind::$kind, labels: &$labels, help: $help };)*

        /// Every metric this program exports.
        pub const METRICS: &[Metric] = &[$($constant),*];
    };
}

metrics! {
    PLUGIN_EXECUTIONS = "mortise_plugin_executions", Counter, ["plugin", "hook", "status"],
        "Calls of a plugin, by how they ended: pass, change, block, would_block, error, serve";
    PLUGIN_DURATION = "mortise_plugin_duration_seconds", Histogram, ["plugin", "hook"],
        "Time a plugin took for one call";
    PLUGIN_VIOLATIONS = "mortise_plugin_violations", Counter, ["plugin", "violation_code", "blocked"],
        "Violations a plugin reported, and whether its mode let them block";
    PLUGIN_ERRORS = "mortise_plugin_errors", Counter, ["plugin", "error_type"],
        "Calls of a plugin that gave no answer";
    PLUGIN_OVERRUNS = "mortise_plugin_deadline_overruns", Counter, ["plugin"],
        "Calls of a plugin that answered after their deadline without being interruptible";
    PLUGIN_DROPPED = "mortise_plugin_background_dropped", Counter, ["plugin"],
        "Background calls that were not made because too many were under way";
    PLUGIN_HTTP = "mortise_plugin_http_requests", Counter, ["plugin", "outcome"],
        "HTTP requests of a plugin's own, by outcome: ok (any answer), refused, error, timeout, cancelled";
    PLUGIN_HTTP_DURATION = "mortise_plugin_http_duration_seconds", Histogram, ["plugin"],
        "Time from a plugin's HTTP request to the end of its answer";
    PLUGIN_BREAKER_OPEN = "mortise_plugin_breaker_open", Gauge, ["plugin"],
        "Whether a plugin's circuit breaker keeps calls away from it";
    PLUGIN_BREAKER_OPENINGS = "mortise_plugin_breaker_openings", Counter, ["plugin"],
        "Times a plugin's circuit breaker opened, after a probe that failed too";
    PLUGIN_UP = "mortise_plugin_up", Gauge, ["plugin"],
        "Whether a plugin is ready to serve, and well as far as it was asked";
    PLUGIN_HEALTHY = "mortise_plugin_healthy", Gauge, ["plugin"],
        "Whether the last health check of a plugin that runs found it well";
    PLUGIN_OVERRIDDEN = "mortise_plugin_overridden", Gauge, ["plugin"],
        "Whether something of a plugin is changed over its configuration while running";
    CONTEXTS_ACTIVE = "mortise_plugin_contexts_active", Gauge, [],
        "Requests whose plugins remember something at the moment";
    CONTEXTS_CLEANED = "mortise_plugin_contexts_cleaned", Counter, [],
        "Requests that ended and took what plugins remembered with them";
    PLUGIN_MEMORY = "mortise_plugin_memory_usage_bytes", Gauge, ["plugin"],
        "Resident memory of a plugin's process and what it started, which plugins that share it all show";
    DOCUMENTED_EXECUTIONS = "mcpgateway_plugin_executions", Counter, ["plugin", "hook", "status"],
        "Calls of a plugin under the name that ContextForge documents, by status: success, violation, error";
    DOCUMENTED_DURATION = "mcpgateway_plugin_duration_seconds", Histogram, ["plugin", "hook"],
        "Time a plugin took for one call, under the name that ContextForge documents";
    DOCUMENTED_VIOLATIONS = "mcpgateway_plugin_violations", Counter, ["plugin", "violation_code"],
        "Violations a plugin reported, blocking or not, under the name that ContextForge documents";
    DOCUMENTED_ERRORS = "mcpgateway_plugin_errors", Counter, ["plugin", "error_type"],
        "Calls of a plugin that gave no answer, under the name that ContextForge documents";
    DOCUMENTED_CONTEXTS_ACTIVE = "mcpgateway_plugin_contexts_active", Gauge, [],
        "Requests whose plugins remember something, under the name that ContextForge documents";
    DOCUMENTED_CONTEXTS_CLEANED = "mcpgateway_plugin_contexts_cleaned", Counter, [],
        "Requests that ended with what plugins remembered, under the name that ContextForge documents";
    DOCUMENTED_MEMORY = "mcpgateway_plugin_memory_usage_bytes", Gauge, ["plugin"],
        "Resident memory of a plugin's process, under the name that ContextForge documents";
    PLUGINS_ENABLED = "mortise_plugins_enabled", Gauge, [],
        "Whether plugins run at all";
    PLUGINS_DRAINING = "mortise_plugins_draining", Gauge, [],
        "Plugins that were replaced or taken out and still serve requests that began before";
    RELOADS = "mortise_config_reloads", Counter, ["outcome"],
        "Changes of the configuration while running, by outcome: applied, unchanged, refused";
    RELOAD_SUCCESSFUL = "mortise_config_last_reload_successful", Gauge, [],
        "Whether the last change of the configuration was not refused";
    RELOAD_LAST_SUCCESS = "mortise_config_last_reload_success_timestamp_seconds", Gauge, [],
        "When the configuration was last found in order, in seconds since 1970";
    SNAPSHOT = "mortise_config_snapshot", Gauge, [],
        "Number of the configuration in force; grows with each that takes effect";
    MCP_REQUESTS = "mortise_mcp_requests", Counter, ["method", "outcome"],
        "MCP requests of clients, by method and outcome: ok, blocked, error";
    MCP_DURATION = "mortise_mcp_request_duration_seconds", Histogram, ["method"],
        "Time from a client's MCP request to its answer";
    LLM_REQUESTS = "mortise_llm_requests", Counter, ["llm", "outcome"],
        "Requests to an LLM, by outcome: ok, blocked, error, timeout, cancelled, refused (budget or rate)";
    LLM_DURATION = "mortise_llm_request_duration_seconds", Histogram, ["llm"],
        "Time from a client's request to the end of the answer";
    LLM_FIRST_BYTE = "mortise_llm_first_byte_seconds", Histogram, ["llm"],
        "Time from a client's request to the first byte of the answer's body";
    LLM_TOKENS = "mortise_llm_tokens", Counter, ["llm", "kind"],
        "Tokens as vendors tell them, else as estimated: input, output";
    LLM_COST = "mortise_llm_cost", Counter, ["llm"],
        "Cost of requests by the prices in the configuration";
    LLM_RETRIES = "mortise_llm_retries", Counter, ["llm", "to"],
        "Further attempts of requests: to the same LLM, or to other ones in its place";
    RECORDS_DROPPED = "mortise_records_dropped", Counter, [],
        "Records of calls that were not made because too many were waiting";
    ENDPOINT_REQUESTS = "mortise_endpoint_requests", Counter, ["plugin", "status"],
        "Requests to plugins' own endpoints, by status class; cancelled where the client left before there was one";
    ENDPOINT_DURATION = "mortise_endpoint_request_duration_seconds", Histogram, ["plugin"],
        "Time from a request to a plugin's own endpoint to the end of its answer, streamed ones included";
    ENDPOINT_STREAMS = "mortise_endpoint_streams", Gauge, ["plugin"],
        "Streamed answers of plugins' own endpoints that are under way";
    UPSTREAM_UP = "mortise_upstream_up", Gauge, ["upstream"],
        "Whether an upstream can be reached";
    UPSTREAM_REQUESTS = "mortise_upstream_requests", Counter, ["upstream", "outcome"],
        "Requests sent to an upstream, by outcome: ok, error, timeout, cancelled";
    HTTP_REQUESTS = "mortise_http_requests", Counter, ["surface", "status"],
        "HTTP requests answered, by surface and status class";
    SESSIONS = "mortise_mcp_sessions", Gauge, [],
        "MCP sessions of clients that are open";
    SPANS_EXPORTED = "mortise_trace_spans_exported", Counter, [],
        "Spans that the collector took; only where spans are sent";
    SPANS_DROPPED = "mortise_trace_spans_dropped", Counter, ["reason"],
        "Spans that were not sent, by reason: queue_full, unreachable, rejected; only where spans are sent";
    BUILD_INFO = "mortise_build_info", Gauge, ["version"],
        "Always 1; the label says which version runs";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_have_a_prefix_of_ours_or_of_the_documents() {
        let mut seen = std::collections::HashSet::new();
        for metric in METRICS {
            assert!(seen.insert(metric.name), "{} twice", metric.name);
            let documented = metric.name.starts_with("mcpgateway_plugin_");
            assert!(metric.name.starts_with("mortise_") || documented, "{}", metric.name);
            assert!(!metric.name.ends_with("_total"), "{}: the exposition adds it", metric.name);
        }
    }
}
