//! The hooks of this program: the standard table, and one of its own.

use std::sync::LazyLock;

use mortise_plugin_api::{HookId, HookTable, May, Moment, OpenHook};
use schemars::json_schema;

/// Name of the hook, as a configuration says it.
pub(crate) const PRE_SEND: &str = "invoice_pre_send";

/// The table and the hook's row in it. The payload of a hook that a program registers is any JSON; the schema says what
/// this one looks like to whoever writes a plugin.
pub(crate) static HOOKS: LazyLock<(HookTable, HookId)> = LazyLock::new(|| {
    let mut table = HookTable::standard();
    let hook = OpenHook {
        name: PRE_SEND.to_owned(),
        about: "Before an invoice is sent: look at it, change it, or hold it back.".to_owned(),
        moment: Moment::Before,
        may: May { block: true, change: true },
        schema: json_schema!({
            "type": "object",
            "properties": {
                "to": { "type": "string" },
                "amount": { "type": "number" },
                "note": { "type": "string" }
            }
        }),
    };
    #[expect(clippy::expect_used, reason = "the name is in no standard table")]
    let id = table.register(hook).expect("a new name");
    (table, id)
});
