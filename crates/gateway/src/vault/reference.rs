//! `PATH#KEY` and `PATH?version=N#KEY`, read.

/// Longest reference that is read, in bytes.
const LONGEST: usize = 1024;

/// A reference to one key of a secret.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reference {
    /// All but the key, as written.
    secret: String,
    segments: Vec<String>,
    version: Option<u64>,
    key: String,
}

impl Reference {
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > LONGEST || text.chars().any(char::is_control) {
            return Err(format!("a reference has at most {LONGEST} characters, all of them printable"));
        }
        let text = text.trim().trim_start_matches('/');
        let (secret, key) = text.rsplit_once('#').unwrap_or((text, ""));
        if key.is_empty() {
            return Err("it names no key: write the path of the secret, `#`, and the key".to_owned());
        }
        let (path, query) =
            secret.split_once('?').map_or((secret, None), |(path, query)| (path, Some(query)));
        let version = match query {
            None => None,
            Some(query) => {
                let number = query.strip_prefix("version=").and_then(|number| number.parse().ok());
                Some(number.ok_or("behind `?` goes `version=` and a number")?)
            }
        };
        let segments: Vec<String> = path.trim_end_matches('/').split('/').map(str::to_owned).collect();
        let wrong = |segment: &String| segment.is_empty() || segment == "." || segment == "..";
        if segments.len() < 2 || segments.iter().any(wrong) {
            return Err("its path is that of a mount and of a secret there, such as `secret/app`".to_owned());
        }
        Ok(Self { secret: secret.to_owned(), segments, version, key: key.to_owned() })
    }

    /// What is asked for: path and version, as written.
    pub(super) fn secret(&self) -> &str {
        &self.secret
    }

    /// The parts of its path.
    pub(super) fn segments(&self) -> &[String] {
        &self.segments
    }

    /// The version that is asked for; none for the newest.
    pub(super) fn version(&self) -> Option<u64> {
        self.version
    }

    /// Which of the secret's values.
    pub(super) fn key(&self) -> &str {
        &self.key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_version_and_key_are_told_apart() {
        let read = Reference::parse("/secret/team a/app?version=3#pass#word").unwrap_err();
        assert!(read.contains("version="), "{read}");
        let read = Reference::parse("secret/team a/app?version=3#password").unwrap();
        assert_eq!((read.version(), read.key()), (Some(3), "password"));
        assert_eq!(read.segments(), ["secret", "team a", "app"]);
        assert_eq!(Reference::parse("/secret/app/#k").unwrap().segments(), ["secret", "app"]);
    }

    #[test]
    fn what_is_no_reference_is_refused_with_a_reason() {
        for (text, reason) in [
            ("secret/app", "names no key"),
            ("secret/app#", "names no key"),
            ("secret#key", "a mount and of a secret"),
            ("secret//app#key", "a mount and of a secret"),
            ("secret/../sys/seal#key", "a mount and of a secret"),
            ("secret/app?v=1#key", "version="),
            ("secret/a\u{1}#key", "printable"),
        ] {
            let error = Reference::parse(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
