//! Reading plugin counters out in the exposition format.

mod documented;

use std::collections::HashSet;

use mortise_telemetry::names;

use super::*;
use crate::{
    breaker::Stand,
    instance::{Instance, State},
    load::Framework,
};

/// Shows the counters of a framework's plugins to a metrics registry.
#[derive(Debug)]
pub struct PluginCollector(pub Framework);

impl Collector for PluginCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let all = self.0.stats().all();
        self.executions(&mut encoder, &all)?;
        durations(&mut encoder, &names::PLUGIN_DURATION, &all)?;
        by_code(&mut encoder, &all)?;
        let mut metric = descriptor(&mut encoder, &names::PLUGIN_OVERRUNS)?;
        for (plugin, stats) in &all {
            counter(&mut metric, &[("plugin", plugin)], stats.overruns.load(Relaxed))?;
        }
        let mut metric = descriptor(&mut encoder, &names::PLUGIN_DROPPED)?;
        for (plugin, stats) in &all {
            counter(&mut metric, &[("plugin", plugin)], stats.dropped.load(Relaxed))?;
        }
        let mut metric = descriptor(&mut encoder, &names::PLUGIN_BREAKER_OPENINGS)?;
        for (plugin, stats) in &all {
            counter(&mut metric, &[("plugin", plugin)], stats.breaker_openings())?;
        }
        documented::encode(&mut encoder, &all)?;
        self.memory(&mut encoder)?;
        self.standing(&mut encoder)?;
        let draining = i64::try_from(self.0.draining()).unwrap_or(i64::MAX);
        descriptor(&mut encoder, &names::PLUGINS_DRAINING)?.encode_gauge(&draining)?;
        let enabled = self.0.pipelines().settings().enabled;
        descriptor(&mut encoder, &names::PLUGINS_ENABLED)?.encode_gauge(&i64::from(enabled))
    }
}

impl PluginCollector {
    /// Memory of requests, and of plugins that run in a process of their own. Those of this program's own code have none
    /// apart.
    fn memory(&self, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
        let active = i64::try_from(contexts::active()).unwrap_or(i64::MAX);
        let ended = contexts::ended();
        for metric in [&names::CONTEXTS_ACTIVE, &names::DOCUMENTED_CONTEXTS_ACTIVE] {
            descriptor(encoder, metric)?.encode_gauge(&active)?;
        }
        for metric in [&names::CONTEXTS_CLEANED, &names::DOCUMENTED_CONTEXTS_CLEANED] {
            descriptor(encoder, metric)?.encode_counter::<NoLabelSet, _, u64>(&ended, None)?;
        }
        let held = memory::of_plugins(&self.0.pipelines());
        for metric in [&names::PLUGIN_MEMORY, &names::DOCUMENTED_MEMORY] {
            let mut metric = descriptor(encoder, metric)?;
            for (plugin, bytes) in &held {
                let bytes = i64::try_from(*bytes).unwrap_or(i64::MAX);
                metric.encode_family(&[("plugin", &**plugin)])?.encode_gauge(&bytes)?;
            }
        }
        Ok(())
    }

    /// How plugins stand. One that bindings let run with several configurations is as well as the worst of these.
    fn standing(&self, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
        let pipelines = self.0.pipelines();
        let (mut unwell, mut tripped) = (HashSet::new(), HashSet::new());
        for instance in pipelines.all_instances() {
            if instance.unwell().is_some() {
                unwell.insert(&*instance.name);
            }
            if instance.circuit_breaker().stand != Stand::Closed {
                tripped.insert(&*instance.name);
            }
        }
        let ready = |instance: &Instance| instance.state() == State::Ready;
        let well = |instance: &Instance| !unwell.contains(&*instance.name);
        let mut metric = descriptor(encoder, &names::PLUGIN_UP)?;
        for instance in pipelines.instances() {
            gauge(&mut metric, instance, ready(instance) && well(instance))?;
        }
        let mut metric = descriptor(encoder, &names::PLUGIN_HEALTHY)?;
        for instance in pipelines.instances().iter().filter(|instance| ready(instance)) {
            gauge(&mut metric, instance, well(instance))?;
        }
        let mut metric = descriptor(encoder, &names::PLUGIN_OVERRIDDEN)?;
        for instance in pipelines.instances() {
            gauge(&mut metric, instance, instance.entry.overlaid.is_some())?;
        }
        let mut metric = descriptor(encoder, &names::PLUGIN_BREAKER_OPEN)?;
        for instance in pipelines.instances() {
            gauge(&mut metric, instance, tripped.contains(&*instance.name))?;
        }
        Ok(())
    }

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

fn durations(encoder: &mut DescriptorEncoder<'_>, metric: &names::Metric, all: &All) -> std::fmt::Result {
    let mut metric = descriptor(encoder, metric)?;
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
    errors(encoder, &names::PLUGIN_ERRORS, all)
}

fn errors(encoder: &mut DescriptorEncoder<'_>, metric: &names::Metric, all: &All) -> std::fmt::Result {
    let mut metric = descriptor(encoder, metric)?;
    for (plugin, stats) in all {
        for (kind, count) in stats.errors() {
            counter(&mut metric, &[("plugin", &**plugin), ("error_type", kind)], count)?;
        }
    }
    Ok(())
}

fn gauge(metric: &mut MetricEncoder<'_>, plugin: &Instance, is: bool) -> std::fmt::Result {
    metric.encode_family(&[("plugin", &*plugin.name)])?.encode_gauge(&i64::from(is))
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
