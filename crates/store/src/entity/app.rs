//! Apps: who may call, as whom, and what they may reach.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::{Entity, check_amount, check_name, check_text, unfit, words, yes};
use crate::{StoreError, changes::What, sql::Value};

/// A program that calls the gateway, and who it acts for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct App {
    /// Unique name.
    pub name: String,
    /// What it is for.
    #[serde(default)]
    pub description: Option<String>,
    /// Who answers for it, usually an e-mail address.
    #[serde(default)]
    pub owner: Option<String>,
    /// The user it acts for; plugins see it. Not given, its owner.
    #[serde(default)]
    pub user: Option<String>,
    /// The user's name for people.
    #[serde(default)]
    pub full_name: Option<String>,
    /// The tenant its calls belong to.
    #[serde(default)]
    pub tenant: Option<String>,
    /// Teams of the user.
    #[serde(default)]
    pub teams: Vec<String>,
    /// Whether the user administers the gateway. Default false.
    #[serde(default)]
    pub is_admin: bool,
    /// Free data, shown to plugins.
    #[serde(default)]
    pub metadata: Map<String, Json>,
    /// Money it may spend per month on LLM calls.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub monthly_budget: Option<f64>,
    /// Day of the month on which its budget begins anew, 1 to 28. Default 1.
    #[serde(default = "first")]
    #[schemars(range(min = 1, max = 28))]
    pub budget_reset_day: u8,
    /// LLM calls per minute.
    #[serde(default)]
    pub rate_limit: Option<u64>,
    /// Tokens of LLM calls per minute, in and out.
    #[serde(default)]
    pub token_limit: Option<u64>,
    /// LLMs it may use. Not given, all; an empty list, none.
    #[serde(default)]
    pub llms: Option<Vec<String>>,
    /// Tools over HTTP it may use, by slug. Not given, all; an empty list, none.
    #[serde(default)]
    pub tools: Option<Vec<String>>,
    /// Data sources it may use, by slug. Not given, all; an empty list, none.
    #[serde(default)]
    pub datasources: Option<Vec<String>>,
    /// Virtual servers it may use. Not given, all of them and `/mcp`; given, only these; an empty list, none.
    #[serde(default)]
    pub servers: Option<Vec<String>>,
    /// Whether it may call at all. Default true.
    #[serde(default = "yes")]
    pub active: bool,
}

fn first() -> u8 {
    1
}

impl App {
    /// An app of this name, with the defaults.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            description: None,
            owner: None,
            user: None,
            full_name: None,
            tenant: None,
            teams: Vec::new(),
            is_admin: false,
            metadata: Map::new(),
            monthly_budget: None,
            budget_reset_day: 1,
            rate_limit: None,
            token_limit: None,
            llms: None,
            tools: None,
            datasources: None,
            servers: None,
            active: true,
        }
    }
}

impl Entity for App {
    const TABLE: &'static str = "apps";
    const WORD: &'static str = "app";
    const CHANGE: Option<What> = Some(What::App);

    fn columns(&self) -> Vec<(&'static str, Value)> {
        let texts =
            [Some(&*self.name), self.description.as_deref(), self.owner.as_deref(), self.user.as_deref()];
        vec![("name", self.name.as_str().into()), ("words", words(texts)), ("active", self.active.into())]
    }

    fn check(&self) -> Result<(), StoreError> {
        check_name(Self::WORD, "name", &self.name)?;
        for (field, text) in [
            ("description", &self.description),
            ("owner", &self.owner),
            ("user", &self.user),
            ("full_name", &self.full_name),
            ("tenant", &self.tenant),
        ] {
            check_text(Self::WORD, field, text.as_deref())?;
        }
        check_amount(Self::WORD, "monthly_budget", self.monthly_budget)?;
        if !(1..=28).contains(&self.budget_reset_day) {
            return Err(unfit(Self::WORD, "budget_reset_day", "is a day that every month has, 1 to 28"));
        }
        Ok(())
    }
}
