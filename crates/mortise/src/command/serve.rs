//! `mortise serve`.

use std::{io, path::Path, sync::Arc};

use anyhow::Context;
use mortise_framework::config::Notice;
use mortise_gateway::{
    Gateway, StartError,
    config::{DEFAULT_FILE, Settled},
    history::Source,
    overrides::Patch,
    reload::{Reloader, Trigger},
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
};

use super::{NotSettled, options};
use crate::{
    Assembly, Exit,
    cli::{LogFormat, ServeArgs},
    logging, masking, memory,
    output::Output,
};

pub(super) fn serve(args: &ServeArgs, assembly: Assembly, output: &mut Output) -> anyhow::Result<Exit> {
    if let Err(problem) = logging::start(args.log_format) {
        output.error(&anyhow::anyhow!(problem));
        return Ok(Exit::Usage);
    }
    let settled = match settle(args, &assembly) {
        Ok(settled) => settled,
        Err(problem) => return problem.tell(output),
    };
    log_notices(&settled.notices);
    if settled.files.is_empty() && settled.upstreams.is_empty() && settled.llms.is_empty() {
        tracing::warn!(
            "no configuration was found (`{DEFAULT_FILE}` in this folder, or --config FILE): nothing is served yet"
        );
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("cannot start the asynchronous runtime")?;
    runtime.block_on(run(settled, assembly, args, output))
}

fn settle(args: &ServeArgs, assembly: &Assembly) -> Result<Settled, NotSettled> {
    let mut options = options(&args.config)?;
    options.host.clone_from(&args.host);
    options.port = args.port;
    Ok(Settled::load(&options, &assembly.framework)?)
}

fn log_notices(notices: &[Notice]) {
    for notice in notices {
        tracing::warn!("{notice}");
    }
}

async fn run(
    settled: Settled,
    assembly: Assembly,
    args: &ServeArgs,
    output: &mut Output,
) -> anyhow::Result<Exit> {
    let (log_format, ready_file) = (args.log_format, args.ready_file.as_deref());
    let state_dir = settled.state_dir.clone();
    let gateway = match Gateway::start(settled, assembly.framework).await {
        Ok(gateway) => gateway,
        Err(StartError::Plugins(errors)) => {
            output.errors(&errors);
            return Ok(Exit::Failed);
        }
        Err(error) => return Err(error.into()),
    };
    gateway.edge().calls().recordings().mask_with(masking::mask());
    let url = gateway.url().to_owned();
    let ready = tell_ready(&gateway, ready_file, &url);
    match log_format {
        LogFormat::Text => output.say(format!("listening on {url}")),
        // Whoever reads the lines as JSON wants no other.
        LogFormat::Json => tracing::info!(url, "listening"),
    }
    if let Some(token) = gateway.fresh_admin_token() {
        let folder = state_dir.display();
        output.say(format!("admin token, shown this once and kept hashed in {folder}: {}", token.expose()));
    }
    let changing = change_on_signals(gateway.reloader().clone())?;
    let mut signals = Signals::listen()?;
    let (stop, stopped) = oneshot::channel();
    let watched = async {
        let signal = signals.next().await;
        tracing::info!(signal, "ending; another signal ends at once");
        let _already_ending = stop.send(());
        signals.next().await
    };
    let serving = gateway.run(async {
        let _sender_gone = stopped.await;
    });
    let exit = tokio::select! {
        biased;
        () = serving => Exit::Ok,
        // Never ends either.
        () = changing => Exit::Ok,
        signal = watched => {
            tracing::warn!(signal, "ended at once");
            Exit::Failed
        }
        // Never ends: its work is done, or it waits for ever.
        () = ready => Exit::Ok,
    };
    if let Some(file) = ready_file {
        let _already_gone = std::fs::remove_file(file);
    }
    Ok(exit)
}

/// Reloads with every SIGHUP, switches all plugins off with SIGUSR1 and on with SIGUSR2. Two signals and no toggle:
/// whoever sends one in an emergency need not know what somebody else has sent before.
fn change_on_signals(reloader: Arc<Reloader>) -> anyhow::Result<impl Future<Output = ()>> {
    let listen = |kind, name| signal(kind).with_context(|| format!("cannot listen for {name}"));
    let mut hangups = listen(SignalKind::hangup(), "SIGHUP")?;
    let mut offs = listen(SignalKind::user_defined1(), "SIGUSR1")?;
    let mut ons = listen(SignalKind::user_defined2(), "SIGUSR2")?;
    Ok(async move {
        loop {
            let switch = |on, name| Trigger::patch(Source::Signal, name, Patch::Switch(Some(on)));
            let trigger = tokio::select! {
                Some(()) = hangups.recv() => Trigger::new(Source::Signal, "SIGHUP"),
                Some(()) = offs.recv() => switch(false, "SIGUSR1"),
                Some(()) = ons.recv() => switch(true, "SIGUSR2"),
                else => std::future::pending().await,
            };
            // What became of it is told in the log.
            let _told = reloader.reload(trigger).await;
        }
    })
}

/// Writes the ready file once everything had its first attempt to start.
fn tell_ready<'a>(
    gateway: &Gateway,
    file: Option<&'a Path>,
    url: &'a str,
) -> impl Future<Output = ()> + use<'a> {
    let edge = gateway.edge().clone();
    async move {
        edge.ready().await;
        tracing::info!("ready");
        if let Err(error) = memory::release_code_of_the_start() {
            tracing::debug!(%error, "code that only the start needed stays in memory");
        }
        if let Some(file) = file
            && let Err(error) = write_whole(file, url)
        {
            tracing::error!(file = %file.display(), %error, "the ready file could not be written");
        }
        std::future::pending::<()>().await;
    }
}

/// Whoever waits for the file must never read half of it.
pub(super) fn write_whole(file: &Path, url: &str) -> io::Result<()> {
    let aside = file.with_extension("tmp");
    std::fs::write(&aside, format!("{url}\n"))?;
    std::fs::rename(aside, file)
}

/// The signals that end the gateway.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?,
        })
    }

    /// Waits for the next one; its name.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
