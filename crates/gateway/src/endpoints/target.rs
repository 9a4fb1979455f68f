//! A path below `/plugins/`, taken apart.

use http::StatusCode;

/// Where a request wants to go.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// The plugin's name in paths.
    pub(super) slug: String,
    /// The whole path, decoded.
    pub(super) path: String,
    /// What follows the slug, decoded; begins with a slash.
    pub(super) relative: String,
}

/// Why a path leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoTarget {
    #[error("invalid plugin endpoint path")]
    NoSlug,
    #[error("path traversal not allowed")]
    Traversal,
    #[error("the path is not encoded as it should be")]
    Encoding,
}

impl NoTarget {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::NoSlug => StatusCode::NOT_FOUND,
            Self::Traversal | Self::Encoding => StatusCode::BAD_REQUEST,
        }
    }
}

impl Target {
    /// Takes a path apart that begins with `/plugins/`.
    pub(super) fn of(path: &str) -> Result<Self, NoTarget> {
        let path = decoded(path).ok_or(NoTarget::Encoding)?;
        let rest = path.strip_prefix("/plugins/").ok_or(NoTarget::NoSlug)?;
        let end = rest.find('/').unwrap_or(rest.len());
        let (slug, relative) = (&rest[..end], &rest[end..]);
        if slug.is_empty() {
            return Err(NoTarget::NoSlug);
        }
        if rest.split(['/', '\\']).any(|segment| segment == "..") {
            return Err(NoTarget::Traversal);
        }
        let relative = if relative.is_empty() { "/" } else { relative };
        Ok(Self { slug: slug.to_owned(), relative: relative.to_owned(), path })
    }

    /// The segments of what follows the slug. Empty ones in the middle count.
    pub(super) fn segments(&self) -> Vec<String> {
        match self.relative.trim_matches('/') {
            "" => Vec::new(),
            trimmed => trimmed.split('/').map(str::to_owned).collect(),
        }
    }
}

/// Resolves `%XX`. `None` for what is no such escape, or no text.
fn decoded(path: &str) -> Option<String> {
    if !path.contains('%') {
        return Some(path.to_owned());
    }
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        bytes.push(u8::try_from(digit()? * 16 + digit()?).ok()?);
    }
    String::from_utf8(bytes).ok()
}
