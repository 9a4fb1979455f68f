//! Changing what is overridden.
//!
//! Written aside before anything takes effect, and put in its place right after the swap: what cannot be kept is not
//! done, and what was refused is never kept.

use std::sync::Arc;

use super::{InForce, Refused, Reloader, Report};
use crate::{
    history::Outcome,
    overrides::{self, Overrides, Patch},
    state_dir::{Aside, StateDirError},
};
use mortise_mcp_transport::chain::Chain;

impl Reloader {
    /// Works a change of the overrides out and puts it in force.
    pub(super) async fn lay_over(
        &self,
        in_force: &mut InForce,
        patch: &Patch,
        who: &str,
    ) -> Result<Report, Refused> {
        let now = self.overrides();
        let unknown = || Refused::NoSuchPlugin(patch.plugin().unwrap_or_default().to_owned());
        let next = now.patched(patch, &in_force.configured, who).ok_or_else(unknown)?;
        let (plan, notices) = next.lay_over(&in_force.configured);
        let mut report = Report {
            outcome: Outcome::Unchanged,
            snapshot: 0,
            changes: Vec::new(),
            waiting: Vec::new(),
            notices: notices.iter().map(ToString::to_string).collect(),
        };
        if next != *now {
            let next = Arc::new(next);
            let outline = in_force.outline.with_overrides(&next, plan.enabled);
            report.outcome = Outcome::Applied;
            report.changes = in_force.outline.changes_to(&outline);
            let aside = self.write(next.clone()).await?;
            let known = self.parts.framework.check(&in_force.plan).unwrap_or_default();
            let known: Vec<String> = known.iter().map(ToString::to_string).collect();
            let told = self.replace_plugins(plan.clone(), None).await?;
            // What was tolerated before is no news.
            report.notices.extend(told.iter().map(ToString::to_string).filter(|told| !known.contains(told)));
            (in_force.plan, in_force.outline) = (plan, outline);
            self.overrides.store(next);
            if let Err(error) = blocking(move || aside.put_in_place()).await {
                report.notices.push(format!("this is in force and ends with a restart: {error}"));
            }
        }
        report.snapshot = self.parts.snapshots.load().number;
        Ok(report)
    }

    async fn write(&self, overrides: Arc<Overrides>) -> Result<Aside, Refused> {
        let folder = self.state_dir.clone();
        blocking(move || overrides::write_aside(&overrides, &folder)).await.map_err(Refused::NotKept)
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StateDirError> + Send + 'static,
) -> Result<T, String> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| Chain(&error).to_string()),
        Err(error) => Err(error.to_string()),
    }
}
