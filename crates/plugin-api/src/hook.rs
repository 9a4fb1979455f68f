//! The hook table: every named point a plugin can attach to, one row each.
//!
//! Names, aliases, JSON schemas, wire conversions, metric labels and reference pages all derive from the rows. The
//! table is open: a program that embeds the framework, or a plugin, registers further hooks whose payload is any
//! JSON object ([`OpenHook`]); they get the ids after the standard ones.

use std::{any::Any, collections::HashMap, sync::Arc};

use bytes::Bytes;
use schemars::Schema;
use serde::Serialize;

use crate::{Payload, PluginError, Wire, hooks};

/// Row of a hook in the table. Cheap to compare and to index with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HookId(pub u16);

impl HookId {
    /// The id as an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A hook as a type: ties a name to the payload it shows and the answer it takes.
pub trait Hook: 'static {
    /// Row in the table.
    const ID: HookId;
    /// Name in configuration, wire and metrics.
    const NAME: &'static str;
    /// What the hook shows.
    type Payload: Payload;
    /// What a plugin answers to change it. Mostly the payload itself; a header map for the HTTP hooks.
    type Change: Any + Send;

    /// Applies an answer to a payload, taking only what a plugin may change at this hook.
    fn apply(payload: &Self::Payload, change: Self::Change) -> Applied<Self::Payload>;
}

/// What applying an answer came to.
#[derive(Debug)]
pub struct Applied<P> {
    /// The new payload, or `None` when nothing effectively changed.
    pub payload: Option<P>,
    /// Fields the plugin tried to change and may not; worth a warning.
    pub refused: Vec<&'static str>,
}

/// Which part of a gateway's work a hook belongs to. Conditions on names look at their own family only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the families are the hooks' own first words")]
pub enum Family {
    Tool,
    Prompt,
    Resource,
    Agent,
    Http,
    Llm,
    Registration,
    Federation,
    Object,
    Record,
    Open,
}

/// When a hook runs, relative to what it guards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// Before the thing happens.
    Before,
    /// After it happened, while its result can still be changed.
    After,
    /// When it is over: only to be observed.
    AfterTheFact,
}

/// What answers at a hook may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct May {
    /// Stop the call.
    pub block: bool,
    /// Change the payload, or give the answer the hook asks for.
    pub change: bool,
}

/// How the answers of a chain come together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Each plugin sees the payload as changed so far.
    Chain,
    /// The first plugin that does not abstain decides.
    FirstAnswer,
}

/// Which size limit applies to a hook's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Arguments and tool or prompt results: 1,000,000 bytes by default.
    Arguments,
    /// LLM bodies and resources: 32 MiB by default.
    Content,
}

/// One row of the hook table.
#[derive(Clone)]
pub struct HookSpec {
    /// Row.
    pub id: HookId,
    /// Name.
    pub name: Arc<str>,
    /// Exact synonyms.
    pub aliases: &'static [&'static str],
    /// Family.
    pub family: Family,
    /// When it runs.
    pub moment: Moment,
    /// What answers may do.
    pub may: May,
    /// How answers come together.
    pub rule: Rule,
    /// Which size limit applies.
    pub limit: Limit,
    /// The hook after (for a hook before) or before (for a hook after) the same event.
    pub pair: Option<HookId>,
    /// What it is for, in one sentence.
    pub about: Arc<str>,
    /// Fields of the payload that an answer may change.
    pub writable: &'static [&'static str],
    /// Whether an answer may serve the call: give its result, in place of the upstream.
    pub serves: bool,
    /// A payload and an answer to it, as JSON.
    pub example: Example,
    pub(crate) codec: Codec,
}

/// What a payload of a hook looks like, and what a plugin could answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Example {
    /// The payload; `null` for a hook whose payload may be anything.
    pub payload: &'static str,
    /// The answer; empty where answers change nothing.
    pub answer: &'static str,
    /// What the answer does, in one sentence.
    pub about: &'static str,
}

impl Example {
    pub(crate) const fn of(payload: &'static str) -> Self {
        Self { payload, answer: "", about: "" }
    }

    pub(crate) const fn answered(mut self, answer: &'static str, about: &'static str) -> Self {
        (self.answer, self.about) = (answer, about);
        self
    }
}

/// Functions of a row, made from its [`Hook`] type.
#[derive(Clone)]
pub(crate) struct Codec {
    pub(crate) decode: Decode<Box<dyn Payload>>,
    pub(crate) decode_change: Decode<Box<dyn Any + Send>>,
    pub(crate) apply: Apply,
    pub(crate) payload_schema: SchemaOf,
    pub(crate) change_schema: SchemaOf,
}

type Decode<T> = fn(&[u8], Wire) -> Result<T, PluginError>;
type Apply = fn(&dyn Payload, Box<dyn Any + Send>) -> Result<ErasedApplied, PluginError>;

/// Where a schema comes from.
#[derive(Clone)]
pub(crate) enum SchemaOf {
    Type(fn() -> Schema),
    Given(Arc<Schema>),
}

impl SchemaOf {
    fn get(&self) -> Schema {
        match self {
            Self::Type(make) => make(),
            Self::Given(schema) => (**schema).clone(),
        }
    }
}

/// [`Applied`] without its type.
#[derive(Debug)]
pub struct ErasedApplied {
    /// The new payload, or `None` when nothing effectively changed.
    pub payload: Option<Box<dyn Payload>>,
    /// Fields the plugin tried to change and may not.
    pub refused: Vec<&'static str>,
}

impl HookSpec {
    /// Reads a payload from JSON in a JSON wire form.
    ///
    /// # Errors
    /// When the JSON does not fit the payload.
    pub fn decode(&self, json: &[u8], wire: Wire) -> Result<Box<dyn Payload>, PluginError> {
        (self.codec.decode)(json, wire)
    }

    /// Reads an answer (`modified_payload`) from JSON in a JSON wire form.
    ///
    /// # Errors
    /// When the JSON does not fit the answer.
    pub fn decode_change(&self, json: &[u8], wire: Wire) -> Result<Box<dyn Any + Send>, PluginError> {
        (self.codec.decode_change)(json, wire)
    }

    /// Applies an answer to a payload.
    ///
    /// # Errors
    /// When payload or answer are not of this hook's types.
    pub fn apply(
        &self,
        payload: &dyn Payload,
        change: Box<dyn Any + Send>,
    ) -> Result<ErasedApplied, PluginError> {
        (self.codec.apply)(payload, change)
    }

    /// JSON Schema of the payload.
    pub fn payload_schema(&self) -> Schema {
        self.codec.payload_schema.get()
    }

    /// JSON Schema of the answer.
    pub fn change_schema(&self) -> Schema {
        self.codec.change_schema.get()
    }
}

impl std::fmt::Debug for HookSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HookSpec").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}

/// A hook that is not in the standard table: payload and answer are a JSON object.
#[derive(Clone, Debug)]
pub struct OpenHook {
    /// Name; must be new.
    pub name: String,
    /// What it is for.
    pub about: String,
    /// When it runs.
    pub moment: Moment,
    /// What answers may do.
    pub may: May,
    /// JSON Schema of the payload.
    pub schema: Schema,
}

/// A name that cannot be registered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("hook {0} is already in the table")]
pub struct HookTaken(pub String);

/// The hooks of a program: the standard rows and those it registered.
#[derive(Clone, Debug)]
pub struct HookTable {
    rows: Vec<HookSpec>,
    by_name: HashMap<Arc<str>, HookId>,
}

impl HookTable {
    /// The standard table.
    pub fn standard() -> Self {
        let mut table = Self { rows: Vec::new(), by_name: HashMap::new() };
        for row in hooks::rows() {
            for name in std::iter::once(&*row.name).chain(row.aliases.iter().copied()) {
                table.by_name.insert(name.into(), row.id);
            }
            table.rows.push(row);
        }
        table
    }

    /// Adds a hook and returns its id.
    ///
    /// # Errors
    /// When a hook of that name, or one with it as alias, is in the table already.
    pub fn register(&mut self, hook: OpenHook) -> Result<HookId, HookTaken> {
        if self.by_name.contains_key(hook.name.as_str()) {
            return Err(HookTaken(hook.name));
        }
        let id = HookId(u16::try_from(self.rows.len()).map_err(|_| HookTaken(hook.name.clone()))?);
        let name: Arc<str> = hook.name.into();
        self.by_name.insert(name.clone(), id);
        self.rows.push(hooks::open::row(
            id,
            name,
            hook.about.into(),
            hook.moment,
            hook.may,
            SchemaOf::Given(Arc::new(hook.schema)),
        ));
        Ok(id)
    }

    /// The id of a hook by name or alias.
    pub fn id(&self, name: &str) -> Option<HookId> {
        self.by_name.get(name).copied()
    }

    /// The row of a hook by name or alias.
    pub fn get(&self, name: &str) -> Option<&HookSpec> {
        self.rows.get(self.id(name)?.index())
    }

    /// The row of an id, `None` for an id of another table.
    pub fn spec(&self, id: HookId) -> Option<&HookSpec> {
        self.rows.get(id.index())
    }

    /// All rows, in order of their ids.
    pub fn rows(&self) -> &[HookSpec] {
        &self.rows
    }

    /// All names and aliases, sorted; for messages that list what is allowed.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.by_name.keys().map(|name| &**name).collect();
        names.sort_unstable();
        names
    }
}

/// The codec of a typed hook whose payload and answer are read by serde.
pub(crate) const fn codec<H>() -> Codec
where
    H: Hook,
    H::Payload: FromWire + schemars::JsonSchema,
    H::Change: FromWire + schemars::JsonSchema,
{
    Codec {
        decode: |json, wire| Ok(Box::new(H::Payload::from_wire(json, wire).map_err(decoding(H::NAME))?)),
        decode_change: |json, wire| {
            Ok(Box::new(H::Change::from_wire(json, wire).map_err(decoding(H::NAME))?))
        },
        apply: |payload, change| {
            let (Some(payload), Ok(change)) =
                (payload.as_any().downcast_ref::<H::Payload>(), change.downcast::<H::Change>())
            else {
                return Err(PluginError::InvalidAnswer(format!("not of the types of {}", H::NAME)));
            };
            let applied = H::apply(payload, *change);
            let payload = applied.payload.map(|payload| Box::new(payload) as Box<dyn Payload>);
            Ok(ErasedApplied { payload, refused: applied.refused })
        },
        payload_schema: SchemaOf::Type(|| schemars::schema_for!(H::Payload)),
        change_schema: SchemaOf::Type(|| schemars::schema_for!(H::Change)),
    }
}

/// Reading from the JSON wire forms.
pub(crate) trait FromWire: Sized {
    fn from_wire(json: &[u8], wire: Wire) -> Result<Self, serde_json::Error>;
}

fn decoding(hook: &'static str) -> impl Fn(serde_json::Error) -> PluginError {
    move |error| PluginError::Payload { hook, action: "decoded", reason: error.to_string() }
}

/// Writes a payload that serde knows as JSON.
pub(crate) fn encode_json<T: Serialize>(hook: &'static str, value: &T) -> Result<Bytes, PluginError> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|error| PluginError::Payload {
        hook,
        action: "encoded",
        reason: error.to_string(),
    })
}
