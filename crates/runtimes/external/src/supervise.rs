//! Keeping the way to a server open: the first attempt, those after it was lost, and looking whether it is well.
//!
//! One task per plugin, begun when it starts and ended when it stops. It owns all attempts, so that calls never
//! connect and never queue behind an attempt: while the server is away they fail at once, and the plugin's mode
//! decides. Attempts never end, since a server may come back after any time; the pauses between them grow to 10 s,
//! with jitter, so that many gateways do not come back in step. A server that answers and will not do (it does not
//! know the plugin, lacks a hook) is a mistake in a configuration: at the start it is told as one, later it counts as
//! away, as it may be in the middle of an upgrade.

use std::{sync::Arc, time::Duration};

use mortise_mcp_transport::backoff::{Backoff, BackoffConfig};
use mortise_plugin_api::{HookTable, PluginError};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    link::{Fault, Link},
    terms::{Local, Terms},
};

/// Time for one attempt, in which a server over a pipe is also started.
const OPENING: Duration = Duration::from_secs(60);

/// Time for a look at whether the server is well.
const LOOKING: Duration = Duration::from_secs(10);

/// A server that was reached for this long is connected again without a pause.
const STABLE: Duration = Duration::from_secs(10);

/// The longest pause between attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Time to close what is open.
const CLOSING: Duration = Duration::from_secs(10);

/// How things stand with the server.
#[derive(Clone, Debug)]
pub(crate) enum Stand {
    /// No attempt has ended yet.
    New,
    /// It can be called.
    Ready(Arc<Terms>),
    /// It cannot.
    Away {
        reason: Arc<str>,
        /// Attempts that failed since it was last reached.
        attempts: u32,
        /// Whether it was reached and will not do.
        refused: bool,
    },
    /// The plugin was stopped.
    Stopped,
}

impl Stand {
    /// Why there can be no call.
    pub(crate) fn why(&self) -> PluginError {
        PluginError::Unavailable(match self {
            Self::New => "its server has not been reached yet".to_owned(),
            Self::Ready(_) => "its server was not reached".to_owned(),
            Self::Away { reason, .. } => format!("its server is away: {reason}"),
            Self::Stopped => "it was stopped".to_owned(),
        })
    }
}

/// What the task and the calls share.
pub(crate) struct Lifeline {
    pub(crate) local: Local,
    pub(crate) table: Arc<HookTable>,
    pub(crate) link: Box<dyn Link>,
    pub(crate) stand: watch::Sender<Stand>,
    /// A call found the server away.
    pub(crate) trouble: Notify,
    pub(crate) stop: CancellationToken,
    pub(crate) first_pause: Duration,
    pub(crate) health_interval: Option<Duration>,
    /// What the last look at the server found.
    pub(crate) unwell: watch::Sender<Option<String>>,
}

impl Lifeline {
    /// Runs until the plugin is stopped, and closes the link then.
    pub(crate) async fn run(self: Arc<Self>) {
        self.stop.run_until_cancelled(self.keep_open()).await;
        self.stand.send_replace(Stand::Stopped);
        if timeout(CLOSING, self.link.close()).await.is_err() {
            tracing::warn!(plugin = &*self.local.name, "the plugin's server could not be left in time");
        }
    }

    async fn keep_open(&self) {
        let pauses = BackoffConfig { first: self.first_pause, longest: LONGEST_PAUSE.max(self.first_pause) };
        let mut backoff = Backoff::new(pauses);
        loop {
            self.reach(&mut backoff).await;
            let since = Instant::now();
            let reason = self.watch().await;
            let stable = since.elapsed() >= STABLE;
            tracing::warn!(plugin = &*self.local.name, %reason, "the plugin's server is away");
            self.away(&reason, 0, false);
            if stable {
                backoff.reset();
            } else {
                sleep(backoff.next_pause()).await;
            }
        }
    }

    /// Tries until the server is reached.
    async fn reach(&self, backoff: &mut Backoff) {
        for attempt in 1.. {
            let opened = timeout(OPENING, self.open()).await.unwrap_or_else(|_| {
                Err(Fault::Unreached(format!("it did not answer within {} s", OPENING.as_secs())))
            });
            let fault = match opened {
                Ok(terms) => return self.ready(terms),
                Err(fault) => fault,
            };
            let refused = matches!(fault, Fault::Refused(_));
            let pause = backoff.next_pause();
            tracing::warn!(
                plugin = &*self.local.name,
                target = self.link.target(),
                attempt,
                retry_in_ms = pause.as_millis(),
                "the plugin's server was not reached: {fault}"
            );
            self.away(&fault.to_string(), attempt, refused);
            sleep(pause).await;
        }
    }

    async fn open(&self) -> Result<Terms, Fault> {
        let remote = self.link.open(&self.local.name).await?;
        Ok(Terms::of(&self.local, &remote, &self.table)?)
    }

    fn ready(&self, terms: Terms) {
        let hooks: Vec<&str> =
            terms.hooks.iter().filter_map(|id| Some(&*self.table.spec(*id)?.name)).collect();
        tracing::info!(
            plugin = &*self.local.name,
            target = self.link.target(),
            hooks = hooks.join(","),
            "the plugin's server was reached"
        );
        self.unwell.send_replace(None);
        self.stand.send_replace(Stand::Ready(Arc::new(terms)));
    }

    fn away(&self, reason: &str, attempts: u32, refused: bool) {
        self.stand.send_replace(Stand::Away { reason: reason.into(), attempts, refused });
    }

    /// Waits until the server is away, and says why.
    async fn watch(&self) -> String {
        // A call that failed before this connection stood says nothing of it.
        let trouble = self.trouble.notified();
        tokio::pin!(trouble);
        loop {
            tokio::select! {
                reason = self.link.lost() => return reason,
                () = &mut trouble => return "a call did not reach it".to_owned(),
                found = self.look() => if let Some(reason) = found { return reason },
            }
        }
    }

    /// Looks after the interval whether the server is well; says why where it is away.
    async fn look(&self) -> Option<String> {
        let Some(interval) = self.health_interval else { return std::future::pending().await };
        sleep(interval).await;
        let found = timeout(LOOKING, self.link.health()).await;
        let fault = match found {
            Ok(Ok(())) => {
                self.unwell.send_replace(None);
                return None;
            }
            Ok(Err(fault)) => fault,
            Err(_) => Fault::Refused(PluginError::Timeout(LOOKING)),
        };
        self.unwell.send_replace(Some(fault.to_string()));
        (!matches!(fault, Fault::Refused(_))).then(|| fault.to_string())
    }
}
