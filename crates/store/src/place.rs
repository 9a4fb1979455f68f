//! Where a database is.

use std::{
    fmt,
    path::{Path, PathBuf},
};

/// Where a database is. Shown without user, password and parameters.
#[derive(Clone, PartialEq, Eq)]
pub enum Place {
    /// A file of SQLite's.
    File(PathBuf),
    /// A PostgreSQL server and database, `postgres://…`.
    Postgres(String),
}

/// A text that is no place of a database. Never repeats it, as it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is no place of a database: write sqlite:PATH for a file, or \
     postgres://USER:PASSWORD@HOST:PORT/DATABASE"
)]
pub struct NoPlace;

impl Place {
    /// Reads `sqlite:PATH` (also `sqlite://PATH`; a relative path counts from `folder`) or `postgres://…`.
    ///
    /// # Errors
    /// When it is neither.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, NoPlace> {
        let Some((scheme, rest)) = text.split_once(':') else { return Err(NoPlace) };
        match scheme {
            "sqlite" => {
                let path = rest.strip_prefix("//").unwrap_or(rest);
                if path.is_empty() || path.contains(['?', '\0']) || path == ":memory:" {
                    return Err(NoPlace);
                }
                Ok(Self::File(folder.join(path)))
            }
            "postgres" | "postgresql" if rest.starts_with("//") && rest.len() > 2 => {
                Ok(Self::Postgres(text.to_owned()))
            }
            _ => Err(NoPlace),
        }
    }

    /// The file, where it is one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Postgres(_) => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Postgres(url) => {
                let rest = url.split_once("//").map_or("", |(_, rest)| rest);
                let rest = rest.split(['?', '#']).next().unwrap_or_default();
                let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
                write!(f, "postgres://{rest}")
            }
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Place({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_servers_are_told_apart_and_passwords_never_shown() {
        let at = |text| Place::parse(text, Path::new("/etc/mortise"));
        assert_eq!(at("sqlite:store.db"), Ok(Place::File("/etc/mortise/store.db".into())));
        assert_eq!(at("sqlite:///var/lib/store.db"), Ok(Place::File("/var/lib/store.db".into())));
        let server = at("postgres://me:s3cr@t@db.internal:5432/mortise?sslmode=require").unwrap();
        assert_eq!(server.to_string(), "postgres://db.internal:5432/mortise");
        assert!(!format!("{server:?}").contains("s3cr"));
        for wrong in ["", "store.db", "mysql://a/b", "sqlite:", "postgres:", "postgres://", "sqlite::memory:"]
        {
            assert_eq!(at(wrong), Err(NoPlace), "{wrong}");
        }
    }
}
