//! The steps in their order, for one argument.

use std::{borrow::Cow, sync::Arc};

use mortise_plugin_api::BuildError;
use regex::Regex;
use unicode_normalization::{UnicodeNormalization, is_nfc, is_nfd, is_nfkc, is_nfkd};

use super::{
    config::{CaseStrategy, Config, UnicodeForm},
    dates, numbers, space,
};
use crate::pattern::{Case, compile};

/// A compiled configuration.
#[derive(Debug)]
pub(super) struct Normalizer {
    main: Config,
    overrides: Vec<(Arc<Regex>, Config)>,
}

impl Normalizer {
    pub(super) fn new(config: &Config) -> Result<Self, BuildError> {
        let overrides = config
            .field_overrides
            .iter()
            .enumerate()
            .map(|(i, o)| {
                let regex = compile(&o.pattern, Case::Sensitive, &format!("field_overrides[{i}].pattern"))?;
                Ok((regex, o.over(config)))
            })
            .collect::<Result<Vec<_>, BuildError>>()?;
        Ok(Self { main: config.clone(), overrides })
    }

    /// The text of the argument `key` in its one form; borrowed where it is in it already.
    pub(super) fn normalize<'t>(&self, key: &str, text: &'t str) -> Cow<'t, str> {
        let own = self.overrides.iter().find(|(regex, _)| regex.is_match(key)).map(|(_, config)| config);
        let config = own.unwrap_or(&self.main);
        let look = Look::at(text.as_bytes());
        let mut text = Cow::Borrowed(text);
        if config.enable_unicode && look.unusual {
            step(&mut text, |t| unicode(t, config.unicode_form));
            if config.remove_control_chars {
                step(&mut text, space::without_controls);
            }
        }
        if config.enable_whitespace && (look.blank || look.unusual || config.collapse_blank_lines) {
            step(&mut text, |t| space::tidy(t, config));
        }
        if config.enable_casing {
            step(&mut text, |t| casing(t, config.case_strategy));
        }
        if config.enable_dates && (look.digit || look.unusual) {
            step(&mut text, |t| dates::to_iso(t, config.day_first, config.year_first));
        }
        if config.enable_numbers && (look.digit || look.unusual) {
            step(&mut text, |t| numbers::plain(t, config.decimal_detection));
        }
        text
    }
}

/// What one quick pass over the bytes tells, so that a text with nothing to change is not read once for each step.
struct Look {
    /// Bytes outside of ASCII, or control characters that are no white space: every step has to look for itself.
    unusual: bool,
    /// White space other than single spaces and line feeds inside the text.
    blank: bool,
    /// ASCII digits, without which there is neither date nor number.
    digit: bool,
}

impl Look {
    fn at(bytes: &[u8]) -> Self {
        let (mut special, mut double, mut digit) = (false, false, false);
        // Written without branches, so that the compiler makes vector instructions of it.
        for (a, b) in bytes.iter().zip(bytes.get(1..).unwrap_or_default()) {
            special |= b.wrapping_sub(b' ') >= 0x5f;
            double |= (*a == b' ') & (*b == b' ');
            digit |= b.wrapping_sub(b'0') < 10;
        }
        let (mut unusual, mut blank) = (false, double);
        let first = bytes.first().copied().unwrap_or(b'x');
        digit |= first.is_ascii_digit();
        if special || first.wrapping_sub(b' ') >= 0x5f {
            for b in bytes {
                let (tab, line_feed, carriage_return) = (*b == b'\t', *b == b'\n', *b == b'\r');
                let plain = b.wrapping_sub(b' ') < 0x5f;
                unusual |= !(plain | tab | line_feed | carriage_return);
                blank |= tab | carriage_return;
            }
        }
        let edge = |b: Option<&u8>| b.is_some_and(|b| *b <= b' ');
        Self { unusual, blank: blank || edge(bytes.first()) || edge(bytes.last()), digit }
    }
}

fn step(text: &mut Cow<'_, str>, change: impl FnOnce(&str) -> Option<String>) {
    if let Some(changed) = change(text) {
        *text = Cow::Owned(changed);
    }
}

fn unicode(text: &str, form: UnicodeForm) -> Option<String> {
    if text.is_ascii() {
        return None;
    }
    match form {
        UnicodeForm::Nfc => (!is_nfc(text)).then(|| text.nfc().collect()),
        UnicodeForm::Nfd => (!is_nfd(text)).then(|| text.nfd().collect()),
        UnicodeForm::Nfkc => (!is_nfkc(text)).then(|| text.nfkc().collect()),
        UnicodeForm::Nfkd => (!is_nfkd(text)).then(|| text.nfkd().collect()),
    }
}

fn casing(text: &str, strategy: CaseStrategy) -> Option<String> {
    let changed = match strategy {
        CaseStrategy::None => return None,
        CaseStrategy::Lower => text.to_lowercase(),
        CaseStrategy::Upper => text.to_uppercase(),
        CaseStrategy::Title => title(text),
    };
    (changed != text).then_some(changed)
}

fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for c in text.chars() {
        match (c.is_alphabetic(), inside) {
            (true, false) => out.extend(c.to_uppercase()),
            (true, true) => out.extend(c.to_lowercase()),
            _ => out.push(c),
        }
        // An apostrophe does not end a word: "don't", not "Don'T".
        inside = c.is_alphanumeric() || (inside && matches!(c, '\'' | '’'));
    }
    out
}
