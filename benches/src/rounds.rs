//! Interleaved rounds: every server is measured once per round, so that what slows the machine for a while slows all.

use std::time::Duration;

use mortise_testkit::{
    load::{self, Report, Request, Until},
    process::Usage,
};

use crate::{
    Options,
    report::{self, median},
    say,
    servers::Server,
};

/// A load on a server.
pub(crate) struct Target<'a> {
    /// For people; unique.
    pub(crate) name: String,
    pub(crate) server: &'a Server,
    pub(crate) request: Request,
}

impl<'a> Target<'a> {
    /// Calls of `echo` with a text of `size` bytes.
    pub(crate) fn new(name: impl Into<String>, server: &'a Server, size: usize) -> anyhow::Result<Self> {
        let request = Request::echo(&server.url(), &[], "echo", size)?;
        Ok(Self { name: name.into(), server, request })
    }
}

/// What the rounds found of one target.
#[derive(Default)]
pub(crate) struct Measured {
    pub(crate) name: String,
    /// Calls per second, by round.
    rates: Vec<f64>,
    /// CPU time of the server's processes per call, by round.
    cpu: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
    pub(crate) errors: u64,
    pub(crate) first_error: Option<String>,
}

impl Measured {
    /// Median calls per second.
    pub(crate) fn rate(&self) -> f64 {
        median(self.rates.iter().copied())
    }

    /// Median CPU time per call, in microseconds.
    pub(crate) fn cpu_micros(&self) -> f64 {
        median(self.cpu.iter().copied())
    }

    /// Median of the rounds' percentiles, in microseconds.
    pub(crate) fn latency_micros(&self) -> (f64, f64) {
        (median(self.p50.iter().copied()), median(self.p99.iter().copied()))
    }

    /// Throughput as a share of `other`'s, each round compared with itself.
    pub(crate) fn share_of(&self, other: &Self) -> f64 {
        median(self.rates.iter().zip(&other.rates).map(|(mine, theirs)| mine / theirs))
    }

    /// CPU time per call as a multiple of `other`'s, each round compared with itself.
    pub(crate) fn cpu_against(&self, other: &Self) -> f64 {
        median(self.cpu.iter().zip(&other.cpu).map(|(mine, theirs)| mine / theirs))
    }

    fn add(&mut self, report: &Report, cpu: Duration) {
        self.rates.push(report.rate());
        self.cpu.push(cpu.as_secs_f64() * 1e6 / report.answered.max(1) as f64);
        self.p50.push(report.latency.quantile(0.5).as_secs_f64() * 1e6);
        self.p99.push(report.latency.quantile(0.99).as_secs_f64() * 1e6);
        self.errors += report.errors;
        self.first_error = self.first_error.take().or_else(|| report.first_error.clone());
    }
}

/// Closed loop on each target in turn, `rounds` times.
pub(crate) async fn closed(targets: &[Target<'_>], options: &Options) -> anyhow::Result<Vec<Measured>> {
    let fresh = |target: &Target<'_>| Measured { name: target.name.clone(), ..Measured::default() };
    let mut all: Vec<Measured> = targets.iter().map(fresh).collect();
    let time = Duration::from_secs_f64(options.seconds);
    for round in 0..options.rounds {
        for step in 0..targets.len() {
            // Each round begins elsewhere, so that none is always the one after the most expensive.
            let at = (step + round) % targets.len();
            let target = &targets[at];
            load::closed(&target.request, options.connections, Until::Elapsed(time / 10)).await?;
            let before = Usage::of_tree(target.server.pid())?;
            let report = load::closed(&target.request, options.connections, Until::Elapsed(time)).await?;
            let after = Usage::of_tree(target.server.pid())?;
            say(&format!("round {} of {}: {}: {report}", round + 1, options.rounds, target.name));
            all[at].add(&report, after.cpu_since(&before));
        }
    }
    Ok(all)
}

/// Open loop on each target at half of its own capacity.
pub(crate) async fn open(
    targets: &[Target<'_>],
    capacities: &[Measured],
    options: &Options,
) -> anyhow::Result<Vec<Report>> {
    let mut reports = Vec::with_capacity(targets.len());
    for (target, capacity) in targets.iter().zip(capacities) {
        let (rate, time) = (capacity.rate() / 2.0, Duration::from_secs_f64(options.seconds));
        let report = load::open(&target.request, options.connections, rate, time).await?;
        say(&format!("half capacity: {}: {report}", target.name));
        reports.push(report);
    }
    Ok(reports)
}

/// Notes which targets answered with errors.
pub(crate) fn note_errors(measured: &[Measured], report: &mut report::Report) {
    for one in measured.iter().filter(|one| one.errors > 0) {
        let first = one.first_error.as_deref().unwrap_or_default();
        report.note(format!("{}: {} errors, the first: {first}", one.name, one.errors));
    }
}
