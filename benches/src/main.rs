//! `make bench`: what Mortise costs, measured in one run beside the bare upstream and beside nginx.
//!
//! Prints a table of every bound that can be measured so far, with ratios rather than numbers that only hold for one
//! machine. One program in three roles, so that `cargo run --release` builds all that is needed: the bench itself,
//! the minimal upstream (`bench upstream`), and a gateway built with the test kit's plugins beside the product's
//! (`bench gateway`), each a process of its own while measuring.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

mod allocations;
mod control;
mod endpoints;
mod gateway;
mod kinds;
mod llm;
mod machine;
mod native;
mod observing;
mod plans;
mod posts;
mod reload;
mod report;
mod rounds;
mod scale;
mod served;
mod servers;

use report::Report;

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

/// Measures Mortise beside the bare upstream and nginx.
#[derive(Clone, Parser)]
struct Options {
    #[command(subcommand)]
    role: Option<Role>,
    /// Rounds; each measures every server once, and medians over rounds are shown.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds each server is under load in a round.
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// Connections of the load generator.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// The nginx to compare with.
    #[arg(long, default_value = "nginx")]
    nginx: PathBuf,
    /// A gateway to measure instead of the one built into this program; it knows no plugins of the test kit.
    #[arg(long)]
    gateway: Option<PathBuf>,
    /// Measures only this part.
    #[arg(long)]
    only: Option<Part>,
    /// Writes the report to docs/performance.md too.
    #[arg(long)]
    write: bool,
}

impl Options {
    fn measures(&self, part: Part) -> bool {
        self.only.is_none_or(|only| only == part)
    }

    /// The same with this many rounds, and at most so many seconds under load in each.
    fn lasting(&self, rounds: usize, longest: f64) -> Self {
        Self { rounds, seconds: self.seconds.min(longest), ..self.clone() }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Hooks and plugins inside this process.
    Native,
    /// Whole calls through servers.
    Gateway,
    /// Calls among many plugins and tools.
    Scale,
    /// Reloads, and calls meanwhile.
    Reload,
    /// What explain and spans cost a call.
    Observing,
    /// Plugins served elsewhere, over each transport.
    Served,
    /// Plugins' own endpoints.
    Endpoints,
    /// Requests to models.
    Llm,
}

#[derive(Clone, Subcommand)]
enum Role {
    /// Runs the minimal upstream.
    #[command(hide = true)]
    Upstream {
        #[arg(long)]
        port: u16,
        /// How many tools it lists, its own one counted.
        #[arg(long)]
        tools: Option<usize>,
    },
    /// Runs a vendor of models.
    #[command(hide = true)]
    Vendor {
        #[arg(long)]
        port: u16,
    },
    /// Runs a plugin server.
    #[command(hide = true)]
    PluginServer {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Runs a plugin as its gateway starts it.
    #[command(hide = true)]
    ProcessPlugin,
    /// Runs a plugin with endpoints as its gateway starts it.
    #[command(hide = true)]
    EndpointsPlugin,
    /// Runs the gateway with the plugins of the test kit.
    #[command(hide = true)]
    Gateway {
        #[arg(long)]
        config: PathBuf,
    },
}

fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    let done = |()| ExitCode::SUCCESS;
    match &options.role {
        Some(Role::Upstream { port, tools: None }) => servers::run_upstream(*port).map(done),
        Some(Role::Upstream { port, tools: Some(tools) }) => scale::run_listing(*port, *tools).map(done),
        Some(Role::Vendor { port }) => llm::run_vendor(*port).map(done),
        Some(Role::ProcessPlugin) => served::run_process_plugin().map(done),
        Some(Role::EndpointsPlugin) => endpoints::run_plugin().map(done),
        Some(Role::PluginServer { args }) => Ok(served::run(args)),
        Some(Role::Gateway { config }) => Ok(servers::run_gateway(config)),
        None => bench(&options).map(done),
    }
}

fn bench(options: &Options) -> anyhow::Result<()> {
    let mut report = Report::default();
    if options.measures(Part::Native) {
        native::measure(&mut report)?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    if options.measures(Part::Gateway) {
        runtime.block_on(gateway::measure(options, &mut report))?;
    }
    if options.measures(Part::Scale) {
        runtime.block_on(scale::measure(options, &mut report))?;
    }
    if options.measures(Part::Reload) {
        runtime.block_on(reload::measure(options, &mut report))?;
    }
    if options.measures(Part::Observing) {
        runtime.block_on(observing::measure(options, &mut report))?;
    }
    if options.measures(Part::Served) {
        runtime.block_on(served::measure(options, &mut report))?;
    }
    if options.measures(Part::Endpoints) {
        runtime.block_on(endpoints::measure(options, &mut report))?;
    }
    if options.measures(Part::Llm) {
        runtime.block_on(llm::measure(options, &mut report))?;
    }
    drop(runtime);
    let text = report.to_markdown();
    #[expect(clippy::print_stdout, reason = "the report is what this program is for")]
    {
        println!("{text}");
    }
    if options.write {
        let page = machine::page(&text);
        std::fs::write("docs/performance.md", page)?;
    }
    Ok(())
}

/// Says on standard error what is going on, so that the report alone is on standard output.
#[expect(clippy::print_stderr, reason = "a run takes minutes; whoever waits wants to know for what")]
fn say(what: &str) {
    eprintln!("bench: {what}");
}
