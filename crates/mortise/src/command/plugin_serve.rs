//! `mortise plugin serve`: the plugins of a file, as this build runs them, behind a plugin server.
//!
//! The file is read, checked and started by the framework, as for a gateway; what is served of it are the plugins that
//! started. Chains are the gateways' own: here only the mode of each plugin counts, for what is told of its answers.

use std::{io::IsTerminal, path::Path, sync::Arc};

use anyhow::{Context, anyhow, bail};
use mortise_framework::{
    Instance, Pipelines, Plan,
    config::{DiagnosticKind, FileKind, PluginEntry, PluginsFile, PluginsFileOptions},
    instance::State,
    pipeline::policy::{Policy, Trouble},
};
use mortise_gateway::{
    config::{LoadOptions, Settled},
    host::HttpService,
    overrides::OverrideSource,
};
use mortise_sdk::{Plugins, Sections, Served, Settings, Transport};
use serde_json::{Map, Value, json};
use tokio::{
    runtime::Handle,
    signal::unix::{SignalKind, signal},
};

use super::NotSettled;
use crate::{
    Assembly, Exit,
    cli::{LogFormat, PluginServeArgs, ServeTransport},
    logging,
    output::Output,
};

pub(super) fn serve(
    args: &PluginServeArgs,
    assembly: &Assembly,
    output: &mut Output,
) -> anyhow::Result<Exit> {
    if let Err(problem) = logging::start_with(args.log_format, level()) {
        output.error(&anyhow!(problem));
        return Ok(Exit::Usage);
    }
    let (settled, settings) = match settle(args, assembly) {
        Ok(settled) => settled,
        Err(problem) => return problem.tell(output),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("cannot start the asynchronous runtime")?;
    let exit = runtime.block_on(run(args, &settled, &settings, assembly, output));
    // Reading standard input cannot be broken off, and must not hold up the end.
    runtime.shutdown_background();
    exit
}

/// What is logged, by the words of plugin servers.
fn level() -> &'static str {
    let word = std::env::var("PLUGINS_LOG_LEVEL").unwrap_or_default();
    match word.trim().to_ascii_uppercase().as_str() {
        "DEBUG" => "debug",
        "WARNING" | "WARN" => "warn",
        "ERROR" | "CRITICAL" => "error",
        _ => "info",
    }
}

/// The plugins and where to serve them.
fn settle(args: &PluginServeArgs, assembly: &Assembly) -> Result<(Settled, Settings), NotSettled> {
    let environment = mortise_framework::config::Environment::from_process();
    let mut options = LoadOptions::new(".", environment);
    options.strict = args.strict;
    // What stands beside it is another program's configuration.
    options.defaults = false;
    options.runtime_overrides = OverrideSource::Ignored;
    let kind = options.add_file(&args.config)?;
    let settled = Settled::load(&options, &assembly.framework)?;
    for notice in &settled.notices {
        let about_servers = notice.kind == DiagnosticKind::Remark && notice.path.ends_with("server_settings");
        if !about_servers {
            tracing::warn!("{notice}");
        }
    }
    let sections = match kind {
        FileKind::Own => Sections::default(),
        _ => sections(&args.config, &options),
    };
    let variable = |name: &str| options.environment.non_empty(name).map(str::to_owned);
    let settings = Settings::read(variable, &sections).map_err(|error| NotSettled::Other(error.into()))?;
    Ok((settled, settings))
}

/// The sections that say where the server listens.
fn sections(file: &Path, options: &LoadOptions) -> Sections {
    let reading = PluginsFileOptions::new(&options.environment);
    let (read, _told_before) = PluginsFile::load_partial(&[file.to_path_buf()], &reading);
    let section = |name: &str| read.as_ref()?.node.get(name).map(mortise_framework::config::Node::to_json);
    Sections {
        http: section("server_settings"),
        grpc: section("grpc_server_settings"),
        unix: section("unix_socket_server_settings"),
    }
}

/// What is spoken, and where, flags over everything else.
fn transport(args: &PluginServeArgs, settings: &Settings) -> (Transport, Settings) {
    let transport = match args.transport {
        Some(ServeTransport::Stdio) => Transport::Stdio,
        Some(ServeTransport::Http) => Transport::Http,
        Some(ServeTransport::Grpc) => Transport::Grpc,
        Some(ServeTransport::Unix) => Transport::Unix,
        None if std::io::stdin().is_terminal() => settings.transport.unwrap_or(Transport::Http),
        None => settings.transport.unwrap_or(Transport::Stdio),
    };
    let mut settings = settings.clone();
    let bind = match transport {
        Transport::Grpc => &mut settings.grpc,
        _ => &mut settings.http,
    };
    if args.host.is_some() || args.port.is_some() {
        bind.uds = None;
    }
    bind.host = args.host.clone().unwrap_or_else(|| bind.host.clone());
    bind.port = args.port.unwrap_or(bind.port);
    if let Some(path) = &args.uds {
        bind.uds = Some(path.clone());
        settings.unix_path.clone_from(path);
    }
    (transport, settings)
}

async fn run(
    args: &PluginServeArgs,
    settled: &Settled,
    settings: &Settings,
    assembly: &Assembly,
    output: &mut Output,
) -> anyhow::Result<Exit> {
    let framework = &assembly.framework;
    HttpService::new(settled.egress.clone(), Handle::current()).offer_to(framework);
    let plan = Plan { bindings: Vec::new(), enabled: true, start_idle: true, ..settled.plan.clone() };
    let (pipelines, _) = match framework.build(&plan).await {
        Ok(built) => built,
        Err(errors) => {
            output.errors(&errors);
            return Ok(Exit::Failed);
        }
    };
    let served = served(&pipelines, &plan);
    let ended = match served {
        Ok(served) => listen(args, served, settings, assembly, output).await,
        Err(error) => Err(error),
    };
    framework.stop(&pipelines).await;
    ended
}

async fn listen(
    args: &PluginServeArgs,
    served: Vec<Served>,
    settings: &Settings,
    assembly: &Assembly,
    output: &mut Output,
) -> anyhow::Result<Exit> {
    let (transport, settings) = transport(args, settings);
    let count = served.len();
    let table = assembly.framework.hooks().clone();
    let plugins = Plugins::start_with(table, served, mortise_sdk::plugins::DEFAULT_CALLS).await?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut running = mortise_sdk::serve(Arc::new(plugins), transport, &settings).await?;
    let address = running.address().to_owned();
    match args.log_format {
        LogFormat::Text => output.say(format!("serving {count} plugins at {address}")),
        LogFormat::Json => tracing::info!(address, count, "serving plugins"),
    }
    if transport == Transport::Unix {
        // What scripts wait for that start servers of this kind.
        output.line("READY");
    }
    if let Some(file) = &args.ready_file {
        super::serve::write_whole(file, &address).context("cannot write the ready file")?;
    }
    let stop = running.stopper();
    let mut exit = Exit::Ok;
    for first in [true, false] {
        let signal = tokio::select! {
            () = running.ended() => break,
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        if first {
            tracing::info!(signal, "ending; another signal ends at once");
            stop.cancel();
        } else {
            tracing::warn!(signal, "ended at once");
            exit = Exit::Failed;
        }
    }
    if let Some(file) = &args.ready_file {
        let _already_gone = std::fs::remove_file(file);
    }
    Ok(exit)
}

/// Those that started.
fn served(pipelines: &Pipelines, plan: &Plan) -> anyhow::Result<Vec<Served>> {
    let strict = plan.settings.fail_on_plugin_error;
    let mut served = Vec::new();
    for instance in pipelines.instances() {
        match instance.state() {
            State::Ready => served.extend(one(instance, plan)),
            State::Disabled => {}
            State::Unavailable(reason) if strict => bail!("the plugin `{}` {reason}", instance.name),
            other => {
                let reason = match &other {
                    State::Unavailable(reason) | State::Idle(reason) => reason,
                    other => other.word(),
                };
                tracing::error!(plugin = &*instance.name, reason, "plugin is not served");
            }
        }
    }
    if served.is_empty() {
        bail!("no plugin of the file could be started: there is nothing to serve");
    }
    Ok(served)
}

fn one(instance: &Instance, plan: &Plan) -> Option<Served> {
    let entry = &instance.entry;
    let policy = Policy::of(entry.mode, entry.on_error, plan.settings.fail_on_plugin_error)?;
    let plugin = instance.plugin()?.clone();
    let mut served = Served::new(instance.name.clone(), plugin)
        .entry(told(entry))
        .policy(mortise_sdk::Policy {
            blocks: policy.blocks,
            changes: policy.changes,
            shares: policy.shares,
            trouble: match policy.trouble {
                Trouble::Block => mortise_sdk::Trouble::Tell,
                Trouble::Pass => mortise_sdk::Trouble::Pass,
                Trouble::PassAndDisable => mortise_sdk::Trouble::PassAndDisable,
            },
        })
        .host(instance.host.clone())
        .timeout(plan.settings.plugin_timeout)
        .started();
    if !entry.hooks.is_empty() {
        served = served.hooks(entry.hooks.iter().cloned());
    }
    Some(served)
}

/// What gateways are told of an entry. Not its `config`: they have no use for it, and it may hold secrets.
fn told(entry: &PluginEntry) -> Map<String, Value> {
    let conditions = serde_json::to_value(&entry.conditions).unwrap_or_else(|_| json!([]));
    let told = json!({
        "description": entry.description,
        "author": entry.author,
        "kind": entry.kind,
        "namespace": entry.namespace,
        "version": entry.version,
        "tags": entry.tags,
        "mode": entry.mode,
        "on_error": entry.on_error,
        "priority": entry.priority,
        "conditions": conditions,
    });
    match told {
        Value::Object(told) => told,
        _ => Map::new(),
    }
}
