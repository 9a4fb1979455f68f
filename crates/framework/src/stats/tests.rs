use std::time::Duration;

use mortise_plugin_api::{Hook, hooks::ToolPreInvoke};

use super::{report::PluginReport, *};

fn counted() -> PluginStats {
    let stats = PluginStats::default();
    let at = stats.at(ToolPreInvoke::ID, &"tool_pre_invoke".into());
    at.count(Status::Pass, Duration::from_micros(3));
    at.count(Status::WouldBlock, Duration::from_micros(9));
    at.count(Status::Block, Duration::from_millis(2));
    stats.violation("PII_DETECTED", false);
    stats.violation("PII_DETECTED", true);
    stats.error("timeout");
    stats
}

#[test]
fn a_report_tells_calls_durations_violations_and_errors() {
    let report = PluginReport::new("p", &counted().since_reset());
    assert_eq!((report.executions, report.executions_by_status["pass"]), (3, 1));
    assert_eq!((report.violations["PII_DETECTED"], report.would_have_blocked["PII_DETECTED"]), (2, 1));
    assert_eq!(report.errors["timeout"], 1);
    let durations = &report.hooks["tool_pre_invoke"].duration_seconds;
    assert_eq!((durations.min, durations.max), (3e-6, 2e-3));
    assert_eq!(durations, &report.duration_seconds);
    assert!(durations.p50 <= durations.p99 && durations.p99 <= durations.max);
}

#[test]
fn a_reset_begins_the_statistics_anew_and_leaves_the_counters() {
    let stats = counted();
    stats.reset();
    let report = PluginReport::new("p", &stats.since_reset());
    assert_eq!((report.executions, report.violations.len(), report.errors.len()), (0, 0, 0));
    assert_eq!(report.duration_seconds, report::Durations::default());
    assert_eq!(stats.totals().all_hooks().executions(), 3);

    let at = stats.at(ToolPreInvoke::ID, &"tool_pre_invoke".into());
    at.count(Status::Pass, Duration::from_micros(700));
    stats.violation("OTHER", true);
    let report = PluginReport::new("p", &stats.since_reset());
    assert_eq!((report.executions, report.violations["OTHER"]), (1, 1));
    assert_eq!((report.duration_seconds.min, report.duration_seconds.max), (700e-6, 700e-6));
    assert_eq!(stats.totals().all_hooks().duration.count(), 4);
}

#[test]
fn memory_of_a_request_is_counted_while_it_holds_something() {
    use crate::pipeline::context::Contexts;
    // Others count too while this runs, so only what cannot be theirs alone is looked at.
    let before = contexts::ended();
    let mut memory = Contexts::new();
    memory.shared_mut().metadata.insert("gateway".into(), "docs".into());
    assert!(contexts::active() >= 1);
    drop(memory);
    assert!(contexts::ended() > before);
}
