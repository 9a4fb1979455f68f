//! Profanities and spam.
//!
//! Profanities are whole words, in the spellings that get round naive lists. Spam is a matter of degree: single signs
//! are harmless, some together are not. Neither knows any language but English; a list of words of one's own does.

/// Profanities, with usual endings and with letters exchanged for likenesses.
pub(super) const PROFANITIES: &[&str] = &[
    r"(?:mother[\s-]?)?f+[u*@v]+c*k+(?:s|er|ers|ed|ing|in|wit|head|face)?",
    r"(?:bull|horse|ape)?sh[i1!*]+t+(?:s|ty|ting|ted|head|heads|face)?",
    r"b[i1!]tch(?:es|y|ing)?",
    r"(?:dumb|jack|smart)?[a@]ss(?:hole|holes|hat|hats|wipe)",
    r"(?:dumb|jack)[a@]ss(?:es)?",
    r"b[a@]st[a@]rd(?:s|ly)?",
    r"c[u*]nts?",
    r"d[i1!]ckhead?s?",
    r"c[o0]cksuckers?",
    r"wh[o0]res?",
    r"sluts?",
    r"tw[a@]ts?",
    r"w[a@]nk(?:er|ers|ing)?",
    r"p[i1!]ss(?:ed)?[\s-]off",
    r"pr[i1!]cks",
    r"b[o0]ll[o0]cks",
    r"n[i1!]gg(?:er|ers|a|as)",
    r"f[a@]gg?(?:ot|ots)",
    r"ret[a@]rd(?:s|ed)?",
    r"k[i1!]ke",
];

/// Texts that belong to advertisements nobody asked for.
pub(super) const PHRASES: &[&str] = &[
    r"click\s+(?:here|below|this\s+link)",
    r"(?:buy|order|act|call|apply|subscribe)\s+now",
    r"limited[\s-]time\s+offer",
    r"(?:100\s*%|totally|absolutely)\s+free",
    r"free\s+(?:money|gift|trial|iphone|bitcoin|crypto|access)",
    r"(?:make|earn)\s+(?:money|\$|€|£|[0-9])[^.\n]{0,30}(?:fast|online|from\s+home|per\s+(?:day|week)|a\s+(?:day|week))",
    r"work\s+from\s+home",
    r"you(?:'ve|\s+have)?\s+(?:been\s+selected|won|are\s+a\s+winner)",
    r"(?:no|zero)\s+(?:risk|obligation|credit\s+check|strings\s+attached)",
    r"risk[\s-]free",
    r"double\s+your\s+(?:money|income|bitcoin|crypto|investment)",
    r"(?:cheap|discount)\s+(?:viagra|cialis|meds|pills|rolex|watches)",
    r"viagra|cialis",
    r"(?:guaranteed|instant)\s+(?:income|profit|approval|winner|results)",
    r"(?:online|best)\s+casino",
    r"lose\s+(?:weight|[0-9]+\s*(?:kg|pounds|lbs))\s+(?:fast|in)",
];

/// Signs that make a text spam.
const ENOUGH: usize = 3;
/// Links from which on they are a sign, and from which on they count double.
const LINKS: (usize, usize) = (4, 10);

/// Whether a text has so many signs of spam that it is some. `phrases` is how many different phrases it has.
pub(super) fn is_spam(text: &str, phrases: usize) -> bool {
    let links = count_links(text);
    let signs = phrases.min(3)
        + usize::from(links >= LINKS.0)
        + usize::from(links >= LINKS.1)
        + usize::from(phrases > 0 && links > 0)
        + usize::from(shouts(text))
        + usize::from(has_long_run(text))
        + 2 * usize::from(repeats_lines(text));
    signs >= ENOUGH
}

fn count_links(text: &str) -> usize {
    text.match_indices("://")
        .filter(|(at, _)| text[..*at].ends_with("http") || text[..*at].ends_with("https"))
        .count()
        + text.match_indices("www.").count()
}

/// Whether most of a text is in capitals.
fn shouts(text: &str) -> bool {
    let (mut capitals, mut letters) = (0usize, 0usize);
    for c in text.chars().filter(|c| c.is_alphabetic()) {
        letters += 1;
        capitals += usize::from(c.is_uppercase());
    }
    letters >= 30 && capitals * 10 >= letters * 7
}

/// Whether one letter or exclamation is repeated ten times.
fn has_long_run(text: &str) -> bool {
    let (mut last, mut run) = ('\0', 0);
    text.chars().any(|c| {
        run = if c == last && (c.is_alphabetic() || matches!(c, '!' | '?' | '$' | '€' | '£')) {
            run + 1
        } else {
            1
        };
        last = c;
        run >= 10
    })
}

/// Whether a line stands there five times in a row.
fn repeats_lines(text: &str) -> bool {
    let (mut last, mut run) = ("", 0);
    text.lines().map(str::trim).filter(|line| line.len() >= 10).any(|line| {
        run = if line == last { run + 1 } else { 1 };
        last = line;
        run >= 5
    })
}
