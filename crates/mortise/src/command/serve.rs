//! `mortise serve`.

use std::{io, path::Path, time::Duration};

use anyhow::Context;
use mortise_framework::config::Notice;
use mortise_gateway::{Gateway, StartError, config::Settled, state_dir::StateDir};
use tokio::signal::unix::{SignalKind, signal};

use super::{NotSettled, options};
use crate::{Assembly, Exit, cli::ServeArgs, logging, output::Output};

/// How often it is looked whether everything had its first attempt to start.
const READY_POLL: Duration = Duration::from_millis(10);

pub(super) fn serve(args: ServeArgs, assembly: Assembly, output: &mut Output) -> anyhow::Result<Exit> {
    if let Err(problem) = logging::start(args.log_format) {
        output.error(&anyhow::anyhow!(problem));
        return Ok(Exit::Usage);
    }
    let settled = match settle(&args, &assembly) {
        Ok(settled) => settled,
        Err(problem) => return problem.tell(output),
    };
    log_notices(&settled.notices);
    tell_admin_token(&settled, output)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("cannot start the asynchronous runtime")?;
    runtime.block_on(run(settled, assembly, args.ready_file.as_deref(), output))
}

fn settle(args: &ServeArgs, assembly: &Assembly) -> Result<Settled, NotSettled> {
    let mut options = options(&args.config)?;
    options.host.clone_from(&args.host);
    options.port = args.port;
    Ok(Settled::load(&options, &assembly.framework)?)
}

/// Shows the admin token at the first start; afterwards only its digest is known.
fn tell_admin_token(settled: &Settled, output: &mut Output) -> anyhow::Result<()> {
    if let Some(token) = StateDir::open(&settled.state_dir)?.admin_token()?.fresh {
        let folder = settled.state_dir.display();
        output.say(format!("admin token, shown this once and kept hashed in {folder}: {}", token.expose()));
    }
    Ok(())
}

fn log_notices(notices: &[Notice]) {
    for notice in notices {
        tracing::warn!("{notice}");
    }
}

async fn run(
    settled: Settled,
    assembly: Assembly,
    ready_file: Option<&Path>,
    output: &mut Output,
) -> anyhow::Result<Exit> {
    let scheme = if settled.listen.tls.is_some() { "https" } else { "http" };
    let gateway = match Gateway::start(settled, assembly.framework).await {
        Ok(gateway) => gateway,
        Err(StartError::Plugins(errors)) => {
            output.errors(&errors);
            return Ok(Exit::Failed);
        }
        Err(error) => return Err(error.into()),
    };
    let url = format!("{scheme}://{}", reachable(gateway.address()));
    output.say(format!("listening on {url}"));
    let shutdown = shutdown()?;
    let ready = tell_ready(&gateway, ready_file, &url);
    tokio::select! {
        biased;
        () = gateway.run(shutdown) => {}
        // Never ends: its work is done or it waits for ever.
        () = ready => {}
    }
    if let Some(file) = ready_file {
        let _already_gone = std::fs::remove_file(file);
    }
    Ok(Exit::Ok)
}

/// An address that can be called: the one for "all addresses" cannot.
fn reachable(mut address: std::net::SocketAddr) -> std::net::SocketAddr {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

/// Writes the ready file once everything had its first attempt to start.
fn tell_ready<'a>(gateway: &Gateway, file: Option<&'a Path>, url: &'a str) -> impl Future<Output = ()> + use<'a> {
    let edge = gateway.edge().clone();
    async move {
        while !edge.is_ready() {
            tokio::time::sleep(READY_POLL).await;
        }
        tracing::info!("ready");
        if let Some(file) = file
            && let Err(error) = write_whole(file, url)
        {
            tracing::error!(file = %file.display(), %error, "the ready file could not be written");
        }
        std::future::pending().await
    }
}

/// Whoever waits for the file must never read half of it.
fn write_whole(file: &Path, url: &str) -> io::Result<()> {
    let aside = file.with_extension("tmp");
    std::fs::write(&aside, format!("{url}\n"))?;
    std::fs::rename(aside, file)
}

/// Ends at the first SIGTERM or SIGINT; the second ends the process at once.
fn shutdown() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    Ok(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!(signal = name, "ending; another signal ends at once");
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            std::process::exit(130);
        });
    })
}
