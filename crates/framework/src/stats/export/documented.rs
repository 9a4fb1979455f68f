//! The same counters under the names that ContextForge's documents give, for dashboards that were made by them.

use super::*;

/// Words of the documented `status`, by [`Status`]: of these the documents give `success`.
const STATUSES: [(&str, &[Status]); 3] = [
    ("success", &[Status::Pass, Status::Change, Status::Serve]),
    ("violation", &[Status::Block, Status::WouldBlock]),
    ("error", &[Status::Error]),
];

pub(super) fn encode(encoder: &mut DescriptorEncoder<'_>, all: &All) -> std::fmt::Result {
    let mut metric = descriptor(encoder, &names::DOCUMENTED_EXECUTIONS)?;
    for (plugin, stats) in all {
        for (hook, counts) in stats.hooks() {
            for (word, of) in STATUSES {
                let count = of.iter().map(|status| counts.calls(*status)).sum();
                counter(&mut metric, &[("plugin", &**plugin), ("hook", &*hook), ("status", word)], count)?;
            }
        }
    }
    durations(encoder, &names::DOCUMENTED_DURATION, all)?;
    let mut metric = descriptor(encoder, &names::DOCUMENTED_VIOLATIONS)?;
    for (plugin, stats) in all {
        let mut by_code: BTreeMap<String, u64> = BTreeMap::new();
        for ((code, _), count) in stats.violations() {
            *by_code.entry(code).or_default() += count;
        }
        for (code, count) in by_code {
            counter(&mut metric, &[("plugin", &**plugin), ("violation_code", code.as_str())], count)?;
        }
    }
    errors(encoder, &names::DOCUMENTED_ERRORS, all)
}
