//! `builtin.office_hours`: tools are called in office hours only.

use std::time::SystemTime;

use mortise::plugin_api::{
    BuildError, Cx, Hook, Native, NativeKind, Needs, PluginError, Verdict, Violation,
    hooks::{ToolPreInvoke, tool::ToolPreInvokePayload},
};
use schemars::JsonSchema;
use serde::Deserialize;

/// The kind: what it is called, what its `config:` may hold, and how a plugin is made of that.
pub(crate) fn kind() -> NativeKind {
    NativeKind {
        name: "office_hours",
        class_paths: &[],
        about: "Blocks tools outside of office hours.",
        hooks: &[ToolPreInvoke::ID],
        config_schema: NativeKind::schema_of::<OfficeHours>,
        build: |config| {
            let hours: OfficeHours = NativeKind::read(config)?;
            if hours.from >= hours.to || hours.to > 24 {
                return Err(BuildError::new("to", "must be later than `from`, and at most 24"));
            }
            let plugin = Native::new(hours);
            Ok(plugin.on::<ToolPreInvoke>(Needs::block().without_body(), OfficeHours::check).into_plugin())
        },
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct OfficeHours {
    /// First hour of the day, in UTC. Default 8.
    from: u64,
    /// Hour at which the day is over. Default 18.
    to: u64,
    /// Tools that are called at any hour.
    always: Vec<String>,
}

impl Default for OfficeHours {
    fn default() -> Self {
        Self { from: 8, to: 18, always: Vec::new() }
    }
}

impl OfficeHours {
    fn check(
        &self,
        call: &ToolPreInvokePayload,
        cx: &mut Cx<'_>,
    ) -> Result<Verdict<ToolPreInvokePayload>, PluginError> {
        let now = cx.host().now().duration_since(SystemTime::UNIX_EPOCH);
        let hour = now.map_err(|error| PluginError::failed(error.to_string()))?.as_secs() / 3600 % 24;
        if (self.from..self.to).contains(&hour) || self.always.contains(&call.name) {
            return Ok(Verdict::Pass);
        }
        let violation = Violation::new("OFFICE_CLOSED", "the office is closed")
            .describe(format!("tools are called from {} to {} o'clock UTC", self.from, self.to));
        Ok(violation.into())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mortise_plugin_test::Harness;
    use serde_json::json;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn tools_are_blocked_from_the_end_of_the_day_to_its_start() {
        let office = Harness::of(kind()); // the clock of tests begins at 8 o'clock
        office.tool_pre("search", json!({})).await.assert_passed();
        office.advance(10 * HOUR);
        office.tool_pre("search", json!({})).await.assert_blocked("OFFICE_CLOSED");
        office.advance(14 * HOUR);
        office.tool_pre("search", json!({})).await.assert_passed();
    }

    #[tokio::test]
    async fn listed_tools_know_no_hours() {
        let office = Harness::of(kind()).config(json!({ "always": ["alarm"] }));
        office.advance(12 * HOUR);
        office.tool_pre("alarm", json!({})).await.assert_passed();
        let violation = office.tool_pre("search", json!({})).await.assert_blocked("OFFICE_CLOSED").clone();
        assert_eq!(violation.description, "tools are called from 8 to 18 o'clock UTC");
    }

    #[test]
    fn hours_that_are_none_are_refused() {
        Harness::of(kind()).config(json!({ "from": 18, "to": 8 })).assert_config_refused("to");
        Harness::of(kind()).config(json!({ "to": 25 })).assert_config_refused("to");
    }
}
