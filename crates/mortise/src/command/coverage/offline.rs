//! Coverage of a configuration that no gateway runs.

use std::time::Duration;

use mortise_gateway::{
    config::Settled,
    coverage::{
        Caller,
        offline::{GivenTool, Lists, OfflineError, offline},
    },
    overrides::OverrideSource,
};

use super::{
    super::{NotSettled, block_on, options},
    Found,
};
use crate::{Assembly, cli::CoverageArgs};

/// Starts the configuration's plugins, looks at what they would run for, and stops them.
pub(super) fn report(
    args: &CoverageArgs,
    who: &[(String, String)],
    assembly: &Assembly,
) -> Result<Found, NotSettled> {
    let mut options = options(&args.config)?;
    // The configuration is judged for itself, whatever was changed of a gateway that runs with it.
    options.runtime_overrides = OverrideSource::Ignored;
    let settled = Settled::load(&options, &assembly.framework)?;
    let tools = args.tools.iter().map(|tool| tool.parse::<GivenTool>()).collect::<Result<Vec<_>, _>>();
    let lists = match tools.map_err(other)? {
        none if none.is_empty() => Lists::Asked(Duration::from_secs(args.wait)),
        tools => Lists::Given(tools),
    };
    let work = offline(&settled, &assembly.framework, caller(who), &lists);
    let report = match block_on(work).map_err(NotSettled::Other)? {
        Ok(report) => report,
        Err(OfflineError::Plugins(errors)) => return Err(errors.into()),
        Err(error) => return Err(other(error)),
    };
    let answer = serde_json::to_value(&report).map_err(other)?;
    Ok((report, answer))
}

fn other(error: impl Into<anyhow::Error>) -> NotSettled {
    NotSettled::Other(error.into())
}

/// As the API reads them.
fn caller(who: &[(String, String)]) -> Caller {
    let mut caller = Caller::default();
    for (key, value) in who {
        let value = value.clone();
        match key.as_str() {
            "app" => caller.app = Some(value),
            "user" => caller.user = Some(value),
            "tenant" => caller.tenant = Some(value),
            _ => caller.teams.get_or_insert_default().extend((!value.is_empty()).then_some(value)),
        }
    }
    caller
}
