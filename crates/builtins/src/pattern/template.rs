//! Replacement texts in Python's notation, compiled once.
//!
//! Not the regex crate's notation: there `$1` is a group, here it is two plain characters, as in the files that are
//! loaded. A group that does not exist is an error when the configuration is read, not an empty text later.

use regex::{Captures, Regex};

/// A replacement text that cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TemplateError {
    /// The pattern has no such group.
    #[error("the replacement of {owner} names group `{group}`, which its pattern does not have")]
    UnknownGroup {
        /// The entry the replacement stands in.
        owner: String,
        /// The group it names.
        group: String,
    },
    /// A `\g` without `<name>`.
    #[error("the replacement of {owner} has `\\g` without `<name>` or `<number>`")]
    BadGroup {
        /// The entry the replacement stands in.
        owner: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Group(usize),
}

/// A compiled replacement text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

impl Template {
    /// Reads `source` for `regex`; `owner` is the entry that errors name.
    pub(crate) fn new(source: &str, regex: &Regex, owner: &str) -> Result<Self, TemplateError> {
        let mut reader = Reader { parts: Vec::new(), text: String::new(), regex, owner };
        let mut rest = source;
        while let Some(at) = rest.find('\\') {
            reader.text.push_str(&rest[..at]);
            rest = reader.escape(&rest[at + 1..])?;
        }
        reader.text.push_str(rest);
        reader.flush();
        Ok(Self(reader.parts))
    }

    /// The replacement, where it is the same for every match.
    pub(crate) fn fixed(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Appends the replacement of one match to `out`.
    pub(crate) fn append(&self, captures: &Captures<'_>, out: &mut String) {
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Group(n) => out.push_str(captures.get(*n).map_or("", |m| m.as_str())),
            }
        }
    }
}

struct Reader<'a> {
    parts: Vec<Part>,
    text: String,
    regex: &'a Regex,
    owner: &'a str,
}

impl Reader<'_> {
    fn flush(&mut self) {
        if !self.text.is_empty() {
            self.parts.push(Part::Text(std::mem::take(&mut self.text)));
        }
    }

    /// Reads what follows a backslash and returns the rest of the source.
    fn escape<'s>(&mut self, after: &'s str) -> Result<&'s str, TemplateError> {
        let Some(c) = after.chars().next() else {
            self.text.push('\\');
            return Ok(after);
        };
        let rest = &after[c.len_utf8()..];
        match c {
            'g' => return self.named(rest),
            '0' => self.text.push('\0'),
            '1'..='9' => {
                let digits = after.bytes().take(2).take_while(u8::is_ascii_digit).count();
                self.group(&after[..digits])?;
                return Ok(&after[digits..]);
            }
            'n' => self.text.push('\n'),
            'r' => self.text.push('\r'),
            't' => self.text.push('\t'),
            '\\' => self.text.push('\\'),
            other => self.text.extend(['\\', other]),
        }
        Ok(rest)
    }

    fn named<'s>(&mut self, rest: &'s str) -> Result<&'s str, TemplateError> {
        let inner = rest.strip_prefix('<').and_then(|r| r.split_once('>'));
        let Some((name, rest)) = inner else {
            return Err(TemplateError::BadGroup { owner: self.owner.to_owned() });
        };
        self.group(name)?;
        Ok(rest)
    }

    fn group(&mut self, name: &str) -> Result<(), TemplateError> {
        let by_number = name.parse().ok().filter(|n| *n < self.regex.captures_len());
        let by_name = || self.regex.capture_names().position(|n| n == Some(name));
        let Some(n) = by_number.or_else(by_name) else {
            return Err(TemplateError::UnknownGroup { owner: self.owner.to_owned(), group: name.to_owned() });
        };
        self.flush();
        self.parts.push(Part::Group(n));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replace(pattern: &str, template: &str, text: &str) -> Result<String, TemplateError> {
        let regex = Regex::new(pattern).unwrap();
        let template = Template::new(template, &regex, "words[0]")?;
        let mut out = String::new();
        template.append(&regex.captures(text).unwrap(), &mut out);
        Ok(out)
    }

    #[test]
    fn groups_by_number_and_name_are_filled_in() {
        assert_eq!(replace("(a)(b)", r"\2-\1", "ab").unwrap(), "b-a");
        assert_eq!(replace("(?P<x>a)b", r"[\g<x>|\g<1>|\g<0>]", "ab").unwrap(), "[a|a|ab]");
    }

    #[test]
    fn dollar_signs_are_plain_text() {
        assert_eq!(replace("(a)", "$1 ${x}", "a").unwrap(), "$1 ${x}");
    }

    #[test]
    fn an_unknown_group_is_an_error() {
        assert!(matches!(replace("(a)", r"\2", "a"), Err(TemplateError::UnknownGroup { .. })));
        assert_eq!(replace("a", r"\gx", "a"), Err(TemplateError::BadGroup { owner: "words[0]".into() }));
    }

    #[test]
    fn escapes_and_a_lone_backslash_are_text() {
        assert_eq!(replace("a", r"\n\t\\\q\", "a").unwrap(), "\n\t\\\\q\\");
    }
}
