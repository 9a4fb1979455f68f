//! Configuration of the PII filter.
//!
//! Two vocabularies meet here: the keys of the code (`default_mask_strategy`) and those of the documents
//! (`mask_strategy`, `masking_strategy`, `pii_types`). Both work; [`Settings`] is what they come to.

use std::sync::Arc;

use mortise_plugin_api::BuildError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    category::{Categories, Category},
    mask::{Masks, SsnStyle, Strategy},
    scanner::{CustomPattern, Scanner},
};

/// Configuration of the PII filter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Find US social security numbers. Unset: as `compliance_mode` or `pii_types` say, else on. The same holds for all
    /// `detect_` keys.
    pub detect_ssn: Option<bool>,
    /// Find Dutch citizen service numbers after a label.
    pub detect_bsn: Option<bool>,
    /// Find payment card numbers.
    pub detect_credit_card: Option<bool>,
    /// Find e-mail addresses.
    pub detect_email: Option<bool>,
    /// Find telephone numbers.
    pub detect_phone: Option<bool>,
    /// Find IPv4 and IPv6 addresses.
    pub detect_ip_address: Option<bool>,
    /// Find dates of birth after a label.
    pub detect_date_of_birth: Option<bool>,
    /// Find passport numbers after a label.
    pub detect_passport: Option<bool>,
    /// Find driver's licence numbers after a label.
    pub detect_driver_license: Option<bool>,
    /// Find IBANs, and bank account numbers after a label.
    pub detect_bank_account: Option<bool>,
    /// Find medical record numbers after a label.
    pub detect_medical_record: Option<bool>,
    /// Find AWS access key ids, and secret access keys after a label.
    pub detect_aws_keys: Option<bool>,
    /// Find keys of other services by their published prefixes, and long tokens after a label.
    pub detect_api_keys: Option<bool>,
    /// Only these categories, where no `detect_` key says otherwise.
    pub pii_types: Option<Vec<Category>>,
    /// A documented set of categories, where no `detect_` key says otherwise.
    pub compliance_mode: Option<ComplianceMode>,
    /// How matches are replaced.
    pub default_mask_strategy: Option<Strategy>,
    /// The documents' key for `default_mask_strategy`, used when that is not set. A social security number becomes
    /// `XXX-XX-6789` under `partial`.
    pub mask_strategy: Option<Strategy>,
    /// The manifest's key for `default_mask_strategy`, used when neither it nor `mask_strategy` is set.
    pub masking_strategy: Option<MaskingStrategy>,
    /// What stands for a redacted match.
    pub redaction_text: String,
    /// Block the call when something is found, instead of masking it.
    pub block_on_detection: bool,
    /// Log each call in which something was found: hook, categories and counts, never the values.
    pub log_detections: bool,
    /// The manifest's key for `log_detections`: either turns it on.
    pub log_violations: bool,
    /// Log each call in which something was found with who called: request, user, tenant, server.
    pub audit_detections: bool,
    /// Say in metadata and violations where in the payload something was found.
    pub include_detection_details: bool,
    /// Patterns of your own.
    pub custom_patterns: Vec<CustomPatternConfig>,
    /// Regular expressions; a match in which one of them is found is left alone.
    pub whitelist_patterns: Vec<String>,
    /// Longest single text in bytes. A longer one is an error, and the plugin's mode says what follows.
    pub max_text_bytes: usize,
    /// The manifest's key for `max_text_bytes`, used when set.
    pub max_content_length: Option<usize>,
    /// How many levels of JSON inside the strings of JSON texts are looked into.
    pub max_nested_depth: usize,
    /// Accepted for compatibility, without effect: payloads are read without building collections.
    pub max_collection_items: usize,
    /// Accepted for compatibility, without effect: patterns match or they do not.
    pub detection_sensitivity: Option<f64>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            detect_ssn: None,
            detect_bsn: None,
            detect_credit_card: None,
            detect_email: None,
            detect_phone: None,
            detect_ip_address: None,
            detect_date_of_birth: None,
            detect_passport: None,
            detect_driver_license: None,
            detect_bank_account: None,
            detect_medical_record: None,
            detect_aws_keys: None,
            detect_api_keys: None,
            pii_types: None,
            compliance_mode: None,
            default_mask_strategy: None,
            mask_strategy: None,
            masking_strategy: None,
            redaction_text: "[REDACTED]".to_owned(),
            block_on_detection: false,
            log_detections: false,
            log_violations: false,
            audit_detections: false,
            include_detection_details: false,
            custom_patterns: Vec::new(),
            whitelist_patterns: Vec::new(),
            max_text_bytes: 10_485_760,
            max_content_length: None,
            max_nested_depth: 32,
            max_collection_items: 4096,
            detection_sensitivity: None,
        }
    }
}

/// How matches are replaced, in the words of the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MaskingStrategy {
    /// As `partial`.
    Partial,
    /// As `redact`.
    Full,
    /// As `tokenize`.
    Token,
}

/// A named set of categories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ComplianceMode {
    /// Personal data: everything but keys of services.
    Gdpr,
    /// Identifiers of patients: everything but keys of services and Dutch citizen numbers.
    Hipaa,
    /// Payment data: cards and bank accounts.
    Pci,
    /// Everything.
    Strict,
    /// Nothing but what the `detect_` keys turn on, and custom patterns.
    Custom,
}

impl ComplianceMode {
    /// The categories of the mode.
    #[must_use]
    pub const fn categories(self) -> Categories {
        let mut set = Categories::ALL;
        match self {
            Self::Strict => {}
            Self::Gdpr | Self::Hipaa => {
                set.set(Category::AwsKey, false);
                set.set(Category::ApiKey, false);
                if matches!(self, Self::Hipaa) {
                    set.set(Category::Bsn, false);
                }
            }
            Self::Pci => set = Categories::of(&[Category::CreditCard, Category::BankAccount]),
            Self::Custom => set = Categories::NONE,
        }
        set
    }
}

/// A pattern of your own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CustomPatternConfig {
    /// What a match counts as.
    #[serde(rename = "type", default = "custom")]
    pub category: Category,
    /// Regular expression; letters match whatever their case.
    pub pattern: String,
    /// What it finds, for people.
    #[serde(default)]
    pub description: String,
    /// How its matches are replaced, where not as all others.
    #[serde(default)]
    pub mask_strategy: Option<Strategy>,
    /// Whether it is used.
    #[serde(default = "enabled")]
    pub enabled: bool,
}

const fn custom() -> Category {
    Category::Custom
}

const fn enabled() -> bool {
    true
}

/// What a configuration comes to.
#[derive(Debug)]
pub struct Settings {
    /// What is looked for; one for all who look for the same.
    pub scanner: Arc<Scanner>,
    /// What is put in its place.
    pub masks: Masks,
    /// Strategies of the custom patterns, by their place in the configuration.
    pub custom_strategies: Vec<Option<Strategy>>,
}

impl Settings {
    /// Compiles a configuration.
    ///
    /// # Errors
    /// A pattern does not compile; the error names its field.
    pub fn new(config: &Config) -> Result<Self, BuildError> {
        let custom: Vec<CustomPattern> = config
            .custom_patterns
            .iter()
            .zip(0u16..)
            .filter(|(c, _)| c.enabled)
            .map(|(c, index)| CustomPattern {
                owner: format!("custom_patterns[{index}].pattern"),
                index,
                category: c.category,
                pattern: c.pattern.clone(),
            })
            .collect();
        let scanner = Scanner::shared(config.categories(), &custom, &config.whitelist_patterns)
            .map_err(BuildError::from)?;
        let custom_strategies = config.custom_patterns.iter().map(|c| c.mask_strategy).collect();
        Ok(Self { scanner, masks: config.masks(), custom_strategies })
    }
}

impl Config {
    /// The categories that are looked for by built-in patterns.
    #[must_use]
    pub fn categories(&self) -> Categories {
        let mut set = match (&self.pii_types, self.compliance_mode) {
            (Some(types), _) => Categories::of(types),
            (None, Some(mode)) => mode.categories(),
            (None, None) => Categories::ALL,
        };
        let switches = [
            (Category::Ssn, self.detect_ssn),
            (Category::Bsn, self.detect_bsn),
            (Category::CreditCard, self.detect_credit_card),
            (Category::Email, self.detect_email),
            (Category::Phone, self.detect_phone),
            (Category::IpAddress, self.detect_ip_address),
            (Category::DateOfBirth, self.detect_date_of_birth),
            (Category::Passport, self.detect_passport),
            (Category::DriverLicense, self.detect_driver_license),
            (Category::BankAccount, self.detect_bank_account),
            (Category::MedicalRecord, self.detect_medical_record),
            (Category::AwsKey, self.detect_aws_keys),
            (Category::ApiKey, self.detect_api_keys),
            (Category::Custom, Some(false)),
        ];
        for (category, switch) in switches {
            if let Some(on) = switch {
                set.set(category, on);
            }
        }
        set
    }

    fn masks(&self) -> Masks {
        let documents = self.mask_strategy.or(self.masking_strategy.map(|strategy| match strategy {
            MaskingStrategy::Partial => Strategy::Partial,
            MaskingStrategy::Full => Strategy::Redact,
            MaskingStrategy::Token => Strategy::Tokenize,
        }));
        let crosses = self.default_mask_strategy.is_none() && documents.is_some();
        Masks {
            strategy: self.default_mask_strategy.or(documents).unwrap_or_default(),
            redaction_text: self.redaction_text.clone(),
            ssn: if crosses { SsnStyle::Crosses } else { SsnStyle::Stars },
        }
    }
}
