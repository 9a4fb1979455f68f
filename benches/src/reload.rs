//! How long a reload takes, and what calls that are under way notice of it.

use std::{
    cell::Cell,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::ensure;
use mortise_testkit::load::{self, Report as Load};
use tokio::time::MissedTickBehavior;

use crate::{
    Options, control,
    plans::Plan,
    report::{Report, Table, median},
    rounds::{self, Target},
    say,
    servers::{Gateway, Server, Setup},
};

/// Twenty real plugins, of which one is changed.
const PLAN: Plan = Plan::Builtins(4);
/// Reloads that are timed while nothing else happens.
const RELOADS: usize = 25;
/// Time between two reloads under load.
const PERIOD: Duration = Duration::from_millis(200);
/// Text of a call, in bytes.
const SIZE: usize = 64;
/// Longest time under load in a round, in seconds.
const SECONDS: f64 = 4.0;

/// Measures reloads of a gateway without calls, then calls with and without reloads.
pub(crate) async fn measure(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let upstream = Server::upstream()?;
    let gateway = Gateway::choose(options.gateway.as_deref())?;
    // Only when told: how soon a changed file is noticed is not what is measured.
    let setup = Setup::new(PLAN, &upstream).with("watch: false\n");
    let server = Server::gateway_of(&gateway, &setup, folder.path())?;
    let mut reloads = Reloads::new(&server, setup, folder.path())?;
    let mut idle = Vec::new();
    for _ in 0..RELOADS {
        idle.push(reloads.next().await?);
    }
    say(&format!("reload: {:.1} ms", median(idle.iter().copied())));
    let target = Target::new("gateway, reload", &server, SIZE)?;
    let timed = options.lasting(options.rounds, SECONDS);
    let capacity = rounds::closed(std::slice::from_ref(&target), &timed.lasting(1, SECONDS)).await?;
    let rate = capacity[0].rate() / 2.0;
    let (mut calm, mut changing) = (Vec::new(), Vec::new());
    let mut busy = Vec::new();
    for round in 0..timed.rounds {
        // Each round begins with the other one.
        for with_reloads in [round % 2 == 1, round % 2 == 0] {
            let run = load::open(
                &target.request,
                options.connections,
                rate,
                Duration::from_secs_f64(timed.seconds),
            );
            if with_reloads {
                changing.push(reloads.during(run, &mut busy).await?);
            } else {
                calm.push(run.await?);
            }
        }
        say(&format!("reload: round {} of {}", round + 1, timed.rounds));
    }
    tables(&[("none", &[], &calm), ("every 200 ms", &busy, &changing)], &idle, report);
    Ok(())
}

/// What was reloaded how often, how long that took (ms), and what the calls meanwhile were like.
type Row<'a> = (&'static str, &'a [f64], &'a [Load]);

fn tables(rows: &[Row<'_>], idle: &[f64], report: &mut Report) {
    let columns = ["while", "reloads", "median ms", "longest ms"];
    let mut table = Table::new("Reload of 20 plugins, one of them changed", &columns);
    let under_load: Vec<f64> = rows.iter().flat_map(|(_, took, _)| took.iter().copied()).collect();
    for (while_, took) in [("nothing else happens", idle), ("half of the capacity is called", &under_load)] {
        let longest = took.iter().copied().fold(0.0, f64::max);
        table.row([
            while_.to_owned(),
            took.len().to_string(),
            format!("{:.1}", median(took.iter().copied())),
            format!("{longest:.1}"),
        ]);
    }
    report.table(table);
    let columns = ["reloads", "calls/s", "p50 µs", "p90 µs", "p99 µs", "p99.9 µs", "errors"];
    let mut table = Table::new("Latency under reloads, open loop at half of the capacity", &columns);
    for (name, _, loads) in rows {
        let micros = |quantile| {
            let rounds = loads.iter().map(|load| load.latency.quantile(quantile).as_secs_f64() * 1e6);
            format!("{:.0}", median(rounds))
        };
        table.row([
            (*name).to_owned(),
            format!("{:.0}", median(loads.iter().map(Load::rate))),
            micros(0.5),
            micros(0.9),
            micros(0.99),
            micros(0.999),
            loads.iter().map(|load| load.errors).sum::<u64>().to_string(),
        ]);
        if let Some(first) = loads.iter().find_map(|load| load.first_error.as_deref()) {
            report.note(format!("Calls with reloads {name}: the first error: {first}"));
        }
    }
    report.table(table);
}

/// Changes one plugin again and again.
struct Reloads<'a> {
    server: &'a Server,
    plain: String,
    setup: Setup,
    home: std::path::PathBuf,
    token: String,
    made: usize,
}

impl<'a> Reloads<'a> {
    fn new(server: &'a Server, setup: Setup, folder: &Path) -> anyhow::Result<Self> {
        let home = server.home(folder);
        let token = control::local_token(&home.join("state"))?;
        Ok(Self { server, plain: setup.plugins.clone(), setup, home, token, made: 0 })
    }

    /// Changes the configuration and waits until it is in force; how long that took, in milliseconds.
    async fn next(&mut self) -> anyhow::Result<f64> {
        self.made += 1;
        // Longer than any text of this bench, so that every one of them lets every call pass.
        let changed = format!("max_chars: {}", 100_000 + self.made);
        self.setup.plugins = self.plain.replacen("max_chars: 100000", &changed, 1);
        self.setup.write(self.server.port, &self.home)?;
        let started = Instant::now();
        let answer = control::ask(self.server.port, "POST", "/api/v1/reload", Some(&self.token)).await?;
        let took = started.elapsed().as_secs_f64() * 1000.0;
        ensure!(answer.contains(r#""outcome":"applied""#), "the reload changed nothing: {answer}");
        Ok(took)
    }

    /// Reloads in every period while `run` is under way, and notes how long each took.
    async fn during(
        &mut self,
        run: impl Future<Output = std::io::Result<Load>>,
        took: &mut Vec<f64>,
    ) -> anyhow::Result<Load> {
        let ended = Cell::new(false);
        let calls = async {
            let done = run.await;
            ended.set(true);
            done
        };
        // Each is seen to its end: what was asked for goes on without whoever asked, and would take in the next change.
        let reloads = async {
            let mut period = tokio::time::interval(PERIOD);
            period.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                period.tick().await;
                if ended.get() {
                    return anyhow::Ok(());
                }
                took.push(self.next().await?);
            }
        };
        let (done, reloaded) = tokio::join!(calls, reloads);
        reloaded?;
        Ok(done?)
    }
}
