//! What a call over gRPC came to, as an error of the plugin.

use std::time::Duration;

use mortise_plugin_api::PluginError;
use tonic::{Code, Status};

/// The error of a call that ended with `status`, having waited for `patience` at most.
pub(crate) fn error(method: &str, status: &Status, patience: Duration) -> PluginError {
    match status.code() {
        Code::Unavailable => PluginError::Unavailable(format!("{method}: {}", status.message())),
        Code::DeadlineExceeded => PluginError::Timeout(patience),
        // With a cause, it is not the plugin that says so: the connection broke, or was reset for this call.
        Code::Unknown | Code::Internal | Code::Cancelled if std::error::Error::source(status).is_some() => {
            PluginError::Unavailable(format!("{method}: the call was cut off"))
        }
        Code::Unimplemented => PluginError::failed(format!("it does not implement {method}")),
        code => PluginError::failed(format!("{method}: {code:?}: {}", status.message())),
    }
}

/// Whether the plugin, being of an older make, does not know the method.
pub(crate) fn is_unknown_method(status: &Status) -> bool {
    status.code() == Code::Unimplemented
}

/// An error and what it comes from, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_told_apart_as_modes_need_them() {
        let kind = |status: Status| error("Authenticate", &status, Duration::from_secs(1)).kind();
        assert_eq!(kind(Status::unavailable("gone")), "unavailable");
        assert_eq!(kind(Status::deadline_exceeded("late")), "timeout");
        assert_eq!(kind(Status::unknown("the plugin's own words")), "error");
        assert_eq!(kind(Status::resource_exhausted("too large")), "error");
        let broken = Status::from_error(Box::new(std::io::Error::from(std::io::ErrorKind::BrokenPipe)));
        assert_eq!(kind(broken), "unavailable");
    }
}
