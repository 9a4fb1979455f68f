//! Working a change out and putting it in force.

use std::{
    collections::HashSet,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use futures_util::future::join;
use mortise_framework::{
    Framework, Pipelines, Plan,
    config::{
        Diagnostic, DiagnosticKind, Errors, Notice,
        looked_at::{self, Fingerprint, LookedAt},
    },
    instance::State,
};
use mortise_mcp_transport::chain::Chain;

use super::{Parts, Refused, Reloader, Report, Trigger};
use crate::{
    config::{
        self, Listen, LoadOptions, Settled,
        outline::{Change, Outline},
    },
    gateway::{server_specs, serves, upstream_spec},
    history::Outcome,
    llm::Llms,
    overrides::OverrideSource,
    snapshot::{Access, Snapshot},
    upstreams::{Retired, Wanted},
};

/// How long a change waits for new upstreams to be connected before it takes effect without them.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// What is in force, as far as the next change has to know.
pub(super) struct InForce {
    pub(super) plan: Plan,
    /// The same without what is overridden.
    pub(super) configured: Plan,
    upstreams: Vec<config::Upstream>,
    pub(super) outline: Outline,
    source: LoadOptions,
}

impl InForce {
    pub(super) fn of(settled: Settled) -> Self {
        let Settled { plan, configured, upstreams, outline, source, .. } = settled;
        Self { plan, configured, upstreams, outline, source }
    }
}

/// A change that is worked out and not in force yet.
struct Next {
    what: What,
    changes: Vec<Change>,
    waiting: Vec<String>,
}

/// What is to be put in force.
enum What {
    /// All of a configuration.
    Whole(Box<Settled>),
    /// The one in force with one plugin's entry as it is in the files now.
    Plugin(Box<OnePlugin>),
}

/// A configuration in which one plugin's entry is as it is in the files now.
struct OnePlugin {
    name: String,
    plan: Plan,
    configured: Plan,
    outline: Outline,
}

impl Reloader {
    /// Works a change out and, if there is anything to change, puts it in force.
    pub(super) async fn attempt(
        self: &Arc<Self>,
        in_force: &mut InForce,
        trigger: &Trigger,
    ) -> Result<Report, Refused> {
        let Next { what, changes, waiting } = self.settle(in_force, trigger).await?;
        let (mut outcome, mut notices) = (Outcome::Applied, Vec::new());
        match what {
            What::Plugin(one) => {
                let OnePlugin { name, plan, configured, outline } = *one;
                self.replace_plugins(plan.clone(), Some(&name)).await?;
                (in_force.plan, in_force.configured, in_force.outline) = (plan, configured, outline);
            }
            What::Whole(settled) => {
                if changes.is_empty() && !self.has_more_to_try() {
                    outcome = Outcome::Unchanged;
                } else {
                    self.put_in_force(in_force, &settled).await?;
                    notices.extend(settled.notices.iter().map(ToString::to_string));
                    self.end_sessions(&settled);
                }
                self.watches.store(watches(&settled), Relaxed);
                *in_force = InForce::of(*settled);
            }
        }
        let snapshot = self.parts.snapshots.load().number;
        Ok(Report { outcome, snapshot, changes, waiting, notices })
    }

    /// Reads and checks everything; nothing takes effect yet.
    async fn settle(&self, in_force: &InForce, trigger: &Trigger) -> Result<Next, Refused> {
        let plugin = trigger.plugin.as_deref();
        let (mut source, framework) = (in_force.source.clone(), self.parts.framework.clone());
        // What is overridden is what this process holds, whatever the folder says now.
        source.runtime_overrides = OverrideSource::Given(self.overrides());
        source.kept = self.parts.storage.kept_here();
        source.must_fit.clone_from(&trigger.kept);
        let known = self.seen.borrow().files.clone();
        let loaded = tokio::task::spawn_blocking(move || load(&source, &framework, known)).await;
        let (loaded, seen) = loaded.map_err(|error| Refused::Broken(error.to_string()))?;
        // A change of one plugin leaves the rest of what changed to be seen.
        if plugin.is_none() {
            self.seen.send_replace(Arc::new(seen));
        }
        let settled = loaded?;
        let waiting = self.waiting(&settled);
        let what = match plugin {
            Some(name) => only_plugin(in_force, &settled, name)?,
            None => {
                self.check_listener(&settled)?;
                What::Whole(Box::new(settled))
            }
        };
        let outline = match &what {
            What::Whole(settled) => &settled.outline,
            What::Plugin(one) => &one.outline,
        };
        Ok(Next { changes: in_force.outline.changes_to(outline), what, waiting })
    }

    /// The address stays what it is, so what the new configuration says of callers has to be right for it.
    fn check_listener(&self, settled: &Settled) -> Result<(), Refused> {
        if settled.apps.is_some() || settled.storage.given || config::is_loopback(self.listen.address.ip()) {
            return Ok(());
        }
        let message = format!(
            "without `apps` anyone who can reach {} would be served, and where the gateway listens only changes with \
             a restart",
            self.listen.address
        );
        Err(Errors::from(Diagnostic::new(DiagnosticKind::InvalidValue, message).path("apps")).into())
    }

    /// Settings that are not what the process was started with and cannot change while it runs.
    fn waiting(&self, settled: &Settled) -> Vec<String> {
        let (was, is) = (&self.listen, &settled.listen);
        // Without a word of it, it is where the state folder is.
        let kept = self.parts.storage.settings();
        let settings = [
            ("listen.address", was.address != is.address),
            ("listen.tls", was.tls != is.tls),
            ("listen.max_connections", was.max_connections != is.max_connections),
            ("listen.idle_timeout", was.idle_timeout != is.idle_timeout),
            ("listen.drain_timeout", was.drain_timeout != is.drain_timeout),
            ("telemetry", self.telemetry != settled.telemetry),
            ("state_dir", self.state_dir != settled.state_dir),
            ("storage", kept != &settled.storage && (kept.given || settled.storage.given)),
        ];
        settings.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name.to_owned()).collect()
    }

    /// Whether a plugin that could run did not start: an unchanged configuration is one more attempt.
    fn has_more_to_try(&self) -> bool {
        let framework = &self.parts.framework;
        framework.pipelines().all_instances().iter().any(|instance| {
            matches!(instance.state(), State::Unavailable(_))
                && framework.waits_for(&instance.entry).is_none()
        })
    }

    /// Puts plugins in force without anything else. The one named `renew` starts anew in any case.
    /// Gives back what was tolerated.
    pub(super) async fn replace_plugins(
        &self,
        plan: Plan,
        renew: Option<&str>,
    ) -> Result<Vec<Notice>, Refused> {
        let staged = Box::pin(self.parts.framework.stage(plan, renew)).await?;
        let notices = staged.notices().to_vec();
        let swap = |pipelines: &Arc<Pipelines>| {
            let pipelines = pipelines.clone();
            self.parts.snapshots.change(|now| Snapshot { number: now.number + 1, pipelines, ..now.clone() });
        };
        Box::pin(staged.commit(swap)).await?;
        Ok(notices)
    }

    /// Brings up what is new or changed of a whole configuration, and swaps.
    async fn put_in_force(self: &Arc<Self>, in_force: &InForce, settled: &Settled) -> Result<(), Refused> {
        let Parts { framework, upstreams, port, .. } = &self.parts;
        let wanted = wanted(&in_force.upstreams, &settled.upstreams)?;
        let fleet = upstreams.stage(wanted, server_specs(settled));
        let egress = self.parts.http.widen(&settled.egress);
        let staging = Box::pin(framework.stage(settled.plan.clone(), None));
        let (staged, ()) = join(staging, fleet.attempted(CONNECT_PATIENCE)).await;
        // The listener's own settings hold, whatever the files say now.
        let listen = Listen { address: self.listen.address, ..settled.listen.clone() };
        let access = Access::new(settled, &listen, *port);
        let llms = Llms::new(settled, Some(&self.parts.snapshots.load().llms));
        let llms = Arc::new(llms.map_err(|error| Refused::Upstream(Chain(&error).to_string()))?);
        let storage = &self.parts.storage;
        let mut retired = Vec::new();
        Box::pin(staged?.commit(|pipelines| {
            retired = upstreams.put_in_force(fleet, |now, catalogs| Snapshot {
                number: now.number + 1,
                pipelines: pipelines.clone(),
                catalogs,
                llms,
                datasources: settled.datasources.clone().into(),
                // Asked for only now, as tokens may change at any moment.
                access: Arc::new(access.with_stored(storage.roster())),
            });
        }))
        .await?;
        egress.put_in_force();
        for upstream in retired {
            self.retire(upstream);
        }
        Ok(())
    }

    /// Lets an upstream that was replaced or removed serve the requests that know it, then ends it.
    fn retire(self: &Arc<Self>, Retired { upstream, ended }: Retired) {
        let this = self.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = ended.cancelled() => {}
                () = this.closing.cancelled() => {}
            }
            this.parts.surface.sessions.forget_upstream(upstream.id).await;
            this.parts.upstreams.end(&upstream);
        });
    }

    /// Ends sessions of apps and virtual servers that are not there any more, once their requests are answered.
    fn end_sessions(&self, settled: &Settled) {
        let apps: Option<HashSet<&str>> =
            settled.apps.as_ref().map(|apps| apps.iter().map(|app| app.name.as_str()).collect());
        let stored = self.parts.storage.roster();
        let ended = self.parts.surface.sessions.take_where(|session| {
            let app_gone = match (&apps, session.owner.app.as_deref()) {
                (Some(apps), Some(app)) => !apps.contains(app) && stored.app(app).is_none(),
                // Before, anyone was let in.
                (Some(_), None) => session.owner.user.is_none(),
                (None, _) => false,
            };
            let server = session.server.as_deref();
            app_gone || server.is_some_and(|server| !serves(settled, server))
        });
        for session in ended {
            let closing = self.closing.clone();
            self.tasks.spawn(async move {
                tokio::select! {
                    () = session.answered() => {}
                    () = closing.cancelled() => {}
                }
                session.close().await;
            });
        }
    }
}

/// Files, and what they held.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) files: LookedAt,
    pub(super) held: Fingerprint,
}

impl Seen {
    pub(super) fn now(files: LookedAt) -> Self {
        Self { held: files.fingerprint(), files }
    }
}

/// Settles a configuration anew; which files that looked at, and what they held.
///
/// `known` is what was looked at last. A file that changed while it was read may have been read half, so then all is
/// read again.
fn load(source: &LoadOptions, framework: &Framework, mut known: LookedAt) -> (Result<Settled, Errors>, Seen) {
    const MOST_ATTEMPTS: usize = 4;
    let mut attempt = 1;
    loop {
        let before = known.fingerprint();
        let (loaded, looked_at) = looked_at::during(|| Settled::load(&source.again(), framework));
        let seen = Seen::now(looked_at);
        if attempt == MOST_ATTEMPTS || (seen.files == known && seen.held == before) {
            return (loaded, seen);
        }
        known = seen.files;
        attempt += 1;
    }
}

/// The configuration in force with one plugin's entry as it is in the files now.
fn only_plugin(in_force: &InForce, read: &Settled, name: &str) -> Result<What, Refused> {
    let plan = with_entry(&in_force.plan, &read.plan, name)?;
    let configured = with_entry(&in_force.configured, &read.configured, name)?;
    let outline = in_force.outline.with_plugin(name, &read.outline);
    Ok(What::Plugin(Box::new(OnePlugin { name: name.to_owned(), plan, configured, outline })))
}

/// A plan with one entry of another.
fn with_entry(plan: &Plan, of: &Plan, name: &str) -> Result<Plan, Refused> {
    let mut plan = plan.clone();
    let entry = of.entries.iter().find(|entry| entry.name == name);
    match (entry, plan.entries.iter_mut().find(|entry| entry.name == name)) {
        (Some(entry), Some(known)) => *known = entry.clone(),
        (Some(entry), None) => plan.entries.push(entry.clone()),
        (None, Some(_)) => {
            let message =
                format!("the plugin `{name}` is not in the files any more; a reload of everything ends it");
            return Err(Errors::from(Diagnostic::new(DiagnosticKind::MissingKey, message)).into());
        }
        (None, None) => return Err(Refused::NoSuchPlugin(name.to_owned())),
    }
    Ok(plan)
}

pub(super) fn watches(settled: &Settled) -> bool {
    settled.config.watch.unwrap_or(true)
}

/// Which upstreams go on and which are new or changed.
fn wanted(now: &[config::Upstream], next: &[config::Upstream]) -> Result<Vec<Wanted>, Refused> {
    let mut tls = None;
    let wanted = next.iter().map(|upstream| {
        if now.contains(upstream) {
            return Ok(Wanted::Unchanged(upstream.name.clone()));
        }
        let spec = upstream_spec(upstream, &mut tls);
        spec.map(Wanted::Fresh).map_err(|error| Refused::Upstream(Chain(&error).to_string()))
    });
    wanted.collect()
}
