//! `secrets`: where values come from that are kept neither in files nor in the environment.

use mortise_framework::config::Environment;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Secret,
    place::{self, Findings},
};
use crate::vault::{Settings, Unfit};

/// Stores that values of the configuration and of plugin files refer to.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SecretsConfig {
    /// HashiCorp Vault, for `${vault:PATH#KEY}` in values.
    pub vault: VaultConfig,
}

/// HashiCorp Vault, or what speaks its API. Asked only where a value refers to it; the same is asked once in a load.
/// Keys that are not given are read from the variables that Vault's own programs go by.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct VaultConfig {
    /// Its address, such as `https://vault.example.com:8200`. Not given, `VAULT_ADDR`.
    pub address: Option<String>,
    /// The namespace that paths are in. Not given, `VAULT_NAMESPACE`.
    pub namespace: Option<String>,
    /// The token to ask with. Not given, nor another way to log in, `VAULT_TOKEN`, or the file `.vault-token` in the
    /// home folder, where Vault's own login leaves it.
    pub token: Option<Secret>,
    /// A file with the token, as an agent writes it; read at each load. Relative to the file this is written in.
    pub token_file: Option<String>,
    /// The role to log in as by AppRole. Not given, nor a token, `VAULT_ROLE_ID`.
    pub role_id: Option<Secret>,
    /// The secret of the role, where it needs one. Not given, `VAULT_SECRET_ID`.
    pub secret_id: Option<Secret>,
    /// Where AppRole is mounted. Default `approle`.
    pub approle_mount: Option<String>,
    /// The version of the key-value engines. Not given, Vault is asked for each.
    #[schemars(range(min = 1, max = 2))]
    pub kv_version: Option<u8>,
    /// Seconds for one secret, login and repetitions included. Not given, `VAULT_CLIENT_TIMEOUT`, else 10.
    #[schemars(range(min = 0.001, max = 600.0))]
    pub timeout: Option<f64>,
    /// PEM file of certificate authorities to trust beside the system's. Not given, `VAULT_CACERT`.
    pub ca_cert: Option<String>,
    /// PEM file of the certificate to show. Not given, `VAULT_CLIENT_CERT`.
    pub client_cert: Option<String>,
    /// PEM file of its key. Not given, `VAULT_CLIENT_KEY`.
    pub client_key: Option<String>,
    /// Whether its certificate may be any: for trying things out only. Not given, `VAULT_SKIP_VERIFY`.
    pub skip_verify: Option<bool>,
}

/// Dotted path of the section.
pub(super) const VAULT: &str = "secrets.vault";

/// Checks what the file says. What variables say is looked at where a value needs it.
pub(super) fn settle(raw: &SecretsConfig, environment: &Environment, found: &mut Findings<'_>) {
    let settings =
        Settings::of(&raw.vault, environment, |key, written| found.path(&place::key(VAULT, key), written));
    match settings {
        Err(Unfit::Key { key, message }) => drop(found.secret_error(&place::key(VAULT, key), message)),
        Ok(settings) if raw.vault.address.is_some() && settings.is_open_to_listeners() => {
            let message =
                "the token and all secrets travel unencrypted: an `https` address keeps them to oneself";
            found.notice(&place::key(VAULT, "address"), message);
        }
        _ => {}
    }
}
