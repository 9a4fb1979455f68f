//! Configuration of the content filter: the keys of the three filters that documents show, in one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Configuration of the content filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What must not stand in texts: names of personal data (`ssn`, `credit_card`, `email`, `phone`, `ip_address`, `bsn`,
    /// `date_of_birth`, `passport`, `driver_license`, `bank_account`, `medical_record`, `aws_key`, `api_key`) or linear
    /// regular expressions, which match whatever the case of letters.
    pub block_patterns: Vec<String>,
    /// What stands for each character of a match, where matches are shown or masked.
    pub mask_char: char,
    /// Block calls with matches of `block_patterns` or profanities; where false, these are masked.
    pub block_on_match: bool,
    /// Look for profanities.
    pub profanity_filter: bool,
    /// Further words that count as profanities, whatever the case of their letters.
    pub profanity_words: Vec<String>,
    /// Block texts that look like spam.
    pub spam_detection: bool,
    /// Warn, in metadata and log, of callers that make very many calls.
    pub rate_limit_warnings: bool,
    /// Calls of one caller from which on is warned.
    pub rate_limit_warning_at: String,
    /// Block texts that look like injected SQL.
    pub sql_injection_protection: bool,
    /// Block texts that look like injected shell commands.
    pub command_injection_protection: bool,
    /// Block texts that name system files or climb out of folders.
    pub file_system_restrictions: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            block_patterns: Vec::new(),
            mask_char: '*',
            block_on_match: true,
            profanity_filter: false,
            profanity_words: Vec::new(),
            spam_detection: false,
            rate_limit_warnings: false,
            rate_limit_warning_at: "60/m".to_owned(),
            sql_injection_protection: false,
            command_injection_protection: false,
            file_system_restrictions: false,
        }
    }
}
