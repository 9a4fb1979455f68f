//! Jinja in files of the ContextForge format: the whole text is a template over `env`, before YAML sees it.
//!
//! Rendering normally destroys positions, and it would also eat the `{{event}}` of a webhook template. So the text
//! is first cut into pieces: literal stretches, expressions, statements. Only a marker stands for each literal
//! stretch while the engine runs; afterwards markers become their text again. What the engine printed is therefore
//! known exactly ([`Rendered::is_computed`]), every other character knows where it was written
//! ([`Rendered::origin`]), and an expression that does not start at `env`, or at a name the template itself has
//! bound, is simply part of a literal stretch.
//!
//! No loader, no autoescape, no globals that could grow without bound; steps and output are limited.

mod cut;

use std::io::{self, Write};
use std::sync::Arc;

use minijinja::value::{Kwargs, ValueKind, from_args};
use minijinja::{AutoEscape, Error, ErrorKind, State, UndefinedBehavior, Value};

use super::diagnostic::{Diagnostic, DiagnosticKind};
use super::environment::Environment;
use super::source::{Limits, Source};
use cut::{Cut, Piece, PieceKind};

/// Marks a piece's number in what the engine renders; removed from variables so that none can forge it.
const OPEN: char = '\u{10fff0}';
const CLOSE: char = '\u{10fff1}';

/// A rendered text that knows where its characters come from.
pub(super) struct Rendered {
    /// The text for the YAML parser.
    pub(super) text: String,
    stretches: Vec<Stretch>,
}

struct Stretch {
    start: usize,
    origin: usize,
    literal: bool,
}

impl Rendered {
    /// Where in the template the character at `offset` of the rendered text was written: for computed text, the
    /// start of its expression.
    pub(super) fn origin(&self, offset: usize) -> usize {
        let index = self.stretches.partition_point(|s| s.start <= offset);
        match index.checked_sub(1).and_then(|i| self.stretches.get(i)) {
            Some(stretch) if stretch.literal => stretch.origin + (offset - stretch.start),
            Some(stretch) => stretch.origin,
            None => offset,
        }
    }

    /// Whether any of the rendered range was computed.
    pub(super) fn is_computed(&self, start: usize, end: usize) -> bool {
        let first = self.stretches.partition_point(|s| s.start <= start).saturating_sub(1);
        self.stretches.iter().skip(first).take_while(|s| s.start < end.max(start + 1)).any(|s| !s.literal)
    }
}

/// Renders a template; none when the text holds nothing to render.
pub(super) fn render(
    source: &Arc<Source>,
    env: &Environment,
    limits: &Limits,
) -> Result<Option<Rendered>, Diagnostic> {
    let text = source.text();
    if !["{{", "{%", "{#"].iter().any(|mark| text.contains(mark)) {
        return Ok(None);
    }
    let cut = cut::cut(text).map_err(|problem| {
        Diagnostic::new(DiagnosticKind::Template, problem.message).at(source.span_at(problem.offset, 2))
    })?;
    if cut.is_literal(text) {
        return Ok(None);
    }
    let (script, script_lines) = script(text, &cut);
    let fail = |error: &Error| describe(source, &cut, &script_lines, error, limits);
    let output = run(&script, env, limits).map_err(|error| fail(&error))?;
    join(text, &cut, &output, limits.file_bytes).map(Some).ok_or_else(|| {
        let message = format!("the rendered template is larger than {} bytes", limits.file_bytes);
        Diagnostic::new(DiagnosticKind::Limit, message).at(source.span_at(0, 1))
    })
}

/// The text the engine runs: markers for literal stretches, tags on lines of their own (inside the tag, so that
/// nothing is printed by it); and for each tag the line it starts at.
fn script(text: &str, cut: &Cut) -> (String, Vec<(usize, usize)>) {
    let (mut script, mut lines, mut line) = (String::new(), Vec::new(), 1);
    for (number, piece) in cut.pieces.iter().enumerate() {
        let inner = text.get(piece.start..piece.end).unwrap_or_default();
        let marker = format!("{OPEN}{number}{CLOSE}");
        match piece.kind {
            PieceKind::Literal => script.push_str(&marker),
            PieceKind::Expression => script.push_str(&format!("{marker}{{{{{inner}\n}}}}")),
            PieceKind::Statement => script.push_str(&format!("{{%{inner}\n%}}")),
        }
        if piece.kind != PieceKind::Literal {
            lines.push((line, number));
            line += inner.matches('\n').count() + 1;
        }
    }
    (script, lines)
}

fn run(script: &str, env: &Environment, limits: &Limits) -> Result<String, Error> {
    let mut engine = minijinja::Environment::new();
    engine.set_fuel(Some(limits.template_steps));
    engine.set_recursion_limit(50);
    engine.set_auto_escape_callback(|_| AutoEscape::None);
    engine.set_undefined_behavior(UndefinedBehavior::Lenient);
    engine.set_unknown_method_callback(python_method);
    // `namespace` could double a text with every turn of a loop; the others have no use here.
    for global in ["namespace", "debug", "dict"] {
        engine.remove_global(global);
    }
    engine.remove_filter("pprint");
    let clean = |value: &str| value.replace([OPEN, CLOSE], "");
    let variables = Value::from_pairs(env.iter().map(|(name, value)| (name.to_owned(), clean(value))));
    let root = Value::from_pairs([("env", variables)]);
    let mut output = Bounded { bytes: Vec::new(), room: limits.file_bytes };
    engine.template_from_str(script)?.render_captured_to(root, &mut output)?;
    Ok(String::from_utf8_lossy(&output.bytes).into_owned())
}

/// The methods of Python's maps and texts that such files use: `env.get('X', 'y')`, `env.X.lower()`.
fn python_method(
    state: &mut State<'_, '_>,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    match (value.kind(), method) {
        (ValueKind::Map, "get") => {
            let (key, default): (Value, Option<Value>) = from_args(args)?;
            let found = value.get_item(&key)?;
            let default = default.unwrap_or_else(|| Value::from(()));
            Ok(if found.is_undefined() { default } else { found })
        }
        (ValueKind::String, "lower" | "upper" | "title" | "capitalize") => {
            let (): () = from_args(args)?;
            state.apply_filter(method, std::slice::from_ref(value))
        }
        (ValueKind::String, "strip") => {
            let (characters, _rest): (Option<String>, Kwargs) = from_args(args)?;
            let mut all = vec![value.clone()];
            all.extend(characters.map(Value::from));
            state.apply_filter("trim", &all)
        }
        _ => Err(Error::new(ErrorKind::UnknownMethod, format!("there is no method `{method}` here"))),
    }
}

struct Bounded {
    bytes: Vec<u8>,
    room: usize,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.room {
            return Err(io::Error::other("too much output"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Puts literal stretches back in the place of their markers; none when the result is too large.
fn join(text: &str, cut: &Cut, output: &str, limit: usize) -> Option<Rendered> {
    let mut rendered = Rendered { text: String::new(), stretches: Vec::new() };
    let (mut rest, mut expression_at) = (output, 0);
    while !rest.is_empty() {
        let (computed, after) = match rest.find(OPEN) {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        rendered.append(computed, expression_at, false);
        let marker = after.strip_prefix(OPEN).and_then(|marked| marked.split_once(CLOSE));
        let Some((number, tail)) = marker else { break };
        rest = tail;
        let piece: Option<&Piece> = number.parse::<usize>().ok().and_then(|n| cut.pieces.get(n));
        match piece {
            Some(piece) if piece.kind == PieceKind::Literal => {
                rendered.append(text.get(piece.start..piece.end).unwrap_or_default(), piece.start, true);
            }
            Some(piece) => expression_at = piece.tag_start,
            None => {}
        }
        if rendered.text.len() > limit {
            return None;
        }
    }
    (rendered.text.len() <= limit).then_some(rendered)
}

impl Rendered {
    fn append(&mut self, text: &str, origin: usize, literal: bool) {
        if !text.is_empty() {
            self.stretches.push(Stretch { start: self.text.len(), origin, literal });
            self.text.push_str(text);
        }
    }
}

/// The engine's error at the tag it came from. Its detail is shown only where it speaks of the template and not
/// of values.
fn describe(
    source: &Arc<Source>,
    cut: &Cut,
    lines: &[(usize, usize)],
    error: &Error,
    limits: &Limits,
) -> Diagnostic {
    let index = lines.partition_point(|(line, _)| *line <= error.line().unwrap_or(1)).checked_sub(1);
    let piece = index.and_then(|i| lines.get(i)).and_then(|(_, number)| cut.pieces.get(*number));
    let span = source.span_at(piece.map_or(0, |p| p.tag_start), 2);
    let (kind, message) = match error.kind() {
        ErrorKind::OutOfFuel => {
            (DiagnosticKind::Limit, format!("the template takes more than {} steps", limits.template_steps))
        }
        ErrorKind::WriteFailure => {
            (DiagnosticKind::Limit, format!("the template prints more than {} bytes", limits.file_bytes))
        }
        kind @ (ErrorKind::SyntaxError
        | ErrorKind::UnknownFilter
        | ErrorKind::UnknownFunction
        | ErrorKind::UnknownTest
        | ErrorKind::UnknownMethod) => {
            let detail = error.detail().map(|d| format!(": {d}")).unwrap_or_default();
            (DiagnosticKind::Template, format!("the template fails: {kind}{detail}"))
        }
        kind => (DiagnosticKind::Template, format!("the template fails: {kind}")),
    };
    Diagnostic::new(kind, message).at(span)
}
