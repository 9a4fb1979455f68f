//! What the demo server offers: lists and invented records.

use serde_json::{Value, json};

/// Of the resource that is always there.
pub(super) const NOTES: &str = "file:///notes/escalation.txt";
/// Start of the URIs of the resource template.
const CUSTOMER: &str = "customer://";

/// `tools/list`.
pub(super) fn tools() -> Value {
    let tool = |name: &str, about: &str, arguments: &[(&str, &str)], required: &[&str]| {
        let properties: serde_json::Map<String, Value> = arguments
            .iter()
            .map(|(name, about)| ((*name).to_owned(), json!({"type": "string", "description": about})))
            .collect();
        let schema = json!({"type": "object", "properties": properties, "required": required});
        json!({"name": name, "description": about, "inputSchema": schema})
    };
    json!({"tools": [
        tool("whois", "Looks up a customer's record.", &[("name", "The customer's name.")], &["name"]),
        tool(
            "send_email",
            "Says which e-mail it would send.",
            &[("to", "Address."), ("subject", "Subject."), ("body", "Text of the message.")],
            &["to", "body"],
        ),
        tool("run_sql", "Says which statement it would run.", &[("statement", "SQL.")], &["statement"]),
        tool(
            "delete_everything",
            "Says that it would delete everything.",
            &[("confirm", "The word DELETE.")],
            &["confirm"],
        ),
    ]})
}

/// The record of a customer of any name.
pub(super) fn record(name: &str) -> String {
    let mailbox: String = name
        .split_whitespace()
        .map(|word| word.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(".");
    let mailbox = if mailbox.is_empty() { "customer".to_owned() } else { mailbox };
    format!(
        "Name: {name}\nE-mail: {mailbox}@example.com\nPhone: (555) 123-4567\nSSN: 123-45-6789\n\
         Card: 4111 1111 1111 1111\nPlan: Gold, since 2019"
    )
}

/// `prompts/list`.
pub(super) fn prompts() -> Value {
    json!({"prompts": [{
        "name": "support_reply",
        "description": "Drafts an answer to a customer.",
        "arguments": [{"name": "customer", "description": "The customer's name.", "required": true}],
    }]})
}

/// `prompts/get` of `support_reply`.
pub(super) fn support_reply(customer: &str) -> Value {
    let text = format!("Write a short, kind answer to {customer}. Their record:\n\n{}", record(customer));
    json!({
        "description": "An answer to a customer.",
        "messages": [{"role": "user", "content": {"type": "text", "text": text}}],
    })
}

/// `resources/list`.
pub(super) fn resources() -> Value {
    json!({"resources": [{
        "uri": NOTES,
        "name": "escalation.txt",
        "description": "Whom to tell when something is on fire.",
        "mimeType": "text/plain",
    }]})
}

/// `resources/templates/list`.
pub(super) fn resource_templates() -> Value {
    json!({"resourceTemplates": [{
        "uriTemplate": "customer://{name}/record",
        "name": "customer record",
        "description": "The record of a customer.",
        "mimeType": "text/plain",
    }]})
}

/// The text of a resource, if there is one of that URI.
pub(super) fn resource(uri: &str) -> Option<String> {
    if uri == NOTES {
        return Some(
            "Day: call the desk.\nNight: write to oncall@example.com or page 555-987-6543.\n".to_owned(),
        );
    }
    let name = uri.strip_prefix(CUSTOMER)?.strip_suffix("/record")?;
    (!name.is_empty() && !name.contains('/')).then(|| record(&name.replace("%20", " ")))
}
