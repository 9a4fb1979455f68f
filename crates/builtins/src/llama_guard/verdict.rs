//! What the model says: `safe`, or `unsafe` and codes of hazards.

use std::collections::BTreeSet;

/// Hazards of the published taxonomy, by number.
const NAMES: [&str; 14] = [
    "violent crimes",
    "non-violent crimes",
    "sex-related crimes",
    "child sexual exploitation",
    "defamation",
    "specialized advice",
    "privacy",
    "intellectual property",
    "indiscriminate weapons",
    "hate",
    "suicide and self-harm",
    "sexual content",
    "elections",
    "code interpreter abuse",
];

/// A hazard, by the number of its code; 0 where the model named none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Hazard(u16);

impl Hazard {
    /// Where text is unsafe and nothing more is said.
    const UNNAMED: Self = Self(0);

    /// Reads a code such as `S7`, of at most three digits; older models say `O7`.
    pub(super) fn read(code: &str) -> Option<Self> {
        let digits = code.trim().strip_prefix(['S', 's', 'O', 'o'])?;
        let plain =
            !digits.is_empty() && digits.len() <= 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
        if plain { digits.parse().ok().filter(|number| *number > 0).map(Self) } else { None }
    }

    /// Its code.
    pub(super) fn code(self) -> String {
        if self == Self::UNNAMED { "unsafe".to_owned() } else { format!("S{}", self.0) }
    }

    /// What it is called.
    pub(super) fn name(self) -> &'static str {
        let at = usize::from(self.0).checked_sub(1);
        at.and_then(|at| NAMES.get(at)).copied().unwrap_or("a hazard without a name")
    }
}

/// The hazards that a verdict names; `None` where it is no verdict.
pub(super) fn read(said: &str) -> Option<BTreeSet<Hazard>> {
    let mut lines = said.trim().lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next()?;
    if first.eq_ignore_ascii_case("safe") {
        // Whatever follows takes the word back.
        return lines.next().is_none().then(BTreeSet::new);
    }
    if !first.eq_ignore_ascii_case("unsafe") {
        return None;
    }
    let codes = lines.next().unwrap_or_default();
    let hazards: BTreeSet<Hazard> = codes.split(',').filter_map(Hazard::read).collect();
    // A code that nobody can read must not become one that may pass.
    let unread = codes.split(',').any(|code| !code.trim().is_empty() && Hazard::read(code).is_none());
    let mut hazards = hazards;
    if hazards.is_empty() || unread {
        hazards.insert(Hazard::UNNAMED);
    }
    Some(hazards)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(said: &str) -> Option<Vec<String>> {
        read(said).map(|hazards| hazards.into_iter().map(Hazard::code).collect())
    }

    #[test]
    fn verdicts_are_read_as_models_write_them() {
        assert_eq!(codes("safe"), Some(vec![]));
        assert_eq!(codes("\n\nSafe \n"), Some(vec![]));
        assert_eq!(codes("unsafe\nS10,S2"), Some(vec!["S2".to_owned(), "S10".to_owned()]));
        assert_eq!(codes("\n\nunsafe\n\nS1, s1"), Some(vec!["S1".to_owned()]));
        assert_eq!(codes("unsafe"), Some(vec!["unsafe".to_owned()]));
    }

    #[test]
    fn what_is_no_verdict_is_none() {
        for said in
            ["", "safely", "safe.", "I think this is safe", "safe\nunsafe\nS1", "{\"safe\":true}", "S1"]
        {
            assert_eq!(codes(said), None, "{said}");
        }
    }

    #[test]
    fn codes_that_nobody_can_read_stay_unsafe() {
        for said in ["unsafe\nviolence", "unsafe\nS0", "unsafe\nS99999", "unsafe\nS1;S2", "unsafe\nS-1"] {
            assert_eq!(codes(said), Some(vec!["unsafe".to_owned()]), "{said}");
        }
        assert_eq!(codes("unsafe\nS7,what"), Some(vec!["unsafe".to_owned(), "S7".to_owned()]));
    }
}
