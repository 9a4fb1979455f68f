//! Coverage of a configuration that no gateway runs, for use before it is put in force: in CI, or by hand.
//!
//! The same judgement over the same compiled chains as of a running gateway. Plugins are started, since only a running
//! one says at which hooks it stands and whether it can run at all; upstreams are asked what they have, as only they
//! know, or taken to have the tools that are given. Nothing is served, nothing is written to the state folder, and names
//! of tools that a gateway keeps there are read, so that scopes mean what they mean to it.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use mortise_framework::{Framework, config::Errors};
use tokio::runtime::Handle;

use super::{Caller, Report, UnknownApp, report};
use crate::{
    StartError,
    config::Settled,
    gateway::{server_specs, upstream_specs},
    host::HttpService,
    llm::Llms,
    snapshot::{Access, Snapshot, Snapshots},
    state_dir,
    upstreams::{Catalogs, Upstreams},
};

/// How long connections may take to be closed once all is known.
const CLOSING: Duration = Duration::from_secs(5);

/// Where the lists come from.
#[derive(Clone, Debug)]
pub enum Lists {
    /// From the upstreams, each asked once, all of them for this long at most.
    Asked(Duration),
    /// These tools are all there is, and no upstream is connected to.
    Given(Vec<GivenTool>),
}

/// A tool that an upstream is taken to have: `NAME`, or `NAME@UPSTREAM` where there are several upstreams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenTool {
    /// Its name at the upstream.
    pub name: String,
    /// The upstream.
    pub upstream: Option<String>,
}

impl FromStr for GivenTool {
    type Err = Nameless;

    fn from_str(text: &str) -> Result<Self, Nameless> {
        let (name, upstream) = match text.rsplit_once('@') {
            Some((name, upstream)) => (name, Some(upstream.to_owned())),
            None => (text, None),
        };
        if name.is_empty() || upstream.as_deref() == Some("") {
            return Err(Nameless(text.to_owned()));
        }
        Ok(Self { name: name.to_owned(), upstream })
    }
}

impl fmt::Display for GivenTool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.upstream.as_ref().map_or(Ok(()), |upstream| write!(f, "@{upstream}"))
    }
}

/// A tool without a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no tool: write NAME, or NAME@UPSTREAM")]
pub struct Nameless(String);

/// Why there is no coverage of a configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OfflineError {
    /// The plugins do not fit.
    #[error("the configuration has errors")]
    Plugins(#[source] Errors),
    /// An upstream cannot be set up.
    #[error(transparent)]
    Upstreams(#[from] StartError),
    /// Nobody can be this caller.
    #[error(transparent)]
    App(#[from] UnknownApp),
    /// It is not clear which upstream has a tool.
    #[error("it is not known which upstream has the tool {tool}: {}", told(upstreams))]
    Tool {
        /// The tool, as given.
        tool: GivenTool,
        /// The upstreams there are.
        upstreams: Vec<String>,
    },
}

fn told(upstreams: &[String]) -> String {
    match upstreams {
        [] => "none is configured".to_owned(),
        all => format!("write NAME@UPSTREAM with one of {}", all.join(", ")),
    }
}

/// Tells which plugins would run where under a configuration, for a caller of whom this much is known.
///
/// # Errors
/// See [`OfflineError`].
pub async fn offline(
    settled: &Settled,
    framework: &Framework,
    caller: Caller,
    lists: &Lists,
) -> Result<Report, OfflineError> {
    HttpService::new(settled.egress.clone(), Handle::current()).offer_to(framework);
    let (pipelines, _) = framework.build(&settled.plan).await.map_err(OfflineError::Plugins)?;
    let snapshot = Snapshot {
        llms: Arc::new(Llms::new(settled, None).unwrap_or_default()),
        datasources: settled.datasources.clone().into(),
        number: 0,
        pipelines: pipelines.clone(),
        catalogs: Arc::new(Catalogs::empty()),
        access: Arc::new(Access::new(settled, &settled.listen, settled.listen.address.port())),
    };
    let reported = match lists {
        Lists::Given(tools) => as_given(settled, framework, caller, snapshot, tools),
        Lists::Asked(patience) => as_asked(settled, framework, caller, snapshot, *patience).await,
    };
    framework.stop(&pipelines).await;
    reported
}

async fn as_asked(
    settled: &Settled,
    framework: &Framework,
    caller: Caller,
    snapshot: Snapshot,
    patience: Duration,
) -> Result<Report, OfflineError> {
    let specs = upstream_specs(settled)?;
    let snapshots = Snapshots::new(snapshot);
    let names = state_dir::names_file(&settled.state_dir);
    let upstreams = Upstreams::start_apart(snapshots.clone(), specs, server_specs(settled), &names);
    upstreams.attempted(patience).await;
    let reported = report(&snapshots.load(), framework, caller);
    upstreams.stop(CLOSING).await;
    Ok(reported?)
}

fn as_given(
    settled: &Settled,
    framework: &Framework,
    caller: Caller,
    snapshot: Snapshot,
    tools: &[GivenTool],
) -> Result<Report, OfflineError> {
    let known: Vec<String> = settled.upstreams.iter().map(|upstream| upstream.name.clone()).collect();
    let mut of_upstreams = Vec::new();
    for tool in tools {
        let upstream = match &tool.upstream {
            Some(upstream) => known.iter().find(|name| *name == upstream),
            None => known.first().filter(|_| known.len() == 1),
        };
        let unclear = || OfflineError::Tool { tool: tool.clone(), upstreams: known.clone() };
        of_upstreams.push((upstream.ok_or_else(unclear)?.as_str(), tool.name.as_str()));
    }
    let names = state_dir::names_file(&settled.state_dir);
    let specs = upstream_specs(settled)?;
    let catalogs = Upstreams::taken_to_have(specs, server_specs(settled), &names, &of_upstreams);
    let snapshot = Snapshot { catalogs: Arc::new(catalogs), ..snapshot };
    let mut reported = report(&snapshot, framework, caller)?;
    // What is given is all there is: nobody has been asked, so nobody owes an answer.
    reported.unlisted.clear();
    reported.complete = reported.holes.is_empty() && reported.idle.is_empty();
    Ok(reported)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_are_read_with_and_without_an_upstream() {
        let tool = |name: &str, upstream: Option<&str>| {
            Ok(GivenTool { name: name.to_owned(), upstream: upstream.map(str::to_owned) })
        };
        assert_eq!("search".parse(), tool("search", None));
        assert_eq!("search@docs".parse(), tool("search", Some("docs")));
        assert_eq!("a@b@docs".parse(), tool("a@b", Some("docs")));
        for wrong in ["", "@docs", "search@"] {
            assert!(wrong.parse::<GivenTool>().is_err(), "{wrong}");
        }
    }
}
