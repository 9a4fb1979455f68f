//! Names of the methods MCP knows, in all its revisions.

use std::borrow::Cow;

/// The name of a method. Known ones are borrowed, so reading them allocates nothing.
pub type Method = Cow<'static, str>;

macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$doc])* pub const $name: &str = $text;)*

        /// Interns the name of a method: known ones come back borrowed.
        #[must_use]
        pub fn method_name(name: Cow<'_, str>) -> Method {
            match &*name {
                $($text => Cow::Borrowed($text),)*
                _ => Cow::Owned(name.into_owned()),
            }
        }
    };
}

methods! {
    /// Client to server: opens a session.
    INITIALIZE = "initialize";
    /// Client to server: the session is open.
    INITIALIZED = "notifications/initialized";
    /// Either way: are you there.
    PING = "ping";
    /// Client to server, from 2026-07-28: what the server is and offers.
    SERVER_DISCOVER = "server/discover";
    /// Client to server, from 2026-07-28: opens a stream of change notifications.
    SUBSCRIPTIONS_LISTEN = "subscriptions/listen";
    /// Server to client, from 2026-07-28: which subscriptions a stream carries.
    SUBSCRIPTIONS_ACKNOWLEDGED = "notifications/subscriptions/acknowledged";
    /// Client to server.
    TOOLS_LIST = "tools/list";
    /// Client to server.
    TOOLS_CALL = "tools/call";
    /// Client to server.
    PROMPTS_LIST = "prompts/list";
    /// Client to server.
    PROMPTS_GET = "prompts/get";
    /// Client to server.
    RESOURCES_LIST = "resources/list";
    /// Client to server.
    RESOURCES_TEMPLATES_LIST = "resources/templates/list";
    /// Client to server.
    RESOURCES_READ = "resources/read";
    /// Client to server, up to 2025-11-25.
    RESOURCES_SUBSCRIBE = "resources/subscribe";
    /// Client to server, up to 2025-11-25.
    RESOURCES_UNSUBSCRIBE = "resources/unsubscribe";
    /// Client to server.
    COMPLETION_COMPLETE = "completion/complete";
    /// Client to server, up to 2025-11-25.
    LOGGING_SET_LEVEL = "logging/setLevel";
    /// Server to client.
    SAMPLING_CREATE_MESSAGE = "sampling/createMessage";
    /// Server to client.
    ROOTS_LIST = "roots/list";
    /// Server to client.
    ELICITATION_CREATE = "elicitation/create";
    /// Either way in 2025-11-25; client to server in the tasks extension.
    TASKS_GET = "tasks/get";
    /// Either way in 2025-11-25; client to server in the tasks extension.
    TASKS_CANCEL = "tasks/cancel";
    /// Either way, 2025-11-25 only.
    TASKS_LIST = "tasks/list";
    /// Either way, 2025-11-25 only.
    TASKS_RESULT = "tasks/result";
    /// Client to server, tasks extension.
    TASKS_UPDATE = "tasks/update";
    /// Either way: a request is no longer wanted.
    CANCELLED = "notifications/cancelled";
    /// Either way: how far a request has come.
    PROGRESS = "notifications/progress";
    /// Server to client: a log line.
    LOG_MESSAGE = "notifications/message";
    /// Server to client.
    TOOLS_LIST_CHANGED = "notifications/tools/list_changed";
    /// Server to client.
    PROMPTS_LIST_CHANGED = "notifications/prompts/list_changed";
    /// Server to client.
    RESOURCES_LIST_CHANGED = "notifications/resources/list_changed";
    /// Server to client.
    RESOURCE_UPDATED = "notifications/resources/updated";
    /// Client to server, up to 2025-11-25.
    ROOTS_LIST_CHANGED = "notifications/roots/list_changed";
    /// Server to client, 2025-11-25.
    ELICITATION_COMPLETE = "notifications/elicitation/complete";
    /// Either way, 2025-11-25.
    TASK_STATUS = "notifications/tasks/status";
}
