//! What a plugin has decided, and what can be said of that.

use std::{any::Any, ops::ControlFlow, sync::Arc, time::Duration};

use mortise_plugin_api::{
    Change, Headers, HookSpec, Json, Notes, Payload, PluginError, Reply, Revision, Rule, Violation, Wire,
};
use serde_json::{Map, Value};

/// What one call came to. The asserting methods panic with what it came to instead.
pub struct Decision {
    hook: Arc<str>,
    before: Arc<Revision>,
    after: Option<Box<dyn Payload>>,
    answer: Option<Box<dyn Any + Send>>,
    served: Option<Json>,
    violation: Option<Violation>,
    error: Option<PluginError>,
    notes: Notes,
    refused: Vec<&'static str>,
}

impl Decision {
    pub(super) fn new(row: &HookSpec, before: Arc<Revision>, answer: Result<Reply, PluginError>) -> Self {
        let mut decision = Self {
            hook: row.name.clone(),
            before,
            after: None,
            answer: None,
            served: None,
            violation: None,
            error: None,
            notes: Notes::default(),
            refused: Vec::new(),
        };
        match answer {
            Ok(reply) => decision.take(row, reply),
            Err(error) => decision.error = Some(error),
        }
        decision
    }

    fn take(&mut self, row: &HookSpec, reply: Reply) {
        self.violation = reply.violation.map(|violation| *violation);
        self.notes = reply.notes.map(|notes| *notes).unwrap_or_default();
        match reply.change {
            None => {}
            Some(Change::Answer(answer)) if row.rule == Rule::FirstAnswer => self.answer = Some(answer),
            Some(Change::Answer(answer)) => match row.apply(self.before.payload(), answer) {
                Ok(applied) => (self.after, self.refused) = (applied.payload, applied.refused),
                Err(error) => self.error = Some(error),
            },
            Some(Change::Text(edits)) => match self.before.payload().edited(&edits) {
                Ok(edited) => self.after = Some(edited),
                Err(error) => self.error = Some(PluginError::InvalidAnswer(error.to_string())),
            },
            Some(Change::Serve(result)) if row.serves => self.served = Some(*result),
            Some(Change::Serve(_)) => {
                let reason = "a call cannot be served at this hook";
                self.error = Some(PluginError::InvalidAnswer(reason.to_owned()));
            }
        }
    }

    /// It had nothing to say: no violation, no change, no answer, no error.
    ///
    /// # Panics
    /// Where it had.
    #[track_caller]
    pub fn assert_passed(&self) -> &Self {
        let silent = self.violation.is_none() && self.error.is_none();
        let silent = silent && self.after.is_none() && self.answer.is_none() && self.served.is_none();
        assert!(silent, "it passes, but {self}");
        self
    }

    /// It refused the call, with a violation of this code.
    ///
    /// # Panics
    /// Where it did not, or with another code.
    #[track_caller]
    pub fn assert_blocked(&self, code: &str) -> &Violation {
        match &self.violation {
            Some(violation) if violation.code == code => violation,
            _ => panic!("it blocks with {code}, but {self}"),
        }
    }

    /// It gave no decision; the error's kind is a word such as `error`, `timeout`, `invalid_answer`.
    ///
    /// # Panics
    /// Where it gave one, or failed otherwise.
    #[track_caller]
    pub fn assert_failed(&self, kind: &str) -> &PluginError {
        match &self.error {
            Some(error) if error.kind() == kind => error,
            _ => panic!("it fails with {kind}, but {self}"),
        }
    }

    /// It changed the payload, which afterwards is this.
    ///
    /// # Panics
    /// Where it is not, nothing changed, or it blocked or failed.
    #[track_caller]
    pub fn assert_changed(&self, to: &Value) -> &Self {
        self.went_on();
        assert!(self.after.is_some(), "it changes the payload to {to}, but {self}");
        assert_eq!(&self.payload(), to, "the changed payload");
        self
    }

    /// The texts for people in the payload afterwards, in order: of arguments every string, of a result its texts.
    ///
    /// # Panics
    /// Where these are others, or it blocked or failed.
    #[track_caller]
    pub fn assert_texts<'t>(&self, expected: impl IntoIterator<Item = &'t str>) -> &Self {
        self.went_on();
        assert_eq!(self.texts(), expected.into_iter().collect::<Vec<_>>(), "the texts afterwards");
        self
    }

    /// At the hooks that ask something (who is it, may they): the answer.
    ///
    /// # Panics
    /// Where it abstained, or answered with another type.
    #[track_caller]
    pub fn assert_answered<T: Any>(&self) -> &T {
        let answer = self.answer.as_deref().and_then(<dyn Any + Send>::downcast_ref);
        answer.unwrap_or_else(|| panic!("it answers with a {}, but {self}", std::any::type_name::<T>()))
    }

    /// It served the call itself, with this result.
    ///
    /// # Panics
    /// Where it did not, or with another one.
    #[track_caller]
    pub fn assert_served(&self, result: &Value) -> &Self {
        let served = self.served.as_ref().and_then(|served| served.value().ok());
        assert_eq!(served, Some(result), "it serves the call, but {self}");
        self
    }

    #[track_caller]
    fn went_on(&self) {
        let went_on = self.violation.is_none() && self.error.is_none() && self.served.is_none();
        assert!(went_on, "the call goes on, but {self}");
    }

    /// The payload afterwards, changed or not.
    ///
    /// # Panics
    /// Where it cannot be written, which the plugin's answer would be to blame for.
    #[must_use]
    #[track_caller]
    pub fn payload(&self) -> Value {
        serde_json::from_str(&self.payload_text()).expect("a payload is JSON")
    }

    /// The payload afterwards as JSON text, for what must keep its bytes.
    ///
    /// # Panics
    /// As [`Decision::payload`].
    #[must_use]
    #[track_caller]
    pub fn payload_text(&self) -> String {
        let text = self.current().encode(Wire::Json);
        let text = text.unwrap_or_else(|error| panic!("the payload cannot be written: {error}"));
        String::from_utf8(text.to_vec()).expect("JSON is text")
    }

    /// The texts for people in the payload afterwards.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        let mut texts = Vec::new();
        self.current().texts(&mut |part| {
            texts.push(part.text.into_owned());
            ControlFlow::Continue(())
        });
        texts
    }

    /// Why it refused the call, if it did.
    #[must_use]
    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// What it said about the execution.
    #[must_use]
    pub fn metadata(&self) -> &Map<String, Value> {
        &self.notes.metadata
    }

    /// Headers it wishes for on the answer to the client.
    #[must_use]
    pub fn response_headers(&self) -> &Headers {
        &self.notes.response_headers
    }

    /// After which time it wants the tool called again; zero where it does not.
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        self.notes.retry_after
    }

    /// Fields it tried to change and may not at this hook; these keep their values.
    #[must_use]
    pub fn refused(&self) -> &[&'static str] {
        &self.refused
    }

    fn current(&self) -> &dyn Payload {
        self.after.as_deref().unwrap_or_else(|| self.before.payload())
    }
}

/// What it came to, for people: the end of a sentence that began with what was expected.
impl std::fmt::Display for Decision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let hook = &self.hook;
        if let Some(error) = &self.error {
            return write!(f, "at {hook} it failed ({}): {error}", error.kind());
        }
        if let Some(Violation { code, reason, .. }) = &self.violation {
            return write!(f, "at {hook} it blocked with {code}: {reason}");
        }
        if self.answer.is_some() {
            return write!(f, "at {hook} it gave an answer");
        }
        if let Some(served) = &self.served {
            return write!(f, "at {hook} it served the call with {}", served.as_str());
        }
        if self.after.is_some() {
            return write!(f, "at {hook} it changed the payload to {}", self.payload_text());
        }
        match self.refused.is_empty() {
            true => write!(f, "at {hook} it passed"),
            false => write!(f, "at {hook} it changed only what it may not: {}", self.refused.join(", ")),
        }
    }
}

impl std::fmt::Debug for Decision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Decision({self})")
    }
}
