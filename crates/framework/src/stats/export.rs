//! Reading plugin counters out in the exposition format.

use mortise_telemetry::names;

use super::*;
use crate::{instance::State, load::Framework};

/// Shows the counters of a framework's plugins to a metrics registry.
#[derive(Debug)]
pub struct PluginCollector(pub Framework);

impl Collector for PluginCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let all = self.0.stats().all();
        self.executions(&mut encoder, &all)?;
        durations(&mut encoder, &all)?;
        by_code(&mut encoder, &all)?;
        let mut metric = descriptor(&mut encoder, &names::PLUGIN_OVERRUNS)?;
        for (plugin, stats) in &all {
            counter(&mut metric, &[("plugin", plugin)], stats.overruns.load(Relaxed))?;
        }
        let mut metric = descriptor(&mut encoder, &names::PLUGIN_DROPPED)?;
        for (plugin, stats) in &all {
            counter(&mut metric, &[("plugin", plugin)], stats.dropped.load(Relaxed))?;
        }
        let mut metric = descriptor(&mut encoder, &names::PLUGIN_UP)?;
        for instance in self.0.pipelines().instances() {
            let up = i64::from(instance.state() == State::Ready);
            metric.encode_family(&[("plugin", &*instance.name)])?.encode_gauge(&up)?;
        }
        let draining = i64::try_from(self.0.draining()).unwrap_or(i64::MAX);
        descriptor(&mut encoder, &names::PLUGINS_DRAINING)?.encode_gauge(&draining)?;
        let enabled = self.0.pipelines().settings().enabled;
        descriptor(&mut encoder, &names::PLUGINS_ENABLED)?.encode_gauge(&i64::from(enabled))
    }
}

impl PluginCollector {
    fn executions(&self, encoder: &mut DescriptorEncoder<'_>, all: &All) -> std::fmt::Result {
        let mut metric = descriptor(encoder, &names::PLUGIN_EXECUTIONS)?;
        for (plugin, stats) in all {
            for (hook, counts) in stats.hooks() {
                for status in Status::ALL {
                    let labels = [("plugin", &**plugin), ("hook", &*hook), ("status", status.word())];
                    counter(&mut metric, &labels, counts.calls(status))?;
                }
            }
        }
        Ok(())
    }
}

type All = Vec<(Arc<str>, Arc<PluginStats>)>;

fn durations(encoder: &mut DescriptorEncoder<'_>, all: &All) -> std::fmt::Result {
    let mut metric = descriptor(encoder, &names::PLUGIN_DURATION)?;
    for (plugin, stats) in all {
        for (hook, counts) in stats.hooks() {
            let reading = counts.duration.read();
            metric
                .encode_family(&[("plugin", &**plugin), ("hook", &*hook)])?
                .encode_histogram::<NoLabelSet>(
                    reading.sum.as_secs_f64(),
                    reading.count(),
                    &reading.seconds(),
                    None,
                )?;
        }
    }
    Ok(())
}

fn by_code(encoder: &mut DescriptorEncoder<'_>, all: &All) -> std::fmt::Result {
    let mut metric = descriptor(encoder, &names::PLUGIN_VIOLATIONS)?;
    for (plugin, stats) in all {
        for ((code, blocked), count) in stats.violations() {
            let blocked = if blocked { "true" } else { "false" };
            let labels = [("plugin", &**plugin), ("violation_code", code.as_str()), ("blocked", blocked)];
            counter(&mut metric, &labels, count)?;
        }
    }
    let mut metric = descriptor(encoder, &names::PLUGIN_ERRORS)?;
    for (plugin, stats) in all {
        for (kind, count) in stats.errors() {
            counter(&mut metric, &[("plugin", &**plugin), ("error_type", kind)], count)?;
        }
    }
    Ok(())
}

fn counter<const N: usize>(
    metric: &mut MetricEncoder<'_>,
    labels: &[(&str, &str); N],
    value: u64,
) -> std::fmt::Result {
    metric.encode_family(labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)
}

/// Starts the metric of a row of the telemetry table, for collectors that read counters out when somebody scrapes.
///
/// # Errors
/// When the encoder cannot write.
pub fn descriptor<'a>(
    encoder: &'a mut DescriptorEncoder<'_>,
    metric: &names::Metric,
) -> Result<MetricEncoder<'a>, std::fmt::Error> {
    let kind = match metric.kind {
        names::Kind::Counter => MetricType::Counter,
        names::Kind::Gauge => MetricType::Gauge,
        names::Kind::Histogram => MetricType::Histogram,
    };
    encoder.encode_descriptor(metric.name, metric.help, None::<&Unit>, kind)
}
