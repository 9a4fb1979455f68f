//! Configuration of the argument normalizer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Configuration of the argument normalizer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Bring text into a Unicode normalization form and drop control characters.
    pub enable_unicode: bool,
    /// Which form.
    pub unicode_form: UnicodeForm,
    /// Drop control characters other than line breaks and tabs.
    pub remove_control_chars: bool,
    /// Tidy white space.
    pub enable_whitespace: bool,
    /// Drop white space at both ends.
    pub trim: bool,
    /// Make one space of several spaces and tabs.
    pub collapse_internal: bool,
    /// Write line breaks as `\n`.
    pub normalize_newlines: bool,
    /// Make one empty line of several.
    pub collapse_blank_lines: bool,
    /// Change letter case.
    pub enable_casing: bool,
    /// How.
    pub case_strategy: CaseStrategy,
    /// Write dates in figures as `YYYY-MM-DD`.
    pub enable_dates: bool,
    /// `3/4/2026` is the third of April; otherwise the fourth of March, unless only the other reading is possible.
    pub day_first: bool,
    /// A two-digit year stands first: `26/3/4`.
    pub year_first: bool,
    /// Write numbers without group separators and with a decimal point.
    pub enable_numbers: bool,
    /// What a comma in a number is.
    pub decimal_detection: DecimalDetection,
    /// Other settings for some arguments; the first entry whose pattern is found in the argument's name counts.
    pub field_overrides: Vec<FieldOverride>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enable_unicode: true,
            unicode_form: UnicodeForm::Nfc,
            remove_control_chars: true,
            enable_whitespace: true,
            trim: true,
            collapse_internal: true,
            normalize_newlines: true,
            collapse_blank_lines: false,
            enable_casing: false,
            case_strategy: CaseStrategy::None,
            enable_dates: true,
            day_first: false,
            year_first: false,
            enable_numbers: true,
            decimal_detection: DecimalDetection::Auto,
            field_overrides: Vec::new(),
        }
    }
}

/// A Unicode normalization form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum UnicodeForm {
    /// Composed.
    Nfc,
    /// Decomposed.
    Nfd,
    /// Composed, compatibility characters replaced.
    Nfkc,
    /// Decomposed, compatibility characters replaced.
    Nfkd,
}

/// What becomes of letter case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CaseStrategy {
    /// Nothing.
    None,
    /// Lower case.
    Lower,
    /// Upper case.
    Upper,
    /// Words begin with a capital.
    Title,
}

/// How the decimal separator is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DecimalDetection {
    /// By the number itself: of two kinds of separators the last is the decimal one; a single comma before three digits
    /// groups, before another number of digits it is the decimal one.
    Auto,
    /// Commas are decimal, points group.
    Comma,
    /// Points are decimal, commas group.
    Dot,
}

/// Settings for some arguments. What is left out is as in the main part.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FieldOverride {
    /// Regular expression that is searched in the argument's name (in nested data, the nearest member's name).
    pub pattern: String,
    /// As the key of the main part.
    pub enable_unicode: Option<bool>,
    /// As the key of the main part.
    pub unicode_form: Option<UnicodeForm>,
    /// As the key of the main part.
    pub remove_control_chars: Option<bool>,
    /// As the key of the main part.
    pub enable_whitespace: Option<bool>,
    /// As the key of the main part.
    pub trim: Option<bool>,
    /// As the key of the main part.
    pub collapse_internal: Option<bool>,
    /// As the key of the main part.
    pub normalize_newlines: Option<bool>,
    /// As the key of the main part.
    pub collapse_blank_lines: Option<bool>,
    /// As the key of the main part.
    pub enable_casing: Option<bool>,
    /// As the key of the main part.
    pub case_strategy: Option<CaseStrategy>,
    /// As the key of the main part.
    pub enable_dates: Option<bool>,
    /// As the key of the main part.
    pub day_first: Option<bool>,
    /// As the key of the main part.
    pub year_first: Option<bool>,
    /// As the key of the main part.
    pub enable_numbers: Option<bool>,
    /// As the key of the main part.
    pub decimal_detection: Option<DecimalDetection>,
}

impl FieldOverride {
    /// The main part with these settings over it.
    #[must_use]
    pub fn over(&self, main: &Config) -> Config {
        Config {
            enable_unicode: self.enable_unicode.unwrap_or(main.enable_unicode),
            unicode_form: self.unicode_form.unwrap_or(main.unicode_form),
            remove_control_chars: self.remove_control_chars.unwrap_or(main.remove_control_chars),
            enable_whitespace: self.enable_whitespace.unwrap_or(main.enable_whitespace),
            trim: self.trim.unwrap_or(main.trim),
            collapse_internal: self.collapse_internal.unwrap_or(main.collapse_internal),
            normalize_newlines: self.normalize_newlines.unwrap_or(main.normalize_newlines),
            collapse_blank_lines: self.collapse_blank_lines.unwrap_or(main.collapse_blank_lines),
            enable_casing: self.enable_casing.unwrap_or(main.enable_casing),
            case_strategy: self.case_strategy.unwrap_or(main.case_strategy),
            enable_dates: self.enable_dates.unwrap_or(main.enable_dates),
            day_first: self.day_first.unwrap_or(main.day_first),
            year_first: self.year_first.unwrap_or(main.year_first),
            enable_numbers: self.enable_numbers.unwrap_or(main.enable_numbers),
            decimal_detection: self.decimal_detection.unwrap_or(main.decimal_detection),
            field_overrides: Vec::new(),
        }
    }
}
