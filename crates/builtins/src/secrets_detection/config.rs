//! Configuration of secrets detection.

use mortise_plugin_api::BuildError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Configuration of secrets detection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Which detectors look; those not named keep their default.
    pub enabled: Enabled,
    /// Replace what is found by `redaction_text`, where the call is not blocked.
    pub redact: bool,
    /// What stands for a redacted secret.
    pub redaction_text: String,
    /// Block the call when enough is found.
    pub block_on_detection: bool,
    /// Findings in one payload from which the call is blocked; 1 or more.
    #[schemars(range(min = 1))]
    pub min_findings_to_block: usize,
    /// Dotted paths within arguments or result that are looked at, with all below them; empty for all. Positions in
    /// lists are no part of a path.
    pub field_allowlist: Vec<String>,
    /// Dotted paths that are not looked at, with all below them; they win over `field_allowlist`.
    pub field_denylist: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: Enabled::default(),
            redact: false,
            redaction_text: "***REDACTED***".to_owned(),
            block_on_detection: true,
            min_findings_to_block: 1,
            field_allowlist: Vec::new(),
            field_denylist: Vec::new(),
        }
    }
}

impl Config {
    /// Checks what the schema cannot.
    ///
    /// # Errors
    /// Blocking from no finding on.
    pub fn check(&self) -> Result<(), BuildError> {
        if self.min_findings_to_block == 0 {
            return Err(BuildError::new("min_findings_to_block", "must be 1 or more"));
        }
        Ok(())
    }
}

/// Switches of the detectors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Enabled {
    /// Ids of AWS access keys: `AKIA` or `ASIA` and 16 capitals or digits.
    pub aws_access_key_id: bool,
    /// AWS secret access keys: 40 or more characters of base64 after a label with `aws` and `secret` or `access`.
    pub aws_secret_access_key: bool,
    /// Google API keys: `AIza` and 35 characters.
    pub google_api_key: bool,
    /// GitHub tokens: `ghp_`, `gho_`, `ghu_`, `ghs_`, `ghr_` and 36 characters, `github_pat_` and 20 or more.
    pub github_token: bool,
    /// Stripe keys: `sk_` or `rk_`, `live_` or `test_`, and 16 or more characters.
    pub stripe_secret_key: bool,
    /// Slack tokens: `xox`, one of `abepqrs`, and 10 or more characters.
    pub slack_token: bool,
    /// Private keys in PEM, from their first to their last line.
    pub private_key_block: bool,
    /// 20 or more characters after a label such as `api_key=` or `access_token:`.
    pub generic_api_key_assignment: bool,
    /// JSON web tokens.
    pub jwt_like: bool,
    /// Words of 32 or more hexadecimal digits.
    pub hex_secret_32: bool,
    /// Runs of 24 or more characters of base64. Long paths and identifiers are such runs too.
    pub base64_24: bool,
}

impl Default for Enabled {
    fn default() -> Self {
        Self {
            aws_access_key_id: true,
            aws_secret_access_key: true,
            google_api_key: true,
            github_token: true,
            stripe_secret_key: true,
            slack_token: true,
            private_key_block: true,
            generic_api_key_assignment: false,
            jwt_like: false,
            hex_secret_32: false,
            base64_24: false,
        }
    }
}

/// What finds one kind of secret. Of two findings in one place the one declared first counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Detector {
    /// `aws_access_key_id`.
    AwsAccessKeyId,
    /// `aws_secret_access_key`.
    AwsSecretAccessKey,
    /// `google_api_key`.
    GoogleApiKey,
    /// `github_token`.
    GithubToken,
    /// `stripe_secret_key`.
    StripeSecretKey,
    /// `slack_token`.
    SlackToken,
    /// `private_key_block`.
    PrivateKeyBlock,
    /// `generic_api_key_assignment`.
    GenericApiKeyAssignment,
    /// `jwt_like`.
    JwtLike,
    /// `hex_secret_32`.
    HexSecret,
    /// `base64_24`.
    Base64,
}

impl Detector {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::AwsAccessKeyId,
        Self::AwsSecretAccessKey,
        Self::GoogleApiKey,
        Self::GithubToken,
        Self::StripeSecretKey,
        Self::SlackToken,
        Self::PrivateKeyBlock,
        Self::GenericApiKeyAssignment,
        Self::JwtLike,
        Self::HexSecret,
        Self::Base64,
    ];

    /// Its name in configuration, metadata and violations.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AwsAccessKeyId => "aws_access_key_id",
            Self::AwsSecretAccessKey => "aws_secret_access_key",
            Self::GoogleApiKey => "google_api_key",
            Self::GithubToken => "github_token",
            Self::StripeSecretKey => "stripe_secret_key",
            Self::SlackToken => "slack_token",
            Self::PrivateKeyBlock => "private_key_block",
            Self::GenericApiKeyAssignment => "generic_api_key_assignment",
            Self::JwtLike => "jwt_like",
            Self::HexSecret => "hex_secret_32",
            Self::Base64 => "base64_24",
        }
    }
}

impl Enabled {
    /// The detectors that are on.
    #[must_use]
    pub fn detectors(&self) -> Vec<Detector> {
        let on = |detector: &Detector| match detector {
            Detector::AwsAccessKeyId => self.aws_access_key_id,
            Detector::AwsSecretAccessKey => self.aws_secret_access_key,
            Detector::GoogleApiKey => self.google_api_key,
            Detector::GithubToken => self.github_token,
            Detector::StripeSecretKey => self.stripe_secret_key,
            Detector::SlackToken => self.slack_token,
            Detector::PrivateKeyBlock => self.private_key_block,
            Detector::GenericApiKeyAssignment => self.generic_api_key_assignment,
            Detector::JwtLike => self.jwt_like,
            Detector::HexSecret => self.hex_secret_32,
            Detector::Base64 => self.base64_24,
        };
        Detector::ALL.into_iter().filter(on).collect()
    }
}
