//! Rates as they are written: `60/m`.

use std::time::Duration;

use mortise_plugin_api::BuildError;

/// Most calls that one window may allow.
const MAX_COUNT: u32 = 1_000_000;

/// So many calls in so much time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Calls, 1 or more.
    pub(crate) limit: u32,
    /// Length of the window in nanoseconds, never zero.
    pub(crate) window: u64,
}

impl Rate {
    /// Reads `text`, which stands under `field`.
    pub(crate) fn read(field: &str, text: &str) -> Result<Self, BuildError> {
        let wrong = |what: &str| {
            let message = format!(
                "rate `{}` of {field} {what}; allowed is a count of 1 to {MAX_COUNT}, a slash and one of s, sec, \
                 second, m, min, minute, h, hr, hour, such as 60/m",
                text.chars().take(40).collect::<String>()
            );
            BuildError::new(field, message)
        };
        let (count, unit) = text.split_once('/').ok_or_else(|| wrong("has no slash"))?;
        let limit: u32 = count.trim().parse().map_err(|_| wrong("has no whole number as count"))?;
        if limit == 0 || limit > MAX_COUNT {
            return Err(wrong("has a count out of range"));
        }
        let seconds = match unit.trim().to_ascii_lowercase().as_str() {
            "s" | "sec" | "second" => 1,
            "m" | "min" | "minute" => 60,
            "h" | "hr" | "hour" => 3600,
            _ => return Err(wrong("has an unknown unit")),
        };
        Ok(Self { limit, window: nanos(Duration::from_secs(seconds)) })
    }
}

/// A duration in nanoseconds; what is longer than 584 years counts as that.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_unit_is_read() {
        for (text, seconds) in
            [("5/s", 1), ("5/sec", 1), (" 5 / Second ", 1), ("5/m", 60), ("5/MIN", 60), ("5/minute", 60)]
                .into_iter()
                .chain([("5/h", 3600), ("5/hr", 3600), ("5/hour", 3600)])
        {
            let rate = Rate::read("by_user", text).unwrap();
            assert_eq!(rate, Rate { limit: 5, window: seconds * 1_000_000_000 }, "{text}");
        }
    }

    #[test]
    fn what_is_no_rate_is_refused_by_name() {
        for text in
            ["", "5", "/m", "5/", "5/day", "0/m", "-1/m", "1.5/m", "1000001/s", "99999999999/s", "5/m/m"]
        {
            let error = Rate::read("by_tool.search", text).unwrap_err();
            assert_eq!(error.field, "by_tool.search");
            assert!(error.message.contains("60/m"), "{text}: {error}");
        }
    }
}
