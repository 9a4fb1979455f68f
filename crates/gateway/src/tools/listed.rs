//! A tool for those who do not speak MCP: its operations, and what each takes.

use mortise_openapi::{Body, Document, Operation, Parameter};
use serde_json::{Value, json};

use crate::config::Tool;

/// What a tool is, and the operations of it that may be called.
pub(super) fn listed(slug: &str, tool: &Tool, document: &Document) -> Value {
    let description = tool.description.as_ref().or(document.description.as_ref());
    json!({
        "name": tool.title.as_ref().or(document.title.as_ref()).map_or(slug, String::as_str),
        "slug": slug,
        "description": description.map_or("", String::as_str),
        "operations": document.operations.iter().map(operation).collect::<Vec<_>>(),
    })
}

fn operation(operation: &Operation) -> Value {
    json!({
        "operation_id": operation.id,
        "method": operation.method,
        "path": operation.path,
        "summary": operation.summary.as_deref().unwrap_or_default(),
        "description": operation.description.as_deref().unwrap_or_default(),
        "parameters": operation.parameters.iter().map(parameter).collect::<Vec<_>>(),
        "request_body": operation.body.as_ref().map(body),
        "input_schema": operation.input_schema(),
    })
}

fn parameter(parameter: &Parameter) -> Value {
    json!({
        "name": parameter.name,
        "in": parameter.place.word(),
        "description": parameter.description.as_deref().unwrap_or_default(),
        "required": parameter.required,
        "type": parameter.kind.as_deref().unwrap_or_default(),
        "example": parameter.example,
    })
}

fn body(body: &Body) -> Value {
    json!({
        "description": body.description.as_deref().unwrap_or_default(),
        "required": body.required,
        "content_type": body.content_type,
    })
}
