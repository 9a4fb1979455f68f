//! Asking an upstream what it offers.

use std::time::Duration;

use mortise_mcp::{
    catalog::{Item, Kind, Page},
    initialize::ServerHello,
    raw::Raw,
};
use mortise_mcp_transport::upstream::{Call, Connection, Initialized, UpstreamError};

/// Most pages of one list; a server that goes on for ever is cut off there.
const MAX_PAGES: usize = 1_000;

/// Everything one upstream offers.
#[derive(Clone, Debug, Default)]
pub struct Offered {
    /// Tools.
    pub tools: Vec<Item>,
    /// Prompts.
    pub prompts: Vec<Item>,
    /// Resources.
    pub resources: Vec<Item>,
    /// Resource templates.
    pub templates: Vec<Item>,
}

impl Offered {
    /// The items of one kind.
    pub fn of(&self, kind: Kind) -> &Vec<Item> {
        match kind {
            Kind::Tools => &self.tools,
            Kind::Prompts => &self.prompts,
            Kind::Resources => &self.resources,
            Kind::ResourceTemplates => &self.templates,
        }
    }

    /// The items of one kind, to replace them.
    pub fn of_mut(&mut self, kind: Kind) -> &mut Vec<Item> {
        match kind {
            Kind::Tools => &mut self.tools,
            Kind::Prompts => &mut self.prompts,
            Kind::Resources => &mut self.resources,
            Kind::ResourceTemplates => &mut self.templates,
        }
    }
}

/// All kinds, in no particular order.
pub const KINDS: [Kind; 4] = [Kind::Tools, Kind::Prompts, Kind::Resources, Kind::ResourceTemplates];

/// The family of the server's announcement that a kind belongs to.
fn family(kind: Kind) -> &'static str {
    match kind {
        Kind::Tools => "tools",
        Kind::Prompts => "prompts",
        Kind::Resources | Kind::ResourceTemplates => "resources",
    }
}

/// Whether a server announced a family such as `tools` or `logging`.
pub fn announces(initialized: &Initialized, family: &str) -> bool {
    ServerHello::parse(&initialized.result).is_ok_and(|hello| hello.offers(family))
}

/// Fetches all pages of one list. A kind the server does not offer, or answers with an error, is empty.
///
/// # Errors
/// When the upstream cannot be reached or gives no answer.
pub async fn fetch(
    connection: &Connection,
    initialized: &Initialized,
    kind: Kind,
    timeout: Duration,
) -> Result<Vec<Item>, UpstreamError> {
    let mut items = Vec::new();
    if !announces(initialized, family(kind)) {
        return Ok(items);
    }
    let mut cursor: Option<Raw> = None;
    for _ in 0..MAX_PAGES {
        let call = Call { timeout, ..Call::new(kind.list_method(), cursor.as_ref()) };
        let result = match connection.request(call).await?.outcome().await? {
            Ok(result) => result,
            Err(error) => {
                tracing::debug!(method = kind.list_method(), code = error.code(), "upstream refused to list");
                return Ok(items);
            }
        };
        let Ok(page) = Page::parse(kind, &result) else {
            tracing::warn!(method = kind.list_method(), "upstream answered with something that is no list");
            return Ok(items);
        };
        items.extend(page.items);
        match page.next_cursor {
            Some(next) => {
                cursor = Raw::from_serialize(&serde_json::json!({ "cursor": next })).ok();
            }
            None => break,
        }
    }
    Ok(items)
}
