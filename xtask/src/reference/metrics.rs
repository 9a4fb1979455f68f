//! The page of metrics, from the table in `mortise-telemetry`.

use mortise_telemetry::names::{Kind, METRICS};

use super::{GENERATED, cell, row};

pub(crate) fn page() -> String {
    let mut page = format!(
        "# Metrics\n\n{GENERATED}\n<!-- Source: crates/telemetry/src/names.rs -->\n\n\
         `GET /metrics` shows these in the OpenMetrics text format, which Prometheus reads. Histograms have the usual\n\
         series `_bucket`, `_sum` and `_count`, in seconds.\n\n"
    );
    page.push_str(&row(&["metric", "kind", "labels", "what it says"]));
    page.push_str(&row(&["---", "---", "---", "---"]));
    for metric in METRICS {
        let (suffix, kind) = match metric.kind {
            Kind::Counter => ("_total", "counter"),
            Kind::Gauge => ("", "gauge"),
            Kind::Histogram => ("", "histogram"),
        };
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        page.push_str(&row(&[
            &format!("`{}{suffix}`", metric.name),
            kind,
            &labels.join(", "),
            &cell(metric.help),
        ]));
    }
    page
}
