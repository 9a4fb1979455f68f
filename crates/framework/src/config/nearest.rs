//! The words a person probably meant.

/// The allowed words closest to `word`, best first, at most three; empty when none is close.
pub fn nearest<'a>(word: &str, allowed: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    const MAX_LENGTH: usize = 64;
    if word.is_empty() || word.len() > MAX_LENGTH {
        return Vec::new();
    }
    let lower = word.to_lowercase().replace(['-', ' '], "_");
    let mut scored: Vec<(f64, &str)> = allowed
        .into_iter()
        .filter_map(|candidate| score(&lower, candidate).map(|score| (score, candidate)))
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    scored.dedup_by(|a, b| a.1 == b.1);
    // A near-perfect hit makes the others noise.
    if scored.first().is_some_and(|best| best.0 >= 0.999) {
        scored.truncate(1);
    }
    scored.into_iter().take(3).map(|(_, candidate)| candidate).collect()
}

fn score(lower: &str, candidate: &str) -> Option<f64> {
    let other = candidate.to_lowercase();
    if other == lower {
        return Some(1.0);
    }
    let distance = strsim::damerau_levenshtein(lower, &other);
    let longest = lower.chars().count().max(other.chars().count());
    let likeness = strsim::jaro_winkler(lower, &other);
    let close = distance <= (longest / 3).clamp(1, 4) || (likeness >= 0.88 && distance <= longest / 2);
    close.then_some(likeness)
}

/// "did you mean `a` or `b`?", or nothing.
pub(super) fn suggestion<'a>(word: &str, allowed: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let near: Vec<String> = nearest(word, allowed).into_iter().map(|near| format!("`{near}`")).collect();
    (!near.is_empty()).then(|| format!("did you mean {}?", near.join(" or ")))
}

/// The suggestion, then the allowed words.
pub(super) fn advice(word: &str, allowed: &[&str]) -> Option<String> {
    let list = listed(allowed);
    match (suggestion(word, allowed.iter().copied()), allowed.is_empty()) {
        (None, true) => None,
        (None, false) => Some(format!("allowed: {list}")),
        (Some(near), true) => Some(near),
        (Some(near), false) => Some(format!("{near} allowed: {list}")),
    }
}

/// The words in code marks, cut short where there are very many.
pub(super) fn listed(words: &[&str]) -> String {
    const MOST: usize = 40;
    let mut shown: Vec<String> = words.iter().take(MOST).map(|word| format!("`{word}`")).collect();
    if words.len() > MOST {
        shown.push(format!("and {} more", words.len() - MOST));
    }
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_find_the_word_and_nonsense_finds_none() {
        let modes = ["enforce", "enforce_ignore_error", "permissive", "disabled"];
        assert_eq!(nearest("enforced", modes)[0], "enforce");
        assert_eq!(nearest("Enforce", modes), ["enforce"]);
        assert_eq!(nearest("disable", modes)[0], "disabled");
        assert!(nearest("xyz", modes).is_empty());
    }
}
