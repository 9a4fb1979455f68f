//! From two looks to a screen. Nothing is asked or drawn here.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;

use super::sample::{Call, Sample};
use crate::command::explain::time;

/// Everything that is shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Screen {
    /// Seconds between the looks.
    pub(crate) seconds: f64,
    /// Requests a second, of all methods and outcomes.
    pub(crate) requests_per_second: f64,
    /// The same by outcome.
    pub(crate) by_outcome: BTreeMap<String, f64>,
    /// The same by method.
    pub(crate) by_method: BTreeMap<String, f64>,
    /// Open sessions.
    pub(crate) sessions: f64,
    /// Number of the configuration.
    pub(crate) snapshot: f64,
    /// Whether plugins run at all.
    pub(crate) plugins_enabled: bool,
    /// How many calls latencies are taken of.
    pub(crate) calls: usize,
    /// By tool, prompt or resource, the most called first.
    pub(crate) tools: Vec<Row>,
    /// By plugin, the slowest first.
    pub(crate) plugins: Vec<Row>,
    /// Name, state and reason.
    pub(crate) upstreams: Vec<(String, String, String)>,
}

/// Latencies of one thing.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Row {
    /// What.
    pub(crate) name: String,
    /// How many calls of it.
    pub(crate) calls: usize,
    /// Median, in microseconds.
    pub(crate) p50_us: f64,
    /// 99th percentile, in microseconds.
    pub(crate) p99_us: f64,
    /// Median of the upstream's time, of tools.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) upstream_p50_us: Option<f64>,
    /// How many ended how, but for those that passed.
    pub(crate) notable: BTreeMap<String, usize>,
}

#[derive(Default)]
struct Gathered {
    took: Vec<f64>,
    upstream: Vec<f64>,
    notable: BTreeMap<String, usize>,
}

impl Gathered {
    fn add(&mut self, took: f64, how: &str) {
        self.took.push(took);
        if !matches!(how, "ok" | "pass") {
            *self.notable.entry(how.to_owned()).or_default() += 1;
        }
    }

    fn row(mut self, name: String) -> Row {
        self.took.sort_by(f64::total_cmp);
        self.upstream.sort_by(f64::total_cmp);
        Row {
            name,
            calls: self.took.len(),
            p50_us: quantile(&self.took, 0.5),
            p99_us: quantile(&self.took, 0.99),
            upstream_p50_us: (!self.upstream.is_empty()).then(|| quantile(&self.upstream, 0.5)),
            notable: self.notable,
        }
    }
}

/// The value below which that share of sorted values lies.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

impl Screen {
    /// What happened between two looks. A counter that went back began anew: the gateway was started meanwhile.
    pub(crate) fn between(before: &Sample, now: &Sample) -> Self {
        let seconds = now.at.saturating_sub(before.at).as_secs_f64().max(0.001);
        let restarted =
            before.requests.iter().any(|(key, count)| now.requests.get(key).unwrap_or(&0.0) < count);
        let (mut by_outcome, mut by_method) = (BTreeMap::new(), BTreeMap::new());
        for ((method, outcome), count) in &now.requests {
            let earlier = before.requests.get(&(method.clone(), outcome.clone())).copied();
            let rate = (count - earlier.filter(|_| !restarted).unwrap_or(0.0)) / seconds;
            *by_outcome.entry(outcome.clone()).or_insert(0.0) += rate;
            *by_method.entry(method.clone()).or_insert(0.0) += rate;
        }
        by_method.retain(|_, rate| *rate > 0.0);
        let value = |name: &str| now.values.get(name).copied().unwrap_or(0.0);
        let mut plugins = rows(now.calls.iter().flat_map(|call| {
            call.plugins.iter().map(|(name, status, took)| (name.clone(), *took, None, status.as_str()))
        }));
        plugins.sort_by(|a, b| b.p99_us.total_cmp(&a.p99_us));
        let about =
            |call: &Call| if call.about.is_empty() { "(refused)".to_owned() } else { call.about.clone() };
        let tools = rows(now.calls.iter().map(|call| {
            (about(call), call.took, (call.upstream > 0.0).then_some(call.upstream), call.outcome.as_str())
        }));
        Self {
            seconds,
            requests_per_second: by_outcome.values().sum(),
            by_outcome,
            by_method,
            sessions: value("mortise_mcp_sessions"),
            snapshot: value("mortise_config_snapshot"),
            plugins_enabled: value("mortise_plugins_enabled") > 0.0,
            calls: now.calls.len(),
            tools,
            plugins,
            upstreams: now
                .upstreams
                .iter()
                .map(|upstream| (upstream.name.clone(), upstream.status.clone(), upstream.reason.clone()))
                .collect(),
        }
    }

    /// Its lines, cut to `size` (lines and columns) where that is given.
    pub(crate) fn lines(&self, url: &str, size: Option<(usize, usize)>) -> Vec<String> {
        let mut lines = vec![
            format!(
                "mortise top  {url}  snapshot {}  sessions {}{}",
                self.snapshot,
                self.sessions,
                if self.plugins_enabled { "" } else { "  PLUGINS ARE SWITCHED OFF" }
            ),
            format!("calls/s {:>9}   {}", rate(self.requests_per_second), joined(&self.by_outcome)),
            format!("          {:>9}   {}", "", joined(&self.by_method)).trim_end().to_owned(),
        ];
        let states = self.upstreams.iter().map(|(name, status, reason)| match reason.as_str() {
            "" => format!("{name} {status}"),
            reason => format!("{name} {status} ({reason})"),
        });
        let states: Vec<String> = states.collect();
        lines.push(format!(
            "upstreams {}",
            if states.is_empty() { "none".to_owned() } else { states.join(", ") }
        ));
        lines.push(String::new());
        if self.calls == 0 {
            lines.push("no calls in the last minute, or none are kept (explain.keep)".to_owned());
        } else {
            // Plugins are few and tools may be many: what is cut off is at the end of tools.
            let room = size
                .map_or(usize::MAX, |(rows, _)| rows.saturating_sub(lines.len() + 6 + self.plugins.len()));
            lines.push(format!("latency of the last {} calls", self.calls));
            lines.extend(table("TOOL", &self.tools, room.max(3)));
            lines.push(String::new());
            lines.extend(table("PLUGIN", &self.plugins, usize::MAX));
        }
        if let Some((rows, columns)) = size {
            lines.truncate(rows);
            for line in &mut lines {
                if let Some((at, _)) = line.char_indices().nth(columns) {
                    line.truncate(at);
                }
            }
        }
        lines
    }
}

/// Rows of what is named alike, the most frequent first.
fn rows<'a>(all: impl Iterator<Item = (String, f64, Option<f64>, &'a str)>) -> Vec<Row> {
    let mut gathered: BTreeMap<String, Gathered> = BTreeMap::new();
    for (name, took, upstream, how) in all {
        let entry = gathered.entry(name).or_default();
        entry.add(took, how);
        entry.upstream.extend(upstream);
    }
    let mut rows: Vec<Row> = gathered.into_iter().map(|(name, gathered)| gathered.row(name)).collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.calls));
    rows
}

fn table(head: &str, rows: &[Row], most: usize) -> Vec<String> {
    let shown = &rows[..rows.len().min(most)];
    let width = shown.iter().map(|row| row.name.chars().count()).max().unwrap_or(0).clamp(head.len(), 40);
    let upstream = |row: &Row| row.upstream_p50_us.map_or(String::new(), |p50| time(&json!(p50)));
    let last = if rows.iter().any(|row| row.upstream_p50_us.is_some()) { "UPSTREAM" } else { "" };
    let mut lines = vec![
        format!("{head:<width$}  {:>6}  {:>9}  {:>9}  {last:>9}", "CALLS", "P50", "P99")
            .trim_end()
            .to_owned(),
    ];
    for row in shown {
        let name: String = row.name.chars().take(width).collect();
        let notable: Vec<String> = row.notable.iter().map(|(how, count)| format!("{count} {how}")).collect();
        let line = format!(
            "{name:<width$}  {:>6}  {:>9}  {:>9}  {:>9}  {}",
            row.calls,
            time(&json!(row.p50_us)),
            time(&json!(row.p99_us)),
            upstream(row),
            notable.join(", ")
        );
        lines.push(line.trim_end().to_owned());
    }
    if rows.len() > shown.len() {
        lines.push(format!("and {} more", rows.len() - shown.len()));
    }
    lines
}

fn joined(rates: &BTreeMap<String, f64>) -> String {
    let all: Vec<String> = rates.iter().map(|(name, value)| format!("{name} {}", rate(*value))).collect();
    all.join("  ")
}

fn rate(value: f64) -> String {
    if value >= 100.0 || value == 0.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;

    fn look(seconds: u64, ok: u32, blocked: u32) -> Sample {
        let metrics = format!(
            "# TYPE mortise_mcp_requests counter\n\
             mortise_mcp_requests_total{{method=\"tools/call\",outcome=\"ok\"}} {ok}\n\
             mortise_mcp_requests_total{{method=\"tools/call\",outcome=\"blocked\"}} {blocked}\n\
             mortise_mcp_sessions 3\nmortise_config_snapshot 7\nmortise_plugins_enabled 1\n# EOF\n"
        );
        let call = |took: f64, outcome: &str, status: &str| -> Value {
            json!({
                "method": "tools/call", "subject": "search\u{1b}[2J", "outcome": outcome, "took_us": took,
                "upstream_us": took / 2.0,
                "hooks": [{ "plugins": [{ "plugin": "pii", "status": status, "took_us": took / 100.0 }] }],
            })
        };
        let mut calls: Vec<Value> = (1..=99).map(|n| call(f64::from(n), "ok", "pass")).collect();
        calls.push(call(5_000.0, "blocked", "block"));
        let upstreams = [json!({ "name": "docs", "status": "failing", "reason": "refused" })];
        Sample::of(Duration::from_secs(seconds), &metrics, &calls, &upstreams)
    }

    #[test]
    fn two_looks_make_rates_and_latencies() {
        let screen = Screen::between(&look(10, 100, 5), &look(12, 300, 15));
        assert!((screen.requests_per_second - 105.0).abs() < 1e-9);
        assert_eq!(screen.by_outcome["blocked"], 5.0);
        assert_eq!((screen.tools[0].p50_us, screen.tools[0].p99_us), (50.0, 99.0));
        assert_eq!(screen.tools[0].notable["blocked"], 1);
        assert_eq!(screen.plugins[0].p50_us, 0.5);
        assert_eq!(screen.tools.len(), 1);
        assert_eq!(screen.calls, 100);
    }

    #[test]
    fn a_gateway_that_began_anew_has_no_negative_rates() {
        let screen = Screen::between(&look(10, 100, 5), &look(12, 30, 0));
        assert_eq!(screen.by_outcome["ok"], 15.0);
        assert_eq!(screen.by_outcome["blocked"], 0.0);
    }

    #[test]
    fn the_screen_fits_its_terminal_and_carries_no_escapes_of_others() {
        let screen = Screen::between(&look(10, 100, 5), &look(12, 300, 15));
        let lines = screen.lines("http://127.0.0.1:8081", Some((12, 60)));
        assert!(lines.len() <= 12);
        assert!(lines.iter().all(|line| line.chars().count() <= 60));
        assert!(!lines.concat().contains('\u{1b}'));
        let whole = screen.lines("http://127.0.0.1:8081", None).join("\n");
        for part in [
            "docs failing (refused)",
            "calls/s       105",
            "1 blocked",
            "latency of the last 100 calls",
            "pii",
        ] {
            assert!(whole.contains(part), "{part} is not in\n{whole}");
        }
    }
}
