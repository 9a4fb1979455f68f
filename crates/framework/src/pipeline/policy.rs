//! What a mode means: where a plugin runs in a chain and what its answers and its troubles may do.
//!
//! One place translates the documents' words (`enforce`, `enforce_ignore_error`, `permissive`, `disabled`) and the
//! newest ones (`sequential`, `transform`, `audit`, `concurrent`, `fire_and_forget`) into the same few switches.

use mortise_plugin_api::{HookSpec, Moment};

use crate::config::{Mode, OnError};

/// In which group of a chain a plugin runs; groups run in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// One after another, may block and change. The documents' words all stand here.
    Sequential,
    /// One after another, may change.
    Transform,
    /// One after another, observe.
    Audit,
    /// At the same time, may block.
    Concurrent,
    /// In the background, on the original payload, without influence.
    Background,
}

/// What happens to the call when a plugin gives no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The call is blocked.
    Block,
    /// The call goes on, the error is counted.
    Pass,
    /// The call goes on and the plugin is not called again until it is started anew.
    PassAndDisable,
}

/// The switches of one plugin in one chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Where it runs.
    pub group: Group,
    /// Whether its violations block.
    pub blocks: bool,
    /// Whether its changes of the payload count.
    pub changes: bool,
    /// Whether its writes to shared state are kept.
    pub shares: bool,
    /// What its errors do.
    pub trouble: Trouble,
}

impl Policy {
    /// The switches of a mode; `None` for a disabled plugin.
    pub fn of(mode: Mode, on_error: Option<OnError>, fail_on_plugin_error: bool) -> Option<Self> {
        let (group, blocks, changes, shares, trouble) = match mode {
            Mode::Disabled => return None,
            Mode::Enforce | Mode::Sequential => (Group::Sequential, true, true, true, Trouble::Block),
            Mode::EnforceIgnoreError => (Group::Sequential, true, true, true, Trouble::Pass),
            Mode::Permissive => (Group::Sequential, false, true, true, Trouble::Pass),
            Mode::Transform => (Group::Transform, false, true, true, Trouble::Pass),
            Mode::Audit => (Group::Audit, false, false, false, Trouble::Pass),
            Mode::Concurrent => (Group::Concurrent, true, false, true, Trouble::Block),
            Mode::FireAndForget => (Group::Background, false, false, false, Trouble::Pass),
        };
        let trouble = match on_error {
            _ if group == Group::Background => match on_error {
                Some(OnError::Disable) => Trouble::PassAndDisable,
                _ => Trouble::Pass,
            },
            _ if fail_on_plugin_error => Trouble::Block,
            None => trouble,
            Some(OnError::Fail) => Trouble::Block,
            Some(OnError::Ignore) => Trouble::Pass,
            Some(OnError::Disable) => Trouble::PassAndDisable,
        };
        Some(Self { group, blocks, changes, shares, trouble })
    }
}

/// Whether a call stops at a hook where a plugin gives no answer and its mode says that this blocks.
///
/// Wherever a violation stops it; and before an event at which plugins may change what goes on: what was to be changed
/// must not go on unchanged, also where nobody may refuse it. After an event that nobody can refuse there is nothing
/// left to stop.
pub(crate) fn trouble_stops(spec: &HookSpec) -> bool {
    spec.may.block || (spec.moment == Moment::Before && spec.may.change)
}

#[cfg(test)]
mod tests {
    use mortise_plugin_api::HookTable;

    use super::*;

    fn trouble(mode: Mode) -> Option<Trouble> {
        Policy::of(mode, None, false).map(|policy| policy.trouble)
    }

    #[test]
    fn trouble_follows_the_mode() {
        for mode in [Mode::Enforce, Mode::Sequential, Mode::Concurrent] {
            assert_eq!(trouble(mode), Some(Trouble::Block), "{mode:?}");
        }
        let lenient =
            [Mode::EnforceIgnoreError, Mode::Permissive, Mode::Transform, Mode::Audit, Mode::FireAndForget];
        for mode in lenient {
            assert_eq!(trouble(mode), Some(Trouble::Pass), "{mode:?}");
        }
        assert_eq!(trouble(Mode::Disabled), None);
    }

    #[test]
    fn on_error_overrides_the_mode_and_the_global_setting_overrides_both() {
        let policy = Policy::of(Mode::Enforce, Some(OnError::Ignore), false).unwrap();
        assert_eq!(policy.trouble, Trouble::Pass);
        let policy = Policy::of(Mode::Permissive, Some(OnError::Disable), false).unwrap();
        assert_eq!(policy.trouble, Trouble::PassAndDisable);
        let policy = Policy::of(Mode::Permissive, Some(OnError::Ignore), true).unwrap();
        assert_eq!(policy.trouble, Trouble::Block);
        let policy = Policy::of(Mode::FireAndForget, Some(OnError::Fail), true).unwrap();
        assert_eq!(policy.trouble, Trouble::Pass, "the background cannot block");
    }

    #[test]
    fn trouble_stops_calls_where_violations_do_and_before_what_was_to_be_changed() {
        let table = HookTable::standard();
        let only_by_trouble = table.rows().iter().filter(|row| trouble_stops(row) && !row.may.block);
        assert!(only_by_trouble.map(|row| &*row.name).eq(["http_pre_forwarding_call"]));
        let nowhere: Vec<&str> = ["http_post_forwarding_call", "http_post_request"].into();
        assert!(nowhere.iter().all(|name| !trouble_stops(table.get(name).unwrap())));
    }
}
