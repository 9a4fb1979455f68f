//! The kinds of personal data that are told apart, and sets of them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A kind of personal data. The order is the order of precedence between two matches of the same place and length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// US social security number.
    Ssn,
    /// Dutch citizen service number.
    Bsn,
    /// Payment card number.
    CreditCard,
    /// E-mail address.
    Email,
    /// Telephone number.
    Phone,
    /// IPv4 or IPv6 address.
    IpAddress,
    /// Date of birth.
    DateOfBirth,
    /// Passport number.
    Passport,
    /// Driver's licence number.
    DriverLicense,
    /// Bank account number or IBAN.
    BankAccount,
    /// Medical record number.
    MedicalRecord,
    /// AWS access key id or secret access key.
    AwsKey,
    /// Key of another service.
    ApiKey,
    /// Match of a pattern from the configuration.
    Custom,
}

impl Category {
    /// Every category, in order of precedence.
    pub const ALL: [Self; 14] = [
        Self::Ssn,
        Self::Bsn,
        Self::CreditCard,
        Self::Email,
        Self::Phone,
        Self::IpAddress,
        Self::DateOfBirth,
        Self::Passport,
        Self::DriverLicense,
        Self::BankAccount,
        Self::MedicalRecord,
        Self::AwsKey,
        Self::ApiKey,
        Self::Custom,
    ];

    /// The name used in configuration, violations and metadata.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ssn => "ssn",
            Self::Bsn => "bsn",
            Self::CreditCard => "credit_card",
            Self::Email => "email",
            Self::Phone => "phone",
            Self::IpAddress => "ip_address",
            Self::DateOfBirth => "date_of_birth",
            Self::Passport => "passport",
            Self::DriverLicense => "driver_license",
            Self::BankAccount => "bank_account",
            Self::MedicalRecord => "medical_record",
            Self::AwsKey => "aws_key",
            Self::ApiKey => "api_key",
            Self::Custom => "custom",
        }
    }
}

/// A set of categories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Categories(u16);

impl Categories {
    /// The empty set.
    pub const NONE: Self = Self(0);
    /// All categories.
    pub const ALL: Self = Self((1 << Category::ALL.len()) - 1);

    /// The set of the given categories.
    #[must_use]
    pub const fn of(categories: &[Category]) -> Self {
        let mut bits = 0;
        let mut i = 0;
        while i < categories.len() {
            bits |= 1 << categories[i] as u16;
            i += 1;
        }
        Self(bits)
    }

    /// Whether `category` is in the set.
    #[must_use]
    pub const fn has(self, category: Category) -> bool {
        self.0 & (1 << category as u16) != 0
    }

    /// Whether the sets share a category.
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// What both sets have.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether nothing is in the set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Puts `category` in or takes it out.
    pub const fn set(&mut self, category: Category, on: bool) {
        let bit = 1 << category as u16;
        if on {
            self.0 |= bit;
        } else {
            self.0 &= !bit;
        }
    }
}
