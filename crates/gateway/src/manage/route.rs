//! What a row of the route table says: how a request is answered, and how that is described.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Method, Response};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::asked::{Asked, percent_decoded};

/// One request that is served.
#[derive(Clone, Copy)]
pub(super) struct Route {
    pub(super) verb: Verb,
    /// The path; a name in braces stands for one segment.
    pub(super) path: &'static str,
    /// Its name in the OpenAPI document: `listPlugins`.
    pub(super) id: &'static str,
    /// What it does, in a sentence without a full stop.
    pub(super) about: &'static str,
    pub(super) access: Access,
    pub(super) tag: Tag,
    pub(super) query: &'static [Parameter],
    /// The JSON it takes.
    pub(super) body: Option<SchemaOf>,
    /// What it gives where it was done.
    pub(super) content: Content,
    /// Refusals beside those of access, path and body: status and when.
    pub(super) refusals: &'static [(u16, &'static str)],
    pub(super) handler: Handler,
}

/// Method of a route. `GET` serves `HEAD` too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verb {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Verb {
    pub(super) fn takes(self, method: &Method) -> bool {
        match self {
            Self::Get => matches!(*method, Method::GET | Method::HEAD),
            Self::Post => *method == Method::POST,
            Self::Put => *method == Method::PUT,
            Self::Patch => *method == Method::PATCH,
            Self::Delete => *method == Method::DELETE,
        }
    }

    /// As `Allow` has it.
    pub(super) fn allowed(self) -> &'static str {
        match self {
            Self::Get => "GET, HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// As OpenAPI has it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "post",
            Self::Put => "put",
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }
}

/// Who may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Anyone: probes.
    Open,
    /// Admins, and anyone on loopback without apps.
    Read,
    /// Admins.
    Change,
}

/// What a route is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    /// Whether it is well.
    Health,
    /// Plugins; not served with `enable_plugin_api: false`.
    Plugins,
    /// Who may call, and what there is to call, kept in storage.
    Storage,
    /// The configuration and its changes.
    Configuration,
    /// Anything else that can be looked at.
    Observation,
}

impl Tag {
    pub(super) const ALL: [Self; 5] =
        [Self::Health, Self::Plugins, Self::Storage, Self::Configuration, Self::Observation];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Health => "health",
            Self::Plugins => "plugins",
            Self::Storage => "storage",
            Self::Configuration => "configuration",
            Self::Observation => "observation",
        }
    }

    pub(super) fn about(self) -> &'static str {
        match self {
            Self::Health => "For probes: open to all",
            Self::Plugins => "Plugins, what they count, and what of them is changed while running",
            Self::Storage => "Apps, tokens, LLMs and prices that are kept in storage",
            Self::Configuration => "The configuration, and who changed it",
            Self::Observation => "What else can be looked at",
        }
    }
}

/// A parameter of the query.
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) schema: SchemaOf,
}

/// The schema of a type.
pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// The schema of `T`, as a row wants it.
pub(super) fn one<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// The schema of `T` written out: what is taken and what is given may differ in what has to be there.
pub(super) fn whole<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    T::json_schema(generator)
}

/// What is given where it was done: with 201 what was made, with 204 nothing, else with 200.
#[derive(Clone, Copy)]
pub(super) enum Content {
    Json(SchemaOf),
    /// What was made, as JSON.
    Made(SchemaOf),
    Nothing,
    /// A text of this media type.
    Text(&'static str),
}

/// What answers.
#[derive(Clone, Copy)]
pub(super) enum Handler {
    /// At once.
    Now(fn(&Asked<'_>) -> Response<Bytes>),
    /// After a while.
    Later(for<'a> fn(&'a Asked<'a>) -> BoxFuture<'a, Response<Bytes>>),
}

impl Route {
    /// A row that reads.
    pub(super) const fn get(
        path: &'static str,
        id: &'static str,
        about: &'static str,
        content: Content,
        handler: Handler,
    ) -> Self {
        Self {
            verb: Verb::Get,
            path,
            id,
            about,
            access: Access::Read,
            tag: Tag::Observation,
            query: &[],
            body: None,
            content,
            refusals: &[],
            handler,
        }
    }

    /// A row that changes something.
    pub(super) const fn change(
        verb: Verb,
        path: &'static str,
        id: &'static str,
        about: &'static str,
        content: Content,
        handler: Handler,
    ) -> Self {
        Self { verb, access: Access::Change, ..Self::get(path, id, about, content, handler) }
    }

    pub(super) const fn open(self) -> Self {
        Self { access: Access::Open, ..self }
    }

    pub(super) const fn of(self, tag: Tag) -> Self {
        Self { tag, ..self }
    }

    pub(super) const fn query(self, query: &'static [Parameter]) -> Self {
        Self { query, ..self }
    }

    pub(super) const fn takes(self, body: SchemaOf) -> Self {
        Self { body: Some(body), ..self }
    }

    pub(super) const fn refuses(self, refusals: &'static [(u16, &'static str)]) -> Self {
        Self { refusals, ..self }
    }

    /// Whether a path is this one, and what stands in it in braces.
    pub(super) fn matches(&self, path: &str) -> Option<String> {
        let (mut name, mut given) = (String::new(), path.split('/'));
        for wanted in self.path.split('/') {
            let segment = given.next()?;
            if wanted.starts_with('{') {
                name = percent_decoded(segment)?;
            } else if wanted != segment {
                return None;
            }
        }
        given.next().is_none().then_some(name)
    }

    /// What stands in braces in the path.
    pub(super) fn parameter(&self) -> Option<&'static str> {
        let (_, rest) = self.path.split_once('{')?;
        rest.split_once('}').map(|(name, _)| name)
    }
}
