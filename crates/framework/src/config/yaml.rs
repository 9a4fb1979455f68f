//! YAML text to a tree of [`Node`]s.
//!
//! Built on the parser's events instead of a serde deserialiser, because only events carry the place and the
//! quoting of every key and value. Aliases are copied in, so their size is counted before the copy; duplicate
//! keys, tags and keys that are no text are errors, all found in one pass.

use std::collections::HashMap;
use std::sync::Arc;

use granit_parser::{Event, Parser, ScalarStyle, Tag};
use indexmap::map::Entry;

use super::Dialect;
use super::diagnostic::{Diagnostic, DiagnosticKind};
use super::node::{Flags, Map, MapEntry, Node, Value};
use super::scalar::{self, Flavour};
use super::secret::{self, MASK};
use super::source::{Limits, Source, Span};
use super::template::Rendered;

/// Parses the text of a source (or what its template rendered to); none for an empty document.
pub(super) fn parse(
    source: &Arc<Source>,
    rendered: Option<&Rendered>,
    dialect: Dialect,
    limits: &Limits,
) -> Result<Option<Node>, Vec<Diagnostic>> {
    let text = rendered.map_or(source.text(), |r| r.text.as_str());
    let mut builder = Builder::new(source, rendered, dialect, limits);
    let mut options = granit_parser::Options::default();
    options.set_emit_comments(false);
    options.flow_nesting_limit = limits.depth;
    options.block_nesting_limit = limits.depth;
    for item in Parser::new_from_str_with_options(text, options) {
        let outcome = match item {
            Ok((event, span)) => builder.event(event, &span),
            Err(error) => {
                let offset = error.marker().byte_offset().unwrap_or(0);
                Err(builder.problem(
                    DiagnosticKind::Syntax,
                    offset,
                    1,
                    format!("not valid YAML: {}", error.info()),
                ))
            }
        };
        // After a broken structure or a reached limit the rest would only produce echoes.
        if let Err(fatal) = outcome {
            builder.problems.push(fatal);
            break;
        }
    }
    source.keep_secret(builder.secrets);
    if builder.problems.is_empty() { Ok(builder.root) } else { Err(builder.problems) }
}

struct Builder<'s> {
    source: &'s Arc<Source>,
    rendered: Option<&'s Rendered>,
    flavour: Flavour,
    limits: &'s Limits,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Anchored>,
    root: Option<Node>,
    documents: usize,
    nodes: usize,
    alias_nodes: usize,
    problems: Vec<Diagnostic>,
    secrets: Vec<String>,
}

struct Anchored {
    node: Node,
    size: usize,
}

struct Frame {
    span: Span,
    anchor: usize,
    size: usize,
    secret: bool,
    /// Whether it is, or is in, what may hold secrets under any key.
    holds_anything: bool,
    body: Body,
}

/// A key whose value comes next.
struct Key {
    text: String,
    span: Span,
    /// Whether a template printed any of it.
    computed: bool,
}

enum Body {
    List(Vec<Node>),
    Map { map: Box<Map>, key: Option<Key>, merges: Vec<Node> },
}

type Step = Result<(), Diagnostic>;

impl<'s> Builder<'s> {
    fn new(
        source: &'s Arc<Source>,
        rendered: Option<&'s Rendered>,
        dialect: Dialect,
        limits: &'s Limits,
    ) -> Self {
        let flavour = if dialect.is_foreign() { Flavour::Yaml11 } else { Flavour::Core };
        Self {
            source,
            rendered,
            flavour,
            limits,
            stack: Vec::new(),
            anchors: HashMap::new(),
            root: None,
            documents: 0,
            nodes: 0,
            alias_nodes: 0,
            problems: Vec::new(),
            secrets: Vec::new(),
        }
    }

    fn span(&self, offset: usize, width: usize) -> Span {
        self.source.span_at(self.rendered.map_or(offset, |r| r.origin(offset)), width)
    }

    fn problem(&self, kind: DiagnosticKind, offset: usize, width: usize, message: String) -> Diagnostic {
        Diagnostic::new(kind, message).at(self.span(offset, width))
    }

    fn event(&mut self, event: Event<'_>, place: &granit_parser::Span) -> Step {
        let start = place.start.byte_offset().unwrap_or(0);
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    let message = "a second document starts here; one file holds one document".to_owned();
                    return Err(self.problem(DiagnosticKind::Syntax, start, 3, message));
                }
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.scalar(&text, style, anchor, tag.as_deref(), place)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), "seq", start)?;
                self.open(Body::List(Vec::new()), anchor, start)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), "map", start)?;
                self.open(Body::Map { map: Box::default(), key: None, merges: Vec::new() }, anchor, start)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(id) => self.alias(id, start),
            _ => Ok(()),
        }
    }

    fn check_tag(&self, tag: Option<&Tag>, allowed: &str, offset: usize) -> Step {
        match tag {
            Some(tag) if !tag.is_yaml_core_schema_tag(allowed) => Err(self.problem(
                DiagnosticKind::Syntax,
                offset,
                1,
                "tags other than YAML's own are not supported".to_owned(),
            )),
            _ => Ok(()),
        }
    }

    fn count(&mut self, offset: usize, nodes: usize) -> Step {
        self.nodes += nodes;
        if self.nodes > self.limits.nodes {
            let message = format!("the file holds more than {} values", self.limits.nodes);
            return Err(self.problem(DiagnosticKind::Limit, offset, 1, message));
        }
        Ok(())
    }

    fn open(&mut self, body: Body, anchor: usize, offset: usize) -> Step {
        self.count(offset, 1)?;
        if self.stack.len() >= self.limits.depth {
            let message = format!("nested more than {} levels deep", self.limits.depth);
            return Err(self.problem(DiagnosticKind::Limit, offset, 1, message));
        }
        if self.awaits_key() {
            return Err(self.problem(
                DiagnosticKind::Syntax,
                offset,
                1,
                "a key must be a plain text".to_owned(),
            ));
        }
        let (span, secret, holds_anything) = (self.span(offset, 1), self.in_secret(), self.in_anything());
        self.stack.push(Frame { span, anchor, size: 1, secret, holds_anything, body });
        Ok(())
    }

    fn awaits_key(&self) -> bool {
        matches!(self.stack.last(), Some(Frame { body: Body::Map { key: None, .. }, .. }))
    }

    /// Whether the value that comes next stands under a telling key.
    fn in_secret(&self) -> bool {
        self.stack.last().is_some_and(|frame| {
            frame.secret
                || matches!(&frame.body, Body::Map { key: Some(key), .. } if secret::is_secret_key(&key.text))
        })
    }

    /// Whether what opens next may hold secrets under any key.
    fn in_anything(&self) -> bool {
        self.stack.last().is_some_and(|frame| {
            frame.holds_anything
                || matches!(&frame.body, Body::Map { key: Some(key), .. } if secret::holds_anything(&key.text))
        })
    }

    fn close(&mut self) -> Step {
        let Some(frame) = self.stack.pop() else { return Ok(()) };
        let value = match frame.body {
            Body::List(items) => Value::List(items),
            Body::Map { mut map, merges, .. } => {
                self.merge_in(&mut map, merges);
                Value::Map(map)
            }
        };
        self.finish(Node::new(value, frame.span), frame.anchor, frame.size);
        Ok(())
    }

    /// `<<: *base`: keys of the bases that the map does not have itself.
    fn merge_in(&mut self, map: &mut Map, merges: Vec<Node>) {
        for base in merges {
            let span = base.span().clone();
            match base.into_value() {
                Value::Map(entries) => {
                    for (key, entry) in *entries {
                        map.entry(key).or_insert(entry);
                    }
                }
                Value::List(items) => self.merge_in(map, items),
                _ => self.problems.push(
                    Diagnostic::new(DiagnosticKind::Syntax, "`<<` wants a map or a list of maps").at(span),
                ),
            }
        }
    }

    fn alias(&mut self, id: usize, offset: usize) -> Step {
        let Some(anchored) = self.anchors.get(&id) else {
            let message = "an alias cannot stand inside what it names".to_owned();
            return Err(self.problem(DiagnosticKind::Syntax, offset, 1, message));
        };
        let size = anchored.size;
        self.alias_nodes += size;
        if self.alias_nodes > self.limits.alias_nodes {
            let message = format!("aliases expand to more than {} values", self.limits.alias_nodes);
            return Err(self.problem(DiagnosticKind::Limit, offset, 1, message));
        }
        let node = anchored.node.clone();
        self.count(offset, size)?;
        if self.awaits_key() {
            let text = node.written().unwrap_or_default().to_owned();
            let key = Key { text, span: self.span(offset, 1), computed: node.is_expanded() };
            return self.key(key, false);
        }
        self.finish(node, 0, size);
        Ok(())
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        place: &granit_parser::Span,
    ) -> Step {
        let start = place.start.byte_offset().unwrap_or(0);
        let end = place.end.byte_offset().unwrap_or(start);
        self.count(start, 1)?;
        if text.len() > self.limits.scalar_bytes {
            let message = format!("a value longer than {} bytes", self.limits.scalar_bytes);
            return Err(self.problem(DiagnosticKind::Limit, start, 1, message));
        }
        let plain = style == ScalarStyle::Plain;
        let one_line = place.start.line() == place.end.line();
        let width = if one_line { place.end.col().saturating_sub(place.start.col()).max(1) } else { 1 };
        let computed = self.rendered.is_some_and(|r| r.is_computed(start, end));
        let span = self.span(start, if computed { 2 } else { width });
        if self.awaits_key() {
            return self.key(Key { text: text.to_owned(), span, computed }, plain);
        }
        let value = self.typed(text, plain, tag, start)?;
        let mut node = Node::new(value, span);
        if plain {
            node = node.plain(text);
        }
        if computed {
            node.flag(Flags::EXPANDED);
        } else if self.in_secret() {
            self.remember_secret(text, 4);
        } else if self.stack.last().is_some_and(|frame| frame.holds_anything) {
            self.remember_secret(text, 8);
        }
        self.finish(node, anchor, 1);
        Ok(())
    }

    fn remember_secret(&mut self, text: &str, shortest: usize) {
        // Very short texts would blot out half of every line; numbers of secrets are bounded like values.
        for line in
            text.lines().map(str::trim).filter(|line| line.len() >= shortest && !line.starts_with("${"))
        {
            if self.secrets.len() < 10_000 {
                self.secrets.push(line.to_owned());
            }
        }
    }

    fn typed(&self, text: &str, plain: bool, tag: Option<&Tag>, offset: usize) -> Result<Value, Diagnostic> {
        let Some(tag) = tag else {
            let resolved = || scalar::resolve(text, self.flavour);
            return Ok(if plain { resolved() } else { Value::String(text.to_owned()) });
        };
        let core = |suffix| tag.is_yaml_core_schema_tag(suffix);
        if core("str")
            || (tag.handle().is_empty() && tag.suffix() == "!")
            || tag.handle() == "!" && tag.suffix().is_empty()
        {
            return Ok(Value::String(text.to_owned()));
        }
        let value = scalar::resolve(text, self.flavour);
        let fits = match &value {
            Value::Null => core("null"),
            Value::Bool(_) => core("bool"),
            Value::Number(_) => core("int") || core("float"),
            _ => false,
        };
        if fits {
            return Ok(value);
        }
        let message =
            "tags other than YAML's own, or a tag that does not fit its value, are not supported".to_owned();
        Err(self.problem(DiagnosticKind::Syntax, offset, 1, message))
    }

    fn key(&mut self, given: Key, plain: bool) -> Step {
        let Some(Frame { body: Body::Map { map, key, .. }, .. }) = self.stack.last_mut() else {
            return Ok(());
        };
        let is_merge = plain && given.text == "<<";
        if let Some(first) = map.get(&given.text).filter(|_| !is_merge) {
            let computed = given.computed || first.has_hidden_key();
            let shown: String =
                if computed { MASK.to_owned() } else { given.text.chars().take(60).collect() };
            let duplicate = Diagnostic::new(
                DiagnosticKind::Duplicate,
                format!("the key `{shown}` stands twice in one map"),
            )
            .at(given.span.clone())
            .related(first.key_span.clone(), "it stands first here");
            self.problems.push(duplicate);
        }
        *key = Some(given);
        Ok(())
    }

    /// Hands a complete value to what holds it.
    fn finish(&mut self, node: Node, anchor: usize, size: usize) {
        if anchor != 0 {
            self.anchors.insert(anchor, Anchored { node: node.clone(), size });
        }
        let Some(frame) = self.stack.last_mut() else {
            self.root.get_or_insert(node);
            return;
        };
        frame.size += size;
        match &mut frame.body {
            Body::List(items) => items.push(node),
            Body::Map { map, key, merges } => {
                let Some(Key { text: name, span: key_span, computed }) = key.take() else { return };
                let mut node = node;
                if computed {
                    node.flag(Flags::KEY_COMPUTED);
                }
                if name == "<<" && matches!(node.value(), Value::Map(_) | Value::List(_)) {
                    merges.push(node);
                } else if let Entry::Vacant(vacant) = map.entry(name) {
                    vacant.insert(MapEntry { key_span, node });
                }
            }
        }
    }
}
