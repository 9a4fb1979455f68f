//! A shallow look at the parameters of the calls a gateway routes, and rewriting what they ask for.
//!
//! Not a model of MCP's types: of `tools/call` only name, arguments and `_meta` are seen. A rewrite replaces the
//! bytes of those members, so that a field of a newer revision (`task`, for example) goes through untouched.

use std::borrow::Cow;

use crate::raw::{Object, Raw, RawError, RawStr};

/// The parameters of `tools/call`.
pub type ToolCall<'a> = NamedCall<'a>;
/// The parameters of `prompts/get`.
pub type PromptGet<'a> = NamedCall<'a>;
/// The parameters of `resources/read`, `resources/subscribe` and `resources/unsubscribe`.
pub type ResourceRead<'a> = UriCall<'a>;

/// Parameters that name a thing and hand it arguments.
#[derive(Debug)]
pub struct NamedCall<'a> {
    /// The tool or prompt as the caller names it.
    pub name: Cow<'a, str>,
    /// The arguments, an object; `None` where absent or `null`.
    pub arguments: Option<RawStr<'a>>,
    /// `_meta`, an object; `None` where absent or `null`.
    pub meta: Option<RawStr<'a>>,
    object: Object<'a>,
}

impl<'a> NamedCall<'a> {
    /// Looks at parameters.
    ///
    /// # Errors
    /// [`RawError`] where the parameters are no object, `name` is missing or no string, `arguments` or `_meta`
    /// are no objects, or one of them is ambiguous. The answer to the caller is "invalid params".
    pub fn parse(params: Option<&'a Raw>) -> Result<Self, RawError> {
        let object = required(params)?;
        Ok(Self {
            name: object.get_str("name")?.ok_or(RawError::Missing { name: "name" })?,
            arguments: optional_object(&object, "arguments")?,
            meta: optional_object(&object, "_meta")?,
            object,
        })
    }

    /// Writes the parameters with another name, other arguments, or both; everything else byte for byte.
    ///
    /// # Errors
    /// None in practice: what was ambiguous did not parse.
    pub fn rewrite(&self, name: Option<&str>, arguments: Option<&Raw>) -> Result<Raw, RawError> {
        let name = name.map(Raw::string);
        let splice = self.object.splice().set_if("name", name.as_ref())?;
        Ok(splice.set_if("arguments", arguments)?.finish())
    }
}

/// Parameters that point at a resource.
#[derive(Debug)]
pub struct UriCall<'a> {
    /// The resource.
    pub uri: Cow<'a, str>,
    /// `_meta`, an object; `None` where absent or `null`.
    pub meta: Option<RawStr<'a>>,
    object: Object<'a>,
}

impl<'a> UriCall<'a> {
    /// Looks at parameters.
    ///
    /// # Errors
    /// [`RawError`] where the parameters are no object, `uri` is missing or no string, or one is ambiguous.
    pub fn parse(params: Option<&'a Raw>) -> Result<Self, RawError> {
        let object = required(params)?;
        Ok(Self {
            uri: object.get_str("uri")?.ok_or(RawError::Missing { name: "uri" })?,
            meta: optional_object(&object, "_meta")?,
            object,
        })
    }

    /// Writes the parameters with another URI; everything else byte for byte.
    ///
    /// # Errors
    /// None in practice: what was ambiguous did not parse.
    pub fn rewrite(&self, uri: &str) -> Result<Raw, RawError> {
        Ok(self.object.splice().set("uri", &Raw::string(uri))?.finish())
    }
}

/// What `completion/complete` completes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CompletionTarget<'a> {
    /// An argument of a prompt, by the prompt's name.
    Prompt(Cow<'a, str>),
    /// A variable of a resource template, by its URI or template.
    Resource(Cow<'a, str>),
}

/// The parameters of `completion/complete`.
#[derive(Debug)]
pub struct Completion<'a> {
    /// The thing whose argument is completed.
    pub target: CompletionTarget<'a>,
    object: Object<'a>,
    reference: Object<'a>,
}

impl<'a> Completion<'a> {
    /// Looks at parameters.
    ///
    /// # Errors
    /// [`RawError`] where `ref` is missing, ambiguous or of an unknown type.
    pub fn parse(params: Option<&'a Raw>) -> Result<Self, RawError> {
        let object = required(params)?;
        let reference = object.get_object("ref")?.ok_or(RawError::Missing { name: "ref" })?;
        let target = match reference.get_str("type")?.as_deref() {
            Some("ref/prompt") => CompletionTarget::Prompt(
                reference.get_str("name")?.ok_or(RawError::Missing { name: "name" })?,
            ),
            Some("ref/resource") => CompletionTarget::Resource(
                reference.get_str("uri")?.ok_or(RawError::Missing { name: "uri" })?,
            ),
            _ => return Err(RawError::wrong_type("ref.type", "ref/prompt or ref/resource")),
        };
        Ok(Self { target, object, reference })
    }

    /// Writes the parameters with another prompt name or URI; everything else byte for byte.
    ///
    /// # Errors
    /// None in practice: what was ambiguous did not parse.
    pub fn rewrite(&self, target: &str) -> Result<Raw, RawError> {
        let member = match self.target {
            CompletionTarget::Prompt(_) => "name",
            CompletionTarget::Resource(_) => "uri",
        };
        let reference = self.reference.splice().set(member, &Raw::string(target))?.finish();
        Ok(self.object.splice().set("ref", &reference)?.finish())
    }
}

/// The opaque cursor of a list request; `None` for the first page.
///
/// # Errors
/// [`RawError`] where the parameters are no object, or `cursor` is ambiguous or neither a string nor `null`.
pub fn cursor(params: Option<&Raw>) -> Result<Option<Cow<'_, str>>, RawError> {
    let Some(params) = params else { return Ok(None) };
    let object = params.object()?;
    match object.get("cursor")? {
        Some(value) if value.get() == "null" => Ok(None),
        _ => object.get_str("cursor"),
    }
}

fn required(params: Option<&Raw>) -> Result<Object<'_>, RawError> {
    params.ok_or(RawError::Missing { name: "params" })?.object()
}

fn optional_object<'a>(object: &Object<'a>, name: &'static str) -> Result<Option<RawStr<'a>>, RawError> {
    match object.get(name)? {
        Some(value) if value.get().starts_with('{') => Ok(Some(value)),
        Some(value) if value.get() != "null" => Err(RawError::wrong_type(name, "an object")),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Raw {
        Raw::parse(text.to_owned()).unwrap()
    }

    #[test]
    fn rewritten_call_keeps_every_unknown_field_byte_for_byte() {
        let params = raw(
            r#"{ "task" : {"ttl":6.0e4}, "name":"old" ,"x": 123456789012345678901234567890, "arguments":{"a":1.50}, "z":[ ]}"#,
        );
        let call = ToolCall::parse(Some(&params)).unwrap();
        assert_eq!(call.name, "old");
        assert_eq!(call.arguments.unwrap().get(), r#"{"a":1.50}"#);
        let new = call.rewrite(Some("n\"ew"), Some(&raw(r#"{"b":2}"#))).unwrap();
        assert_eq!(
            new.as_str(),
            r#"{ "task" : {"ttl":6.0e4}, "name":"n\"ew" ,"x": 123456789012345678901234567890, "arguments":{"b":2}, "z":[ ]}"#
        );
    }

    #[test]
    fn escaped_member_name_is_the_name_and_is_the_one_replaced() {
        let params = raw(r#"{"na\u006de":"old"}"#);
        let call = ToolCall::parse(Some(&params)).unwrap();
        assert_eq!(call.name, "old");
        assert_eq!(call.rewrite(Some("new"), None).unwrap().as_str(), r#"{"na\u006de":"new"}"#);
    }

    #[test]
    fn a_call_two_peers_could_read_differently_is_refused() {
        for text in [
            r#"{"name":"safe","name":"evil"}"#,
            r#"{"name":"safe","na\u006de":"evil"}"#,
            r#"{"name":"safe","Name":"evil"}"#,
            r#"{"Name":"evil"}"#,
            r#"{"name":"a","arguments":{},"argument\u017f":{}}"#,
        ] {
            let params = raw(text);
            assert!(matches!(ToolCall::parse(Some(&params)), Err(RawError::Ambiguous { .. })), "{text}");
        }
    }

    #[test]
    fn arguments_that_are_absent_or_null_can_be_set() {
        let absent = raw(r#"{"name":"t"}"#);
        let null = raw(r#"{"name":"t","arguments":null}"#);
        for params in [&absent, &null] {
            let call = ToolCall::parse(Some(params)).unwrap();
            assert!(call.arguments.is_none());
            let new = call.rewrite(None, Some(&raw(r#"{"a":1}"#))).unwrap();
            assert_eq!(new.as_str(), r#"{"name":"t","arguments":{"a":1}}"#);
        }
    }

    #[test]
    fn params_of_the_wrong_shape_are_refused() {
        for text in
            [r#"[]"#, r#"{}"#, r#"{"name":1}"#, r#"{"name":"t","arguments":[]}"#, r#"{"name":"t","_meta":1}"#]
        {
            assert!(ToolCall::parse(Some(&raw(text))).is_err(), "{text}");
        }
        assert!(ToolCall::parse(None).is_err());
    }

    #[test]
    fn uri_is_rewritten_in_place() {
        let params = raw(r#"{"uri":"a:\/b","q":1}"#);
        let call = ResourceRead::parse(Some(&params)).unwrap();
        assert_eq!(call.uri, "a:/b");
        assert_eq!(call.rewrite("c:d").unwrap().as_str(), r#"{"uri":"c:d","q":1}"#);
    }

    #[test]
    fn completion_finds_and_renames_its_target() {
        let params = raw(
            r#"{"ref":{"type":"ref/prompt","name":"p","title":"x"},"argument":{"name":"a","value":"v"}}"#,
        );
        let completion = Completion::parse(Some(&params)).unwrap();
        assert_eq!(completion.target, CompletionTarget::Prompt("p".into()));
        assert_eq!(
            completion.rewrite("q").unwrap().as_str(),
            r#"{"ref":{"type":"ref/prompt","name":"q","title":"x"},"argument":{"name":"a","value":"v"}}"#
        );
    }

    #[test]
    fn cursor_is_a_string_or_nothing() {
        assert_eq!(cursor(None).unwrap(), None);
        assert_eq!(cursor(Some(&raw("{}"))).unwrap(), None);
        assert_eq!(cursor(Some(&raw(r#"{"cursor":null}"#))).unwrap(), None);
        assert_eq!(cursor(Some(&raw(r#"{"cursor":"x"}"#))).unwrap().as_deref(), Some("x"));
        assert!(cursor(Some(&raw(r#"{"cursor":1}"#))).is_err());
    }
}
