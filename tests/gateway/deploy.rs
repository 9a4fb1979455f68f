//! The dashboard and the alert rules in `deploy/` speak of metrics that there are.

use std::{collections::BTreeSet, path::Path};

use mortise_telemetry::names::{Kind, METRICS, Metric};

const DASHBOARD: &str = "../deploy/grafana/mortise.json";
const ALERTS: &str = "../deploy/prometheus/alerts.yaml";

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The names in a text that look like metrics of ours, each with what follows it.
fn named(text: &str) -> Vec<(&str, &str)> {
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let mut found = Vec::new();
    for prefix in ["mortise_", "mcpgateway_"] {
        for (at, _) in text.match_indices(prefix) {
            if text[..at].ends_with(is_name) {
                continue;
            }
            let length = text[at..].find(|c| !is_name(c)).unwrap_or(text.len() - at);
            found.push((&text[at..at + length], &text[at + length..]));
        }
    }
    found
}

fn metric(series: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| match series.strip_prefix(metric.name) {
        Some(suffix) => match metric.kind {
            Kind::Counter => suffix == "_total",
            Kind::Gauge => suffix.is_empty(),
            Kind::Histogram => matches!(suffix, "_bucket" | "_sum" | "_count"),
        },
        None => false,
    })
}

/// Names of labels in the selector that follows a metric, if one does.
fn selected(rest: &str) -> Vec<&str> {
    let Some(selector) = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) else {
        return Vec::new();
    };
    selector.0.split(',').filter_map(|pair| Some(pair.split_once(['=', '!'])?.0.trim())).collect()
}

#[test]
fn dashboard_and_alerts_name_metrics_and_labels_that_are_exported() {
    for path in [DASHBOARD, ALERTS] {
        let text = read(path);
        let found = named(&text);
        assert!(found.len() > 10, "{path}: hardly a metric");
        for (series, rest) in found {
            let metric = metric(series).unwrap_or_else(|| panic!("{path}: there is no series {series}"));
            for label in selected(rest) {
                let known = ["job", "instance"].contains(&label) || metric.labels.contains(&label);
                assert!(known, "{path}: {series} has no label {label}");
            }
        }
    }
}

#[test]
fn the_dashboards_groups_are_by_labels_of_what_is_grouped() {
    let dashboard: serde_json::Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    for target in targets {
        let expression = target["expr"].as_str().unwrap();
        let labels: BTreeSet<&str> = named(expression)
            .into_iter()
            .filter_map(|(series, _)| metric(series))
            .flat_map(|metric| metric.labels.iter().copied())
            .chain(["le", "job", "instance"])
            .collect();
        for group in expression.split(" by (").skip(1) {
            let group = group.split_once(')').unwrap().0;
            for label in group.split(',').map(str::trim) {
                assert!(labels.contains(label), "no label {label} in {expression}");
            }
        }
        for shown in target["legendFormat"].as_str().unwrap().split("{{").skip(1) {
            let label = shown.split_once("}}").unwrap().0;
            assert!(expression.contains(label), "the legend shows {label}, which {expression} does not keep");
        }
    }
    let ids: BTreeSet<i64> = panels.iter().filter_map(|panel| panel["id"].as_i64()).collect();
    assert_eq!(ids.len(), panels.len(), "panels share an id");
}
