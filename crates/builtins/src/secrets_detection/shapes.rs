//! What secrets look like: their prefixes with what may follow, and the labels that stand before those without one.

use memchr::memmem;

use super::config::Detector;

/// Longest label between its first word and its separator, in bytes.
const LABEL_MAX: usize = 40;
/// Spaces and quotation marks that may stand around a separator, each.
const AROUND_MAX: usize = 8;
/// Fewest characters of an AWS secret access key.
const AWS_SECRET_MIN: usize = 40;
/// Fewest characters of a key after a label.
const LABELLED_MIN: usize = 20;
/// Fewest characters of each part of a JSON web token, behind `eyJ` where that begins it.
const JWT_PART_MIN: usize = 10;
/// Longest first line of a private key between its dashes, in bytes.
const KEY_KIND_MAX: usize = 48;
/// Longest private key behind its first line, in bytes; the largest in use need less.
const KEY_MAX: usize = 16_384;

/// A kind of secret that begins with a prefix.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) prefix: &'static str,
    pub(super) detector: Detector,
    rest: Rest,
}

/// What follows a prefix.
#[derive(Debug, Clone, Copy)]
enum Rest {
    /// So many bytes of a class and no more.
    Exactly(Class, usize),
    /// So many bytes of a class or more.
    AtLeast(Class, usize),
    /// A JSON web token.
    Jwt,
    /// A private key in PEM.
    Pem,
}

/// What a secret is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Capitals and digits.
    Upper,
    /// Letters and digits.
    Alnum,
    /// Letters, digits and `_`.
    Word,
    /// Letters, digits and `-`.
    Dashed,
    /// Letters, digits, `_` and `-`.
    Url,
}

impl Class {
    const fn has(self, byte: u8) -> bool {
        match self {
            Self::Upper => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Self::Alnum => byte.is_ascii_alphanumeric(),
            Self::Word => is_word(byte),
            Self::Dashed => byte.is_ascii_alphanumeric() || byte == b'-',
            Self::Url => is_word(byte) || byte == b'-',
        }
    }
}

const fn shape(prefix: &'static str, detector: Detector, rest: Rest) -> Shape {
    Shape { prefix, detector, rest }
}

const fn github(prefix: &'static str) -> Shape {
    shape(prefix, Detector::GithubToken, Rest::Exactly(Class::Alnum, 36))
}

const fn stripe(prefix: &'static str) -> Shape {
    shape(prefix, Detector::StripeSecretKey, Rest::AtLeast(Class::Alnum, 16))
}

const fn slack(prefix: &'static str) -> Shape {
    shape(prefix, Detector::SlackToken, Rest::AtLeast(Class::Dashed, 10))
}

/// All kinds of secrets that begin with a prefix.
pub(super) const SHAPES: &[Shape] = &[
    shape("AKIA", Detector::AwsAccessKeyId, Rest::Exactly(Class::Upper, 16)),
    shape("ASIA", Detector::AwsAccessKeyId, Rest::Exactly(Class::Upper, 16)),
    shape("AIza", Detector::GoogleApiKey, Rest::Exactly(Class::Url, 35)),
    github("ghp_"),
    github("gho_"),
    github("ghu_"),
    github("ghs_"),
    github("ghr_"),
    shape("github_pat_", Detector::GithubToken, Rest::AtLeast(Class::Word, 20)),
    stripe("sk_live_"),
    stripe("sk_test_"),
    stripe("rk_live_"),
    stripe("rk_test_"),
    slack("xoxa-"),
    slack("xoxb-"),
    slack("xoxe-"),
    slack("xoxp-"),
    slack("xoxq-"),
    slack("xoxr-"),
    slack("xoxs-"),
    shape("-----BEGIN ", Detector::PrivateKeyBlock, Rest::Pem),
    shape("eyJ", Detector::JwtLike, Rest::Jwt),
];

/// Words with which labels begin, in any letter case.
pub(super) const LABELS: &[(&str, Detector)] = &[
    ("aws", Detector::AwsSecretAccessKey),
    ("api_key", Detector::GenericApiKeyAssignment),
    ("api-key", Detector::GenericApiKeyAssignment),
    ("apikey", Detector::GenericApiKeyAssignment),
    ("access_token", Detector::GenericApiKeyAssignment),
    ("access-token", Detector::GenericApiKeyAssignment),
    ("accesstoken", Detector::GenericApiKeyAssignment),
    ("auth_token", Detector::GenericApiKeyAssignment),
    ("auth-token", Detector::GenericApiKeyAssignment),
    ("authtoken", Detector::GenericApiKeyAssignment),
];

impl Shape {
    /// Where the secret ends whose prefix stands at `at`, if there is one. Called for rising `at`.
    pub(super) fn end(&self, bytes: &[u8], at: usize, ends: &mut KeyEnds) -> Option<usize> {
        let after = at + self.prefix.len();
        match self.rest {
            Rest::Exactly(class, count) => {
                begins_word(bytes, at).then_some(())?;
                let end = after.checked_add(count).filter(|end| *end <= bytes.len())?;
                let all = bytes[after..end].iter().all(|byte| class.has(*byte));
                (all && !bytes.get(end).is_some_and(|byte| is_word(*byte))).then_some(end)
            }
            Rest::AtLeast(class, count) => {
                // Where `-` is part of the secret, one before it is too: else each of many prefixes in one run would
                // read it to its end.
                let whole = class != Class::Dashed || at == 0 || bytes[at - 1] != b'-';
                (whole && begins_word(bytes, at)).then_some(())?;
                let end = run(bytes, after, |byte| class.has(byte));
                (end - after >= count).then_some(end)
            }
            Rest::Jwt => jwt(bytes, at),
            Rest::Pem => pem(bytes, after, ends),
        }
    }
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Whether no word goes on at `at`. A letter of an escape (`\n`) is no part of a word.
fn begins_word(bytes: &[u8], at: usize) -> bool {
    match bytes[..at] {
        [] => true,
        [.., b'\\', b'n' | b'r' | b't'] => true,
        [.., byte] => !is_word(byte),
    }
}

fn run(bytes: &[u8], from: usize, has: impl Fn(u8) -> bool) -> usize {
    let from = from.min(bytes.len());
    from + bytes[from..].iter().take_while(|byte| has(**byte)).count()
}

fn jwt(bytes: &[u8], at: usize) -> Option<usize> {
    let class = |byte| Class::Url.has(byte);
    // As above: one run is read from its beginning only.
    (begins_word(bytes, at) && (at == 0 || bytes[at - 1] != b'-')).then_some(())?;
    let header = run(bytes, at + 3, class);
    (header - at >= 3 + JWT_PART_MIN && bytes[header..].starts_with(b".eyJ")).then_some(())?;
    let claims = run(bytes, header + 4, class);
    (claims - header >= 4 + JWT_PART_MIN && bytes.get(claims) == Some(&b'.')).then_some(())?;
    let end = run(bytes, claims + 1, class);
    (end - claims > JWT_PART_MIN).then_some(end)
}

/// Where private keys end, found once for a whole text.
#[derive(Debug, Default)]
pub(super) struct KeyEnds {
    /// The last one found, or the length of the text where there is none.
    next: Option<usize>,
}

impl KeyEnds {
    /// Where the first last line of a key begins at `from` or later.
    fn after(&mut self, bytes: &[u8], from: usize) -> Option<usize> {
        let next = match self.next {
            Some(next) if next >= from => next,
            _ => memmem::find(&bytes[from..], b"-----END ").map_or(bytes.len(), |n| from + n),
        };
        self.next = Some(next);
        (next < bytes.len()).then_some(next)
    }
}

/// The end of a private key, `after` the dashes and `BEGIN` of its first line.
fn pem(bytes: &[u8], after: usize, ends: &mut KeyEnds) -> Option<usize> {
    let line = &bytes[after..bytes.len().min(after + KEY_KIND_MAX)];
    let kind = memmem::find(line, b"-----")?;
    memmem::find(&line[..kind], b"PRIVATE KEY")?;
    let body = after + kind + 5;
    // What is neither base64 nor white space nor a header (nor an escape of them, in JSON) is no key any more.
    let near = &bytes[..bytes.len().min(body + KEY_MAX)];
    let key = run(near, body, |b| b.is_ascii_alphanumeric() || b" \r\n\t+/=:,-\\".contains(&b));
    let Some(last) = ends.after(bytes, body).filter(|last| *last <= key) else { return Some(key) };
    let name = last + "-----END ".len();
    let closing = memmem::find(&bytes[name..bytes.len().min(name + KEY_KIND_MAX)], b"-----");
    Some(closing.map_or(key, |n| name + n + 5))
}

/// The value after a label whose first word ends at `at`.
pub(super) fn labelled(bytes: &[u8], at: usize, detector: Detector) -> Option<(usize, usize)> {
    let window = bytes.len().min(at + LABEL_MAX);
    let rest = &bytes[at..window];
    let separator = rest.iter().position(|byte| matches!(byte, b'=' | b':'))?;
    let label = &rest[..separator];
    let named = |byte: &u8| Class::Url.has(*byte) || b" .\"'\\".contains(byte);
    if !label.iter().all(named) {
        return None;
    }
    let (least, class): (usize, fn(u8) -> bool) = match detector {
        Detector::AwsSecretAccessKey => {
            let says = |word: &[u8]| label.windows(word.len()).any(|w| w.eq_ignore_ascii_case(word));
            (says(b"secret") || says(b"access")).then_some(())?;
            (AWS_SECRET_MIN, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'+'))
        }
        _ => {
            // What belongs to the label is behind its word only as quotation marks and spaces.
            label.iter().all(|byte| b" \"'\\".contains(byte)).then_some(())?;
            (LABELLED_MIN, |byte| Class::Url.has(byte))
        }
    };
    let from = at + separator + 1;
    let around = bytes[from..].iter().take(AROUND_MAX).take_while(|byte| b" \t=>\"'\\".contains(byte));
    let start = from + around.count();
    let end = run(bytes, start, class);
    (end - start >= least).then_some((start, end))
}
