//! What stands in the place of a match.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::category::Category;

/// How a match is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// By `redaction_text`.
    #[default]
    Redact,
    /// By a form that keeps the end of a number or the ends of a word.
    Partial,
    /// By `[HASH:` and 16 hexadecimal digits of its SHA-256: equal values stay recognisable as equal.
    Hash,
    /// By `[TOKEN:` and 8 random hexadecimal digits.
    Tokenize,
    /// By nothing.
    Remove,
}

/// How a masked social security number is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SsnStyle {
    /// `***-**-6789`.
    #[default]
    Stars,
    /// `XXX-XX-6789`.
    Crosses,
}

/// The parts of the configuration that masks depend on.
#[derive(Debug, Clone)]
pub struct Masks {
    /// How a match is replaced unless its pattern says otherwise.
    pub strategy: Strategy,
    /// What stands for a redacted match.
    pub redaction_text: String,
    /// How social security numbers are written under [`Strategy::Partial`].
    pub ssn: SsnStyle,
}

impl Masks {
    /// The text that stands for `matched`.
    #[must_use]
    pub fn mask(&self, strategy: Strategy, category: Category, matched: &str) -> String {
        match strategy {
            Strategy::Redact => self.redaction_text.clone(),
            Strategy::Partial => self.partial(category, matched),
            Strategy::Hash => {
                let digest = Sha256::digest(matched.as_bytes());
                let hex: String = digest.iter().take(8).map(|b| format!("{b:02x}")).collect();
                format!("[HASH:{hex}]")
            }
            Strategy::Tokenize => {
                let random = uuid::Uuid::new_v4().simple().to_string();
                format!("[TOKEN:{}]", &random[..8])
            }
            Strategy::Remove => String::new(),
        }
    }

    fn partial(&self, category: Category, matched: &str) -> String {
        match category {
            Category::Ssn => {
                let stars = match self.ssn {
                    SsnStyle::Stars => "***-**-",
                    SsnStyle::Crosses => "XXX-XX-",
                };
                format!("{stars}{}", last_digits(matched))
            }
            Category::CreditCard => format!("****-****-****-{}", last_digits(matched)),
            Category::Phone => format!("***-***-{}", last_digits(matched)),
            Category::Email => email(matched).unwrap_or_else(|| self.ends(matched, 1, 1)),
            Category::BankAccount => self.ends(matched, 2, 4),
            _ => self.ends(matched, 1, 1),
        }
    }

    /// Keeps some characters at both ends; the length is kept too. What is too short for that is redacted.
    fn ends(&self, matched: &str, first: usize, last: usize) -> String {
        let chars: Vec<char> = matched.chars().collect();
        let Some(hidden) = chars.len().checked_sub(first + last).filter(|n| *n > 0) else {
            return self.redaction_text.clone();
        };
        let stars = std::iter::repeat_n('*', hidden);
        chars[..first]
            .iter()
            .copied()
            .chain(stars)
            .chain(chars[chars.len() - last..].iter().copied())
            .collect()
    }
}

fn last_digits(matched: &str) -> String {
    let digits: Vec<u8> = matched.bytes().filter(u8::is_ascii_digit).collect();
    digits[digits.len().saturating_sub(4)..].iter().map(|b| char::from(*b)).collect()
}

fn email(matched: &str) -> Option<String> {
    let (local, domain) = matched.rsplit_once('@')?;
    let mut chars = local.chars();
    let (first, last) = (chars.next()?, chars.next_back());
    Some(match (chars.next(), last) {
        (Some(_), Some(last)) => format!("{first}***{last}@{domain}"),
        _ => format!("***@{domain}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masks(ssn: SsnStyle) -> Masks {
        Masks { strategy: Strategy::Partial, redaction_text: "[REDACTED]".into(), ssn }
    }

    fn partial(category: Category, matched: &str) -> String {
        masks(SsnStyle::Stars).mask(Strategy::Partial, category, matched)
    }

    #[test]
    fn partial_masks_keep_what_the_category_allows() {
        assert_eq!(partial(Category::Ssn, "123-45-6789"), "***-**-6789");
        assert_eq!(partial(Category::CreditCard, "4111 1111 1111 1111"), "****-****-****-1111");
        assert_eq!(partial(Category::Email, "john.doe@example.com"), "j***e@example.com");
        assert_eq!(partial(Category::Email, "jo@example.com"), "***@example.com");
        assert_eq!(partial(Category::Phone, "(555) 123-4567"), "***-***-4567");
        assert_eq!(partial(Category::BankAccount, "12345678901"), "12*****8901");
        assert_eq!(partial(Category::IpAddress, "10.0.0.1"), "1******1");
        assert_eq!(partial(Category::Custom, "ab"), "[REDACTED]");
        assert_eq!(partial(Category::Custom, "aéb"), "a*b");
    }

    #[test]
    fn the_documents_key_writes_crosses() {
        let masked = masks(SsnStyle::Crosses).mask(Strategy::Partial, Category::Ssn, "123-45-6789");
        assert_eq!(masked, "XXX-XX-6789");
    }

    #[test]
    fn the_other_strategies_hide_everything() {
        let masks = masks(SsnStyle::Stars);
        let mask = |strategy| masks.mask(strategy, Category::Ssn, "123-45-6789");
        assert_eq!(mask(Strategy::Redact), "[REDACTED]");
        assert_eq!(mask(Strategy::Remove), "");
        assert_eq!(mask(Strategy::Hash), "[HASH:01a54629efb95228]");
        let token = mask(Strategy::Tokenize);
        assert!(token.starts_with("[TOKEN:") && token.len() == 16, "{token}");
        assert_ne!(token, mask(Strategy::Tokenize));
    }
}
