//! Versions and ranges of versions, as manifests write them.
//!
//! Not `semver::VersionReq`: ranges in manifests are those of Python packages as often as of Rust or npm (`~=1.4`,
//! `==2.*`, `!=1.5.0`, `2.x.x`), and whether two ranges meet must be answered too. A range is an interval (from here,
//! below there) and what is taken out of it; every operator comes down to that.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use semver::Version;
use serde::{Deserialize, Serialize};

/// Name of the framework in `framework_compatibility`.
pub const FRAMEWORK_NAME: &str = "mcp-plugin-framework";

/// Why a text is no version or range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RangeError {
    /// Not a version.
    #[error("`{0}` is no version; write `1.2.3`, or `1.2` and `1.x` where a part may be left open")]
    Version(String),
    /// Not a range.
    #[error(
        "`{0}` is no range of versions; write for example `>=1.0,<2.0`, with `>=`, `>`, `<=`, `<`, `==`, `!=`, `~=`, `~` or `^`"
    )]
    Range(String),
    /// A framework of another name.
    #[error("there is no framework `{0}`; allowed: `mcp-plugin-framework`")]
    Framework(String),
}

/// A version of which parts may be left open: `1.2.3`, `1.2`, `2.x.x`, `*`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Release {
    text: Box<str>,
    parts: [Option<u64>; 3],
    pre: semver::Prerelease,
}

impl Release {
    /// The lowest version it means.
    #[must_use]
    pub fn lowest(&self) -> Version {
        let [major, minor, patch] = self.parts.map(Option::unwrap_or_default);
        Version { pre: self.pre.clone(), ..Version::new(major, minor, patch) }
    }

    /// The first version above all it means; `None` when it means every version.
    fn above(&self) -> Option<Version> {
        match self.parts {
            [None, ..] => None,
            [Some(major), None, _] => Some(Version::new(major.saturating_add(1), 0, 0)),
            [Some(major), Some(minor), None] => Some(Version::new(major, minor.saturating_add(1), 0)),
            [Some(major), Some(minor), Some(patch)] => {
                Some(Version::new(major, minor, patch.saturating_add(1)))
            }
        }
    }

    /// It and everything above.
    #[must_use]
    pub fn and_above(&self) -> VersionRange {
        VersionRange::of(format!(">={self}"), Interval { from: Some(self.lowest()), below: None })
    }

    /// It and everything below.
    #[must_use]
    pub fn and_below(&self) -> VersionRange {
        VersionRange::of(format!("<={self}"), Interval { from: None, below: self.above() })
    }
}

impl FromStr for Release {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        let wrong = || RangeError::Version(shown(text));
        let plain = text.trim();
        let plain = plain.strip_prefix('v').unwrap_or(plain);
        if plain.contains(['-', '+']) {
            let Version { major, minor, patch, pre, .. } = Version::parse(plain).map_err(|_| wrong())?;
            return Ok(Self { text: text.trim().into(), parts: [major, minor, patch].map(Some), pre });
        }
        let mut parts = [None; 3];
        let mut open = false;
        for (index, part) in plain.split('.').enumerate() {
            let slot = parts.get_mut(index).ok_or_else(wrong)?;
            if matches!(part, "*" | "x" | "X") {
                open = true;
            } else if !open && !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) {
                *slot = Some(part.parse().map_err(|_| wrong())?);
            } else {
                return Err(wrong());
            }
        }
        Ok(Self { text: text.trim().into(), parts, pre: semver::Prerelease::EMPTY })
    }
}

/// From one version on, up to but not including another. Either end may be open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Interval {
    from: Option<Version>,
    below: Option<Version>,
}

impl Interval {
    fn contains(&self, version: &Version) -> bool {
        self.from.as_ref().is_none_or(|from| version.cmp_precedence(from).is_ge())
            && self.below.as_ref().is_none_or(|below| is_below(version, below))
    }

    fn meet(&mut self, other: Self) {
        if let Some(from) = other.from {
            self.from = Some(self.from.take().map_or(from.clone(), |own| own.max(from)));
        }
        if let Some(below) = other.below {
            self.below = Some(self.below.take().map_or(below.clone(), |own| own.min(below)));
        }
    }

    fn is_empty(&self) -> bool {
        match (&self.from, &self.below) {
            (Some(from), Some(below)) => !is_below(from, below),
            (None, Some(below)) => *below == Version::new(0, 0, 0),
            _ => false,
        }
    }
}

/// Whether a version is below an end. The pre-releases of 2.0.0 are not below 2.0.0: who excludes 2 excludes them too.
fn is_below(version: &Version, end: &Version) -> bool {
    if end.pre.is_empty() {
        (version.major, version.minor, version.patch) < (end.major, end.minor, end.patch)
    } else {
        version.cmp_precedence(end).is_lt()
    }
}

/// A range of versions: `>=1.0,<2.0`, `~=1.4`, `^2.1`, `==3.*`, `!=1.5.0`, `*`. An empty text means any version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct VersionRange {
    text: Box<str>,
    within: Interval,
    without: Vec<Interval>,
}

impl VersionRange {
    /// Any version.
    #[must_use]
    pub fn any() -> Self {
        Self::of("*".to_owned(), Interval::default())
    }

    fn of(text: String, within: Interval) -> Self {
        Self { text: text.into_boxed_str(), within, without: Vec::new() }
    }

    /// Whether every version is in it.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.within == Interval::default() && self.without.is_empty()
    }

    /// Whether no version can be in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.within.is_empty()
    }

    /// Whether a version is in it. Pre-releases count by their order, but not as below their own release.
    #[must_use]
    pub fn matches(&self, version: &Version) -> bool {
        self.within.contains(version) && !self.without.iter().any(|out| out.contains(version))
    }

    /// Whether some version may be in both. What `!=` takes out is not looked at.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let mut both = self.within.clone();
        both.meet(other.within.clone());
        !both.is_empty()
    }

    fn add(&mut self, operator: &str, release: &Release) -> Option<()> {
        let (lowest, above) = (release.lowest(), release.above());
        let [major, minor, _] = release.parts;
        let (first, second) = (major.unwrap_or_default(), minor.unwrap_or_default());
        let up_to = |below| Interval { from: Some(lowest.clone()), below };
        self.within.meet(match operator {
            "" | "=" | "==" | "===" => up_to(above),
            "!=" => {
                self.without.push(up_to(above));
                return Some(());
            }
            ">=" => up_to(None),
            ">" => Interval { from: Some(if release.pre.is_empty() { above? } else { lowest }), below: None },
            "<" => Interval { from: None, below: Some(lowest) },
            "<=" => Interval { from: None, below: above },
            "~=" if release.parts[2].is_some() => up_to(Some(Version::new(first, second + 1, 0))),
            "~=" => up_to(Some(Version::new(first + 1, 0, 0))),
            "~" if minor.is_some() => up_to(Some(Version::new(first, second + 1, 0))),
            "~" => up_to(above),
            "^" if first > 0 || minor.is_none() => up_to(Some(Version::new(first + 1, 0, 0))),
            "^" if second > 0 || release.parts[2].is_none() => up_to(Some(Version::new(0, second + 1, 0))),
            "^" => up_to(above),
            _ => return None,
        });
        Some(())
    }
}

impl FromStr for VersionRange {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        let wrong = || RangeError::Range(shown(text));
        let mut range = Self::of(text.trim().to_owned(), Interval::default());
        let separator = |c: char| c == ',' || c.is_whitespace();
        let mut rest = text.trim_matches(separator);
        while !rest.is_empty() {
            let end = rest.find(|c| !matches!(c, '<' | '>' | '=' | '!' | '~' | '^')).ok_or_else(wrong)?;
            let (operator, after) = rest.split_at(end);
            let after = after.trim_start();
            let end = after
                .find(|c: char| separator(c) || matches!(c, '<' | '>' | '=' | '!' | '~' | '^'))
                .unwrap_or(after.len());
            let (version, after) = after.split_at(end);
            let release: Release = version.parse().map_err(|_| wrong())?;
            // Sums in the operators stay far from where they could overflow.
            if release.parts.iter().flatten().any(|part| *part > u64::from(u32::MAX)) {
                return Err(wrong());
            }
            range.add(operator, &release).ok_or_else(wrong)?;
            rest = after.trim_start_matches(separator);
        }
        Ok(range)
    }
}

/// The versions of the framework whose plugins run here: 1.x.
#[must_use]
pub fn framework_versions() -> VersionRange {
    let (from, below) = (Some(Version::new(1, 0, 0)), Some(Version::new(2, 0, 0)));
    VersionRange::of(">=1.0.0,<2.0.0".to_owned(), Interval { from, below })
}

/// Versions of the framework: `mcp-plugin-framework>=1.0.0,<2.0.0`. The name may be left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct FrameworkRange {
    text: Box<str>,
    range: VersionRange,
}

impl FrameworkRange {
    /// The range without the name.
    #[must_use]
    pub fn range(&self) -> &VersionRange {
        &self.range
    }
}

impl FromStr for FrameworkRange {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        let text = text.trim();
        let name_ends = text.find(['<', '>', '=', '!', '~', '^', ' ', '*']).unwrap_or(text.len());
        let starts_with_digit = text.starts_with(|c: char| c.is_ascii_digit());
        let (name, range) = text.split_at(if starts_with_digit { 0 } else { name_ends });
        if !name.is_empty() && name != FRAMEWORK_NAME {
            return Err(RangeError::Framework(shown(name)));
        }
        Ok(Self { text: text.into(), range: range.parse()? })
    }
}

/// A stranger's text, short enough for a message.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(60).collect()
}

macro_rules! text_form {
    ($($name:ident),*) => {$(
        impl TryFrom<String> for $name {
            type Error = RangeError;

            fn try_from(text: String) -> Result<Self, RangeError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.text.into()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.text)
            }
        }
    )*};
}

text_form!(Release, VersionRange, FrameworkRange);
