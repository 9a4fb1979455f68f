//! Edits of an object's members that leave all other bytes as they were.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::{Object, Raw, RawError, write_string};

/// A set of edits to one [`Object`], applied together by [`Splice::finish`].
///
/// Members that are not named keep their bytes, order and spacing. New members go to the end, in the order they
/// were set.
#[derive(Debug)]
#[must_use = "edits are applied by `finish`"]
pub struct Splice<'o, 'a> {
    object: &'o Object<'a>,
    edits: SmallVec<[(usize, Edit<'o>); 4]>,
    added: SmallVec<[(Cow<'o, str>, &'o [u8]); 4]>,
}

#[derive(Debug)]
enum Edit<'o> {
    Replace(&'o [u8]),
    Remove,
}

impl<'o, 'a> Splice<'o, 'a> {
    pub(super) fn new(object: &'o Object<'a>) -> Self {
        Self { object, edits: SmallVec::new(), added: SmallVec::new() }
    }

    /// Replaces the value of a member, or adds the member.
    ///
    /// # Errors
    /// [`RawError::Ambiguous`] where more than one member has this name.
    pub fn set(mut self, name: impl Into<Cow<'o, str>>, value: &'o Raw) -> Result<Self, RawError> {
        let name = name.into();
        match self.object.position(&name)? {
            Some(at) => self.edit(at, Edit::Replace(value.as_bytes())),
            None => {
                self.added.retain(|(other, _)| *other != name);
                self.added.push((name, value.as_bytes()));
            }
        }
        Ok(self)
    }

    /// Does [`Splice::set`] where there is a value, nothing else.
    ///
    /// # Errors
    /// As [`Splice::set`].
    pub fn set_if(self, name: impl Into<Cow<'o, str>>, value: Option<&'o Raw>) -> Result<Self, RawError> {
        match value {
            Some(value) => self.set(name, value),
            None => Ok(self),
        }
    }

    /// Removes every member of this name; an absent one is no error.
    pub fn remove(mut self, name: &str) -> Self {
        let object = self.object;
        for (at, member) in object.members().iter().enumerate() {
            if member.name == name {
                self.edit(at, Edit::Remove);
            }
        }
        self.added.retain(|(other, _)| *other != name);
        self
    }

    /// Writes the edited object.
    pub fn finish(self) -> Raw {
        let text = self.object.text;
        let extra: usize = self.added.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
        let replaced: usize = self
            .edits
            .iter()
            .map(|(_, edit)| match edit {
                Edit::Replace(value) => value.len(),
                Edit::Remove => 0,
            })
            .sum();
        let mut out = Vec::with_capacity(text.len() + extra + replaced);
        out.push(b'{');
        let mut copied = 1;
        let mut empty = true;
        for (at, member) in self.object.members().iter().enumerate() {
            let value = member.value.get().as_bytes();
            let start = value.as_ptr().addr() - text.as_ptr().addr();
            let lead = &text[copied..start];
            copied = start + value.len();
            let value = match self.edit_of(at) {
                Some(Edit::Remove) => continue,
                Some(Edit::Replace(new)) => new,
                None => value,
            };
            out.extend_from_slice(if empty && at > 0 { without_comma(lead) } else { lead });
            out.extend_from_slice(value);
            empty = false;
        }
        for (name, value) in &self.added {
            if !empty {
                out.push(b',');
            }
            write_string(&mut out, name);
            out.push(b':');
            out.extend_from_slice(value);
            empty = false;
        }
        out.extend_from_slice(&text[copied..]);
        Raw::trusted(out)
    }

    fn edit(&mut self, at: usize, edit: Edit<'o>) {
        self.edits.retain(|(other, _)| *other != at);
        self.edits.push((at, edit));
    }

    fn edit_of(&self, at: usize) -> Option<&Edit<'o>> {
        self.edits.iter().find(|(other, _)| *other == at).map(|(_, edit)| edit)
    }
}

/// The text before a member's value without the comma that parted it from the member before.
fn without_comma(lead: &[u8]) -> &[u8] {
    let lead = lead.trim_ascii_start();
    lead.strip_prefix(b",").unwrap_or(lead)
}
