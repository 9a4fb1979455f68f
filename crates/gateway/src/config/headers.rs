//! Headers that the gateway sends on its own account, by name, to what it is configured to reach.
//!
//! Which it sets itself, and so cannot be configured, its places of use say. Values are secrets: marked as sensitive,
//! and never repeated in an error.

use http::{HeaderMap, HeaderName, HeaderValue};
use indexmap::IndexMap;

use super::{
    Secret,
    place::{self, Findings, hide},
};

/// Why something cannot be a header that is sent along.
#[derive(Debug)]
pub(super) enum NotAHeader {
    Name,
    Own(HeaderName),
    Value,
}

/// A header to send along, its value marked as sensitive. `own` are those that the gateway sets, in lower case.
pub(super) fn header(name: &str, value: &str, own: &[&str]) -> Result<(HeaderName, HeaderValue), NotAHeader> {
    let name = HeaderName::try_from(name).map_err(|_| NotAHeader::Name)?;
    if own.contains(&name.as_str()) {
        return Err(NotAHeader::Own(name));
    }
    let mut value = HeaderValue::from_str(value).map_err(|_| NotAHeader::Value)?;
    value.set_sensitive(true);
    Ok((name, value))
}

/// Checks the headers written at `path`; what is wrong is noted and left out.
pub(super) fn headers(
    path: &str,
    raw: &IndexMap<String, Secret>,
    own: &[&str],
    found: &mut Findings<'_>,
) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in raw {
        match header(name, value.expose(), own) {
            Ok((name, value)) => {
                headers.append(name, value);
            }
            Err(NotAHeader::Name) => hide(found.key_error(path, name, "this is not a name of a header")),
            Err(NotAHeader::Own(header)) => {
                hide(found.key_error(
                    path,
                    name,
                    format!("the header `{header}` is set by the gateway itself"),
                ));
            }
            Err(NotAHeader::Value) => {
                let message = "the value holds characters that a header cannot, such as a line break";
                found.secret_error(&place::key(path, name), message);
            }
        }
    }
    headers
}
