//! The sets of plugins that are measured, as entries of a configuration file.

/// A set of plugins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// So many that do nothing.
    Noop(usize),
    /// The five of the bound: normalise, SQL, PII, replace, length; each this many times.
    Builtins(usize),
    /// So many that do nothing, each for one tool, of which [`MATCHING`] are for the one that is called.
    Conditional(usize),
}

/// Those of [`Plan::Conditional`] that run for a call of `echo`.
pub(crate) const MATCHING: usize = 5;

/// The five real ones and a configuration that makes each work on every call.
const BUILTINS: [(&str, &str); 5] = [
    ("argument_normalizer", "{}"),
    ("sql_sanitizer", "{}"),
    ("pii_filter", "{}"),
    ("regex_filter", r#"{ words: [{ search: "lazy dogs?", replace: "keen cat" }] }"#),
    ("output_length_guard", "{ max_chars: 100000 }"),
];

impl Plan {
    /// Entries of the `plugins:` list, in YAML, two spaces deep.
    pub(crate) fn entries(self) -> String {
        // Hooks are left to the kinds: not each of the real ones has both.
        let entry = |name: &str, number: usize, kind: &str, config: &str| {
            format!(
                "  - name: {name}-{number}\n    kind: builtin.{kind}\n    mode: enforce\n    priority: {}\n    \
                 config: {config}\n",
                number + 1
            )
        };
        match self {
            Self::Noop(count) => (0..count).map(|number| entry("noop", number, "test_noop", "{}")).collect(),
            Self::Builtins(times) => (0..times)
                .flat_map(|round| BUILTINS.iter().enumerate().map(move |(at, kind)| (round * 5 + at, kind)))
                .map(|(number, (kind, config))| entry(kind, number, kind, config))
                .collect(),
            Self::Conditional(count) => {
                // Spread over the others, as they would be where each team has its own.
                let step = count.div_ceil(MATCHING).max(1);
                let tool = |number: usize| match number % step {
                    0 => "echo".to_owned(),
                    _ => format!("tool-{number}"),
                };
                let one = |number| {
                    let entry = entry("noop", number, "test_noop", "{}");
                    format!("{entry}    conditions: [{{ tools: [{}] }}]\n", tool(number))
                };
                (0..count).map(one).collect()
            }
        }
    }

    /// Names of the kinds it takes.
    pub(crate) fn kinds(self) -> Vec<&'static str> {
        match self {
            Self::Noop(0) => Vec::new(),
            Self::Noop(_) | Self::Conditional(_) => vec!["test_noop"],
            Self::Builtins(_) => BUILTINS.iter().map(|(kind, _)| *kind).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_plugins_with_conditions_as_many_match_whatever_their_number() {
        for count in [5, 6, 1_000] {
            let entries = Plan::Conditional(count).entries();
            assert_eq!(entries.matches("- name:").count(), count);
            assert!(entries.matches("tools: [echo]").count() <= MATCHING, "{count}");
        }
        assert_eq!(Plan::Conditional(1_000).entries().matches("tools: [echo]").count(), MATCHING);
    }
}
