//! Objects of which only the names are read.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use smallvec::SmallVec;

use super::scan::{NotJson, RawStr, members};
use super::{RawError, Splice, as_string, borrow, trim};

/// The most members an object may have to be looked into. Objects of the protocol have a few dozen; what a peer
/// fills beyond would cost many times its bytes in memory.
pub const MAX_MEMBERS: usize = 10_000;

/// One member of an [`Object`].
#[derive(Debug)]
pub struct Member<'a> {
    /// The name, unescaped.
    pub name: Cow<'a, str>,
    /// The value as text.
    pub value: RawStr<'a>,
}

/// An object of which only the names were read; values are text.
///
/// Parsing validates the whole text once and allocates nothing up to eight members.
#[derive(Debug)]
pub struct Object<'a> {
    pub(super) text: &'a [u8],
    members: SmallVec<[Member<'a>; 8]>,
}

impl<'a> Object<'a> {
    /// Reads the names of an object.
    ///
    /// # Errors
    /// [`RawError::Syntax`] where the text is not JSON, [`RawError::WrongType`] where it is no object,
    /// [`RawError::TooManyMembers`] past [`MAX_MEMBERS`].
    pub fn parse(text: &'a [u8]) -> Result<Self, RawError> {
        let text = trim(text);
        if text.first() != Some(&b'{') {
            borrow(text)?;
            return Err(RawError::wrong_type("value", "an object"));
        }
        let mut object = Self { text, members: SmallVec::new() };
        let mut fits = true;
        let read = simdutf8::basic::from_utf8(text).map_err(|_| NotJson).and_then(|text| {
            members(text, |name, value| {
                fits = object.members.len() < MAX_MEMBERS;
                if fits {
                    object.members.push(Member { name, value });
                }
                fits
            })
        });
        match read {
            Ok(()) if fits => Ok(object),
            Ok(()) => Err(RawError::TooManyMembers { max: MAX_MEMBERS }),
            Err(NotJson) => Err(fault(text)),
        }
    }

    /// The same for a value that is raw already.
    ///
    /// # Errors
    /// [`RawError::WrongType`] where it is no object.
    pub fn of(value: impl Into<RawStr<'a>>) -> Result<Self, RawError> {
        Self::parse(value.into().get().as_bytes())
    }

    /// All members in the order they were written.
    #[must_use]
    pub fn members(&self) -> &[Member<'a>] {
        &self.members
    }

    /// Finds a member by name.
    ///
    /// # Errors
    /// [`RawError::Ambiguous`] where more than one member has this name, letter case aside.
    pub fn get(&self, name: &str) -> Result<Option<RawStr<'a>>, RawError> {
        Ok(self.position(name)?.map(|at| self.members[at].value))
    }

    /// Finds a member that must be a string.
    ///
    /// # Errors
    /// [`RawError::Ambiguous`], and [`RawError::WrongType`] where the member is no string.
    pub fn get_str(&self, name: &'static str) -> Result<Option<Cow<'a, str>>, RawError> {
        self.get(name)?
            .map(|value| as_string(value).ok_or_else(|| RawError::wrong_type(name, "a string")))
            .transpose()
    }

    /// Finds a member that must be an object.
    ///
    /// # Errors
    /// [`RawError::Ambiguous`], and [`RawError::WrongType`] where the member is no object.
    pub fn get_object(&self, name: &'static str) -> Result<Option<Object<'a>>, RawError> {
        self.get(name)?
            .map(|value| Object::of(value).map_err(|_| RawError::wrong_type(name, "an object")))
            .transpose()
    }

    /// Starts an edit of this object.
    pub fn splice(&self) -> Splice<'_, 'a> {
        Splice::new(self)
    }

    pub(super) fn position(&self, name: &str) -> Result<Option<usize>, RawError> {
        let mut exact = None;
        let mut alike = 0;
        for (at, member) in self.members.iter().enumerate() {
            if same_name_but_for_case(&member.name, name) {
                alike += 1;
                if member.name == name {
                    exact = Some(at);
                }
            }
        }
        // A lone other spelling counts as well: a peer that ignores case would read what was not looked at.
        if alike > 1 || (alike == 1 && exact.is_none()) {
            return Err(RawError::Ambiguous { name: name.to_owned() });
        }
        Ok(exact)
    }
}

/// Go's JSON decoder, which peers are written with, folds ASCII case and these two letters.
fn same_name_but_for_case(left: &str, right: &str) -> bool {
    if left == right {
        return true;
    }
    if left.is_ascii() && right.is_ascii() {
        return left.eq_ignore_ascii_case(right);
    }
    let fold = |letter: char| match letter {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    left.chars().map(fold).eq(right.chars().map(fold))
}

/// Where a text that is no JSON goes wrong.
fn fault(text: &[u8]) -> RawError {
    match serde_json::from_slice::<BTreeMap<String, IgnoredAny>>(text) {
        Err(error) => RawError::syntax(&error),
        // Both readers agree on what is JSON; should they ever not, the stricter one holds.
        Ok(_) => RawError::Syntax { line: 1, column: 0 },
    }
}
