//! `mortise plugin dev`: a plugin while it is written. Built, run behind a gateway, and both anew with every change.
//!
//! The project's Makefile says how it is built and run ([`super::project`]); this starts it as a server over HTTP at a
//! port that stays the same, and has the gateway come back to it. What does not build leaves the one before running.
//! Everything that is started is in a process group of its own, which is ended at the end, and by itself where this
//! program is killed ([`group`]).

mod entered;
mod gateway;
mod group;
mod watch;

use std::{
    io::{IsTerminal, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, bail};
use serde_json::{Map, Value, json};
use tokio::signal::unix::{SignalKind, signal};

use super::project::Project;
use crate::{
    Exit,
    cli::{LogFormat, PluginDevArgs},
    output::Output,
};
use entered::Entered;
use gateway::Gateway;
use group::{Group, Started};
use watch::Watch;

/// How long a plugin may take to listen.
const STARTING: Duration = Duration::from_secs(60);

/// How often it is looked whether something listens.
const LOOKING: Duration = Duration::from_millis(20);

/// What is told while it runs: lines of the plugin, of the gateway, and of this program.
#[derive(Clone, Debug)]
pub(super) struct Console {
    colour: bool,
    format: LogFormat,
}

impl Console {
    fn new(format: LogFormat) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { colour: !plain && std::io::stderr().is_terminal(), format }
    }

    /// A line of somebody.
    pub(super) fn line(&self, who: &str, text: &str) {
        let line = match (self.format, self.colour) {
            (LogFormat::Json, _) => json!({ "from": who, "message": text }).to_string(),
            (LogFormat::Text, true) => format!("\u{1b}[{}m{who:>7}\u{1b}[0m {text}", code(who)),
            (LogFormat::Text, false) => format!("{who:>7} {text}"),
        };
        let _nobody_reads = writeln!(std::io::stderr().lock(), "{line}");
    }

    fn say(&self, text: impl AsRef<str>) {
        self.line("dev", text.as_ref());
    }
}

fn code(who: &str) -> &'static str {
    match who {
        "dev" => "1;36",
        "plugin" => "32",
        _ => "2",
    }
}

pub(super) fn dev(args: &PluginDevArgs, output: &mut Output) -> anyhow::Result<Exit> {
    let project = Project::find(&args.folder)?;
    if args.start.is_none() && !project.has("start") {
        bail!(
            "{} has no Makefile with the target `start`: say by --start how the plugin is run",
            project.folder.display()
        );
    }
    let call: Value = serde_json::from_str(&args.args).context("--args is no JSON")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.context("cannot start the asynchronous runtime")?;
    let exit = runtime.block_on(async {
        let mut dev = Dev::new(args, project, call)?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let exit = tokio::select! {
            biased;
            exit = dev.run(output) => exit,
            _ = interrupt.recv() => Ok(Exit::Ok),
            _ = terminate.recv() => Ok(Exit::Ok),
        };
        dev.end().await;
        exit
    });
    runtime.shutdown_background();
    exit
}

struct Dev<'a> {
    args: &'a PluginDevArgs,
    project: Project,
    call: Value,
    console: Console,
    /// The plugin's name in configurations.
    name: String,
    /// Where the plugin listens; where a gateway of its own build does.
    port: u16,
    plugin: Option<Group>,
    gateway: Option<Gateway>,
    entered: Option<Entered>,
}

impl<'a> Dev<'a> {
    fn new(args: &'a PluginDevArgs, project: Project, call: Value) -> anyhow::Result<Self> {
        let folder = project.folder.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = project.name.clone().or(folder).unwrap_or_else(|| "plugin".to_owned());
        let port = match (project.is_native(), args.port) {
            (true, port @ 1..) => port,
            _ => free_port()?,
        };
        let console = Console::new(args.log_format);
        Ok(Self { args, project, call, console, name, port, plugin: None, gateway: None, entered: None })
    }

    async fn run(&mut self, output: &mut Output) -> anyhow::Result<Exit> {
        let mut watch = Watch::new(self.project.folder.clone()).await;
        loop {
            let begun = Instant::now();
            match self.renew().await {
                Ok(()) => {
                    self.console.say(format!("{} runs ({:.1} s)", self.name, begun.elapsed().as_secs_f64()));
                    let called = self.try_call(output).await;
                    if self.args.once {
                        return Ok(if called { Exit::Ok } else { Exit::Failed });
                    }
                }
                Err(error) if self.args.once => return Err(error),
                Err(error) => {
                    let still = if self.plugin.is_some() { "; the one before still runs" } else { "" };
                    self.console.say(format!("{error:#}{still}"));
                }
            }
            let changed = tokio::select! {
                changed = watch.changed() => changed,
                how = ended(self.plugin.as_mut()) => {
                    self.console.say(format!("the plugin has ended ({how}); it is started anew with the next change"));
                    self.plugin = None;
                    watch.changed().await
                }
            };
            self.console.say(format!("{changed} has changed"));
        }
    }

    /// Builds, starts, and has the gateway take it.
    async fn renew(&mut self) -> anyhow::Result<()> {
        self.build().await?;
        if let Some(before) = self.plugin.take() {
            before.end().await;
        }
        if !self.project.is_process() {
            self.plugin = Some(self.start().await?);
        }
        if self.project.is_native() {
            self.console.say(format!("the gateway is at {}/mcp", self.own_url()));
            return Ok(());
        }
        match (&self.gateway, &self.entered, &self.args.into) {
            (Some(gateway), ..) => gateway.reload(&self.name).await,
            (None, Some(entered), _) => entered.reload(&self.name, &self.console).await,
            (None, None, Some(file)) => {
                let entered = Entered::into(file, &self.name, &self.entry()?)?;
                self.console.say(format!("entered into {}; taken out at the end", file.display()));
                self.entered = Some(entered);
            }
            (None, None, None) => {
                let upstream = self.args.upstream.as_deref();
                let entry = self.entry()?;
                let gateway = Gateway::start(&entry, upstream, self.args.port, &self.console).await?;
                self.console.say(format!("the gateway is at {}/mcp", gateway.url));
                self.gateway = Some(gateway);
            }
        }
        Ok(())
    }

    async fn build(&self) -> anyhow::Result<()> {
        let command = match &self.args.build {
            Some(line) => shell(line),
            None if self.project.has("compile") => self.project.make("compile", &[]),
            None => return Ok(()),
        };
        let begun = Instant::now();
        let mut started = Started::new("build", command, &self.project.folder, &self.console);
        started.env = self.variables();
        let mut group = started.start()?;
        let status = group.wait().await;
        group.end().await;
        if !status.success {
            bail!("it does not build ({})", status.shown);
        }
        self.console.say(format!("built ({:.1} s)", begun.elapsed().as_secs_f64()));
        Ok(())
    }

    async fn start(&self) -> anyhow::Result<Group> {
        let variables = self.variables();
        let command = match &self.args.start {
            Some(line) => shell(line),
            None => {
                // Said on the command line of make they stand over what the project's `.env` says.
                let words: Vec<String> =
                    variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                self.project.make("start", &words)
            }
        };
        let mut started = Started::new("plugin", command, &self.project.folder, &self.console);
        started.env = variables;
        let mut group = started.start()?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let deadline = Instant::now() + STARTING;
        loop {
            tokio::select! {
                status = group.wait() => bail!("the plugin ended before it listened ({})", status.shown),
                () = tokio::time::sleep(LOOKING) => {}
            }
            if TcpStream::connect_timeout(&address, LOOKING).is_ok() {
                return Ok(group);
            }
            if Instant::now() > deadline {
                bail!("the plugin does not listen at {address} after {} s", STARTING.as_secs());
            }
        }
    }

    fn variables(&self) -> Vec<(String, String)> {
        let port = self.port.to_string();
        let mut variables =
            vec![("DEBUG".to_owned(), self.args.debug.map(|port| port.to_string()).unwrap_or_default())];
        let more: &[(&str, &str)] = match self.project.is_native() {
            true => &[("MORTISE_PORT", &port), ("MORTISE_HOST", "127.0.0.1")],
            false => &[
                ("PLUGINS_TRANSPORT", "http"),
                ("PLUGINS_SERVER_HOST", "127.0.0.1"),
                ("PLUGINS_SERVER_PORT", &port),
            ],
        };
        variables.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        variables
    }

    /// The entry by which a gateway has the plugin.
    fn entry(&self) -> anyhow::Result<Map<String, Value>> {
        let entry = if self.project.is_process() { self.process_entry()? } else { self.external_entry() };
        match entry {
            Value::Object(entry) => Ok(entry),
            _ => Ok(Map::new()),
        }
    }

    /// A program that the gateway starts by itself.
    fn process_entry(&self) -> anyhow::Result<Value> {
        let manifest = self.project.manifest.as_ref();
        Ok(json!({
            "name": self.name,
            "kind": "process",
            "mode": "enforce",
            "command": self.project.said("command")?,
            "hooks": manifest.map(|manifest| manifest.available_hooks.clone()).unwrap_or_default(),
            "config": manifest.map(|manifest| manifest.default_config.clone()).unwrap_or_default(),
        }))
    }

    /// A server that is started here. A call that meets a restart waits for its end.
    fn external_entry(&self) -> Value {
        json!({
            "name": self.name,
            "kind": "external",
            "mode": "enforce",
            "mcp": {
                "proto": "STREAMABLEHTTP",
                "url": format!("http://127.0.0.1:{}/mcp", self.port),
                "retry_attempts": 10,
                "reconnect_delay": 0.05,
            },
        })
    }

    fn own_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The call that was asked for; whether it could be made.
    async fn try_call(&self, output: &mut Output) -> bool {
        let Some(tool) = &self.args.call else { return true };
        let url = self.gateway.as_ref().map_or_else(|| self.own_url(), |gateway| gateway.url.clone());
        match gateway::call(&url, tool, &self.call).await {
            Ok(told) => {
                output.line(told);
                true
            }
            Err(error) => {
                self.console.say(format!("{tool} could not be called: {error:#}"));
                false
            }
        }
    }

    /// Ends everything that was started, the gateway first, so that no call meets a plugin that is gone.
    async fn end(&mut self) {
        if let Some(entered) = self.entered.take() {
            match entered.take_out() {
                Ok(()) => self.console.say("taken out of the file again"),
                Err(error) => self.console.say(format!("{error:#}")),
            }
        }
        if let Some(gateway) = self.gateway.take() {
            gateway.end().await;
        }
        if let Some(plugin) = self.plugin.take() {
            plugin.end().await;
        }
    }
}

fn shell(line: &str) -> Vec<String> {
    vec!["sh".to_owned(), "-c".to_owned(), line.to_owned()]
}

fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("there is no free port")?;
    listener.local_addr().map(|address| address.port()).map_err(|error| anyhow!(error))
}

/// How the plugin ended; never where there is none.
async fn ended(plugin: Option<&mut Group>) -> String {
    match plugin {
        Some(plugin) => plugin.wait().await.shown,
        None => std::future::pending().await,
    }
}
