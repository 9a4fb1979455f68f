//! Stored objects (apps, LLMs, tools, …) changing.

use serde::{Deserialize, Serialize};

use super::define::{applied, from_wire, hook, payload};
use crate::Json;

/// A change of a stored object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ObjectPayload {
    /// Kind of object: `app`, `llm`, `tool`, `datasource`, `user`, ….
    pub object_type: String,
    /// Its id; empty before it is created.
    #[serde(default)]
    pub object_id: String,
    /// The object as it would be, or is, stored; before a deletion, as it is.
    #[serde(default = "Json::object")]
    pub object: Json,
    /// The object as it was before an update.
    #[serde(default)]
    pub previous: Json,
}

payload!(ObjectPayload, "object_before_create",
    subject: |p| Some(&p.object_type),
    size: |p| p.object.size(),
    carriers: |p| [],
    replace: |p, edited| {});

from_wire!(ObjectPayload);

fn take_object(old: &ObjectPayload, new: ObjectPayload) -> crate::hook::Applied<ObjectPayload> {
    applied(old, ObjectPayload { object: new.object, ..old.clone() }, Vec::new())
}

fn nothing(_: &ObjectPayload, _: ObjectPayload) -> crate::hook::Applied<ObjectPayload> {
    crate::hook::Applied { payload: None, refused: vec!["object"] }
}

hook! {
    /// Before a stored object is created.
    ObjectBeforeCreate = 21, "object_before_create", before_create_row {
        aliases: &[], family: Object, moment: Before, block: true, change: true,
        rule: Chain, limit: Content, pair: Some(crate::HookId(22)), writable: &["object"],
        about: "Before a stored object is created: change it or refuse.",
        payload: ObjectPayload, answer: ObjectPayload,
        apply: take_object,
        example: r#"{"object_type": "app", "object_id": "", "object": {"name": "ci"}}"#
            => r#"{"object_type": "app", "object": {"name": "ci", "rate_limit": 60}}"#,
            "The object is stored with a limit.",
    }
}

hook! {
    /// After a stored object was created.
    ObjectAfterCreate = 22, "object_after_create", after_create_row {
        aliases: &[], family: Object, moment: AfterTheFact, block: false, change: false,
        rule: Chain, limit: Content, pair: Some(crate::HookId(21)), writable: &[],
        about: "After a stored object was created.",
        payload: ObjectPayload, answer: ObjectPayload,
        apply: nothing,
        example: r#"{"object_type": "app", "object_id": "17", "object": {"name": "ci"}}"#,
    }
}

hook! {
    /// Before a stored object is updated.
    ObjectBeforeUpdate = 23, "object_before_update", before_update_row {
        aliases: &[], family: Object, moment: Before, block: true, change: true,
        rule: Chain, limit: Content, pair: Some(crate::HookId(24)), writable: &["object"],
        about: "Before a stored object is updated: change it or refuse.",
        payload: ObjectPayload, answer: ObjectPayload,
        apply: take_object,
        example: r#"{"object_type": "app", "object_id": "17", "object": {"name": "ci", "rate_limit": 600}, "previous": {"name": "ci"}}"#
            => r#"{"object_type": "app", "object": {"name": "ci", "rate_limit": 60}}"#,
            "The object is stored with a limit.",
    }
}

hook! {
    /// After a stored object was updated.
    ObjectAfterUpdate = 24, "object_after_update", after_update_row {
        aliases: &[], family: Object, moment: AfterTheFact, block: false, change: false,
        rule: Chain, limit: Content, pair: Some(crate::HookId(23)), writable: &[],
        about: "After a stored object was updated.",
        payload: ObjectPayload, answer: ObjectPayload,
        apply: nothing,
        example: r#"{"object_type": "app", "object_id": "17", "object": {"name": "ci", "rate_limit": 600}, "previous": {"name": "ci"}}"#,
    }
}

hook! {
    /// Before a stored object is deleted.
    ObjectBeforeDelete = 25, "object_before_delete", before_delete_row {
        aliases: &[], family: Object, moment: Before, block: true, change: false,
        rule: Chain, limit: Content, pair: Some(crate::HookId(26)), writable: &[],
        about: "Before a stored object is deleted: refuse it.",
        payload: ObjectPayload, answer: ObjectPayload,
        apply: nothing,
        example: r#"{"object_type": "app", "object_id": "17", "object": {"name": "ci"}}"#,
    }
}

hook! {
    /// After a stored object was deleted.
    ObjectAfterDelete = 26, "object_after_delete", after_delete_row {
        aliases: &[], family: Object, moment: AfterTheFact, block: false, change: false,
        rule: Chain, limit: Content, pair: Some(crate::HookId(25)), writable: &[],
        about: "After a stored object was deleted.",
        payload: ObjectPayload, answer: ObjectPayload,
        apply: nothing,
        example: r#"{"object_type": "app", "object_id": "17", "object": {"name": "ci"}}"#,
    }
}
