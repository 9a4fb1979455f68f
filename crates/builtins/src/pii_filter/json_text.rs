//! Masks texts, and texts that are JSON themselves.
//!
//! A tool often answers with JSON written into a text. Two things go wrong when such a text is treated as prose: data
//! hides behind escapes (`01\/02\/1980`, `a\u0040b.example`), and a mask put in the place of a bare number leaves
//! something that is no JSON any more. So in a text that looks like JSON, string literals with escapes are also read
//! decoded, down to JSON within JSON, and the mask of a bare number gets quotation marks. Everything else of the text
//! keeps its bytes: it is not parsed and written again.

use std::ops::Range;

use memchr::{memchr, memchr2, memmem};

use super::{category::Category, config::Settings, labels::LABEL_REACH, scanner::Finding};

/// A replacement in a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Replacement {
    /// Bytes of the text.
    pub(super) range: Range<usize>,
    /// What stands there afterwards.
    pub(super) with: String,
}

/// What was found in a text, and what it comes to.
#[derive(Debug, Default)]
pub(super) struct Masked {
    /// Categories found, one for each match.
    pub(super) found: Vec<Category>,
    /// Replacements in order, without overlap.
    pub(super) replacements: Vec<Replacement>,
}

/// Finds and masks what is in `text`, the value of the member `key`; looks into JSON within JSON `depth` levels deep.
pub(super) fn mask(settings: &Settings, text: &str, key: &str, depth: usize) -> Masked {
    let findings = settings.scanner.find(text, key);
    let escapes = depth > 0 && hides_escapes(text);
    if findings.is_empty() && !escapes {
        return Masked::default();
    }
    let literals = if looks_like_json(text) { literals(text) } else { Vec::new() };
    let mut masked = Masked::default();
    let mut decoded = Vec::new();
    if escapes {
        for literal in literals.iter().filter(|l| l.escaped) {
            if let Some(inner) = decoded_literal(settings, text, literal, depth) {
                decoded.push((literal.range.clone(), inner));
            }
        }
    }
    let mut decoded = decoded.into_iter().peekable();
    for finding in findings {
        while let Some((range, inner)) = decoded.next_if(|(range, _)| range.start < finding.end) {
            take_decoded(&mut masked, range, inner);
        }
        // Inside a literal that was read decoded, that reading counts.
        let inside = enclosing(&literals, &finding).is_some_and(|l| l.escaped && escapes);
        if !inside && masked.replacements.last().is_none_or(|r| r.range.end <= finding.start) {
            masked.found.push(finding.category);
            masked.replacements.push(replacement(settings, text, &finding, &literals));
        }
    }
    for (range, inner) in decoded {
        take_decoded(&mut masked, range, inner);
    }
    masked
}

fn take_decoded(masked: &mut Masked, range: Range<usize>, inner: Masked) {
    masked.found.extend(inner.found);
    masked
        .replacements
        .extend(inner.replacements.into_iter().map(|r| Replacement { range: range.clone(), ..r }));
}

fn replacement(settings: &Settings, text: &str, finding: &Finding, literals: &[Literal]) -> Replacement {
    let with = masked_text(settings, text, finding);
    let range = finding.start..finding.end;
    let bare = !literals.is_empty()
        && text[range.clone()].bytes().all(|b| b.is_ascii_digit())
        && enclosing(literals, finding).is_none()
        && stands_as_value(text.as_bytes(), &range);
    let with = if bare { format!("\"{with}\"") } else { with };
    Replacement { range, with }
}

/// What stands for one match.
pub(super) fn masked_text(settings: &Settings, text: &str, finding: &Finding) -> String {
    let own = finding.custom.and_then(|i| settings.custom_strategies.get(usize::from(i)).copied().flatten());
    let strategy = own.unwrap_or(settings.masks.strategy);
    settings.masks.mask(strategy, finding.category, &text[finding.start..finding.end])
}

fn stands_as_value(bytes: &[u8], range: &Range<usize>) -> bool {
    let before = bytes[..range.start].trim_ascii_end().last();
    let after = bytes[range.end..].trim_ascii_start().first();
    matches!(before, Some(b':' | b',' | b'[')) && matches!(after, Some(b',' | b'}' | b']'))
}

/// A string literal, quotation marks included.
#[derive(Debug)]
struct Literal {
    range: Range<usize>,
    escaped: bool,
}

fn enclosing<'a>(literals: &'a [Literal], finding: &Finding) -> Option<&'a Literal> {
    let next = literals.partition_point(|l| l.range.start <= finding.start);
    literals[..next].last().filter(|l| finding.start < l.range.end)
}

fn looks_like_json(text: &str) -> bool {
    matches!(text.trim_ascii_start().as_bytes().first(), Some(b'{' | b'['))
}

/// Whether a text that looks like JSON has escapes that could hide something a scan of the raw text does not see.
fn hides_escapes(text: &str) -> bool {
    let bytes = text.as_bytes();
    looks_like_json(text)
        && memchr(b'\\', bytes).is_some_and(|first| {
            let rest = &bytes[first..];
            [&b"\\u00"[..], b"\\/", b"\\\""].iter().any(|escape| memmem::find(rest, escape).is_some())
        })
}

fn literals(text: &str) -> Vec<Literal> {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(start) = memchr(b'"', &bytes[at..]).map(|n| at + n) {
        let mut escaped = false;
        at = start + 1;
        let end = loop {
            match memchr2(b'"', b'\\', &bytes[at.min(bytes.len())..]).map(|n| at + n) {
                Some(i) if bytes[i] == b'"' => break Some(i + 1),
                Some(i) => {
                    escaped = true;
                    at = i + 2;
                }
                None => break None,
            }
        };
        let Some(end) = end else { break };
        out.push(Literal { range: start..end, escaped });
        at = end;
    }
    out
}

/// Reads a literal decoded. `None` where it is no valid literal; else what it comes to, as one replacement at most.
fn decoded_literal(settings: &Settings, text: &str, literal: &Literal, depth: usize) -> Option<Masked> {
    let inner: String = serde_json::from_str(&text[literal.range.clone()]).ok()?;
    // Its label may stand before it: the last bytes before the literal are scanned with it.
    let from = text.floor_char_boundary(literal.range.start.saturating_sub(LABEL_REACH));
    let before = &text[from..literal.range.start];
    let mut masked = Masked::default();
    if looks_like_json(&inner) {
        masked = mask(settings, &inner, "", depth - 1);
    } else {
        let joined = format!("{before}{inner}");
        for finding in settings.scanner.find(&joined, "").into_iter().filter(|f| f.start >= before.len()) {
            masked.found.push(finding.category);
            let with = masked_text(settings, &joined, &finding);
            let range = finding.start - before.len()..finding.end - before.len();
            masked.replacements.push(Replacement { range, with });
        }
    }
    if masked.replacements.is_empty() {
        return Some(masked);
    }
    let with = serde_json::to_string(&apply(&inner, &masked.replacements)).ok()?;
    Some(Masked {
        found: masked.found,
        replacements: vec![Replacement { range: literal.range.clone(), with }],
    })
}

/// Applies replacements that are in order and do not overlap.
pub(super) fn apply(text: &str, replacements: &[Replacement]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for replacement in replacements {
        out.push_str(&text[done..replacement.range.start]);
        out.push_str(&replacement.with);
        done = replacement.range.end;
    }
    out.push_str(&text[done..]);
    out
}
