//! Takes out of a record what must not be in a log.
//!
//! What stands under a secret-sounding name goes whatever it is; everywhere else, what looks like personal data or a
//! credential. A log is read by more people than the payload was meant for, so this errs on the side of taking out.

use std::{ops::Range, sync::Arc};

use mortise_plugin_api::BuildError;
use serde_json::Value;
use url::Url;

use crate::{
    pii_filter::{config as pii, scanner::Scanner as PersonalData},
    secrets_detection::scanner::Scanner as Secrets,
};

/// What stands where something was taken out.
const HIDDEN: &str = "***";
/// Parts of names under which secrets stand, in lower case without dashes and underscores.
const SECRET_NAMES: [&str; 12] = [
    "authorization",
    "token",
    "secret",
    "password",
    "passwd",
    "apikey",
    "cookie",
    "credential",
    "privatekey",
    "passphrase",
    "signature",
    "sessionid",
];
/// Fewest characters of a number that could be one of a person or an account.
const LONG_NUMBER: usize = 9;

/// Compiled detectors.
pub(super) struct Redactor {
    personal: Arc<PersonalData>,
    secrets: Arc<Secrets>,
}

impl Redactor {
    pub(super) fn new() -> Result<Self, BuildError> {
        let personal = pii::Settings::new(&pii::Config::default())?.scanner;
        Ok(Self { personal, secrets: Secrets::broad() })
    }

    /// Redacts JSON, the value of the member `key`.
    pub(super) fn json(&self, value: &mut Value, key: &str) {
        match value {
            Value::Null | Value::Bool(_) => {}
            // A container may be named after what it is about (`credentials`); then all in it is.
            _ if is_secret(key) => *value = HIDDEN.into(),
            Value::String(text) => {
                if let Some(redacted) = self.text(text, key) {
                    *text = redacted;
                }
            }
            Value::Number(number) => {
                let digits = number.to_string();
                if digits.len() >= LONG_NUMBER && self.text(&digits, key).is_some() {
                    *value = HIDDEN.into();
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.json(item, key)),
            Value::Object(members) => members.iter_mut().for_each(|(name, member)| self.json(member, name)),
        }
    }

    /// Redacts what a call is about: a name, or a URI with credentials in it.
    pub(super) fn subject(&self, subject: &str) -> String {
        let cleaned = if subject.contains("://") { without_credentials(subject) } else { subject.to_owned() };
        self.text(&cleaned, "").unwrap_or(cleaned)
    }

    /// The text without what was found in it; `None` where nothing was.
    fn text(&self, text: &str, key: &str) -> Option<String> {
        let personal = self.personal.find(text, key);
        let secrets = self.secrets.find(text, key);
        let mut ranges: Vec<Range<usize>> = personal.iter().map(|found| found.start..found.end).collect();
        ranges.extend(secrets.iter().map(|found| found.start..found.end));
        if ranges.is_empty() {
            return None;
        }
        ranges.sort_unstable_by_key(|range| range.start);
        let mut out = String::with_capacity(text.len());
        let mut done = 0;
        for range in ranges {
            if range.start >= done {
                out.push_str(&text[done..range.start]);
                out.push_str(HIDDEN);
            }
            done = done.max(range.end);
        }
        out.push_str(&text[done..]);
        Some(out)
    }
}

fn is_secret(name: &str) -> bool {
    let name: String =
        name.chars().filter(|c| !matches!(c, '-' | '_')).map(|c| c.to_ascii_lowercase()).collect();
    SECRET_NAMES.iter().any(|secret| name.contains(secret))
}

/// A URI without user name and password, and without the values of secret-sounding parameters.
fn without_credentials(uri: &str) -> String {
    let Ok(mut url) = Url::parse(uri) else { return HIDDEN.to_owned() };
    if url.password().is_some() || !url.username().is_empty() {
        let cleared = url.set_username("").and_then(|()| url.set_password(None));
        if cleared.is_err() {
            return HIDDEN.to_owned();
        }
    }
    if url.query_pairs().any(|(name, _)| is_secret(&name)) {
        let hide = |(name, value): (std::borrow::Cow<'_, str>, std::borrow::Cow<'_, str>)| {
            let value = if is_secret(&name) { HIDDEN.to_owned() } else { value.into_owned() };
            (name.into_owned(), value)
        };
        let pairs: Vec<_> = url.query_pairs().map(hide).collect();
        url.query_pairs_mut().clear().extend_pairs(pairs);
    }
    url.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secrets_go_by_their_name_and_by_their_look() {
        let mut value = json!({
            "headers": {"Authorization": "anything", "x-api-key": 5, "accept": "text/html"},
            "args": {
                "password": ["a", "b"], "note": "write to ann@example.com", "ssn": 123456789, "n": 5,
                "text": "AKIAA1B2C3D4E5F6G7H8 ann@example.com", "on": true, "token": null, "plain": "as it is",
            },
        });
        Redactor::new().unwrap().json(&mut value, "");
        assert_eq!(
            value["headers"],
            json!({"Authorization": "***", "x-api-key": "***", "accept": "text/html"})
        );
        let args = &value["args"];
        assert_eq!((&args["password"], &args["note"]), (&json!("***"), &json!("write to ***")));
        assert_eq!((&args["text"], &args["plain"]), (&json!("*** ***"), &json!("as it is")));
        assert_eq!((&args["ssn"], &args["n"], &args["on"]), (&json!("***"), &json!(5), &json!(true)));
    }

    #[test]
    fn subjects_lose_their_credentials() {
        let redactor = Redactor::new().unwrap();
        assert_eq!(redactor.subject("get_weather"), "get_weather");
        assert_eq!(
            redactor.subject("https://me:pw@host/a?access_token=x&q=1"),
            "https://host/a?access_token=***&q=1"
        );
        assert_eq!(redactor.subject("file:///srv/a.txt"), "file:///srv/a.txt");
    }
}
