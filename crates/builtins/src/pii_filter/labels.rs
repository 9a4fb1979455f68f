//! Reads the label in front of a value: `Passport No: `, `"dateOfBirth": "`, `driver's license #`.
//!
//! A label is looked for only where a value that could belong to it stands, walking backwards over a bounded number of
//! bytes. So text without such values costs nothing, and no automaton over all labels has to run over everything.
//! A value that stands at the very beginning of its text is labelled by the member it is the value of.

use super::category::{Categories, Category};

/// Bytes before a value in which its label is looked for.
pub(super) const LABEL_REACH: usize = 64;
/// Words that are read backwards, fillers included.
const MAX_WORDS: usize = 7;
/// Separating bytes between two words, or between the last word and the value.
const MAX_GAP: usize = 8;
/// No word of any label is longer.
const MAX_WORD: usize = 24;

/// A text, and the name of the member it is the value of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    /// The text.
    pub(super) bytes: &'a [u8],
    /// The name; empty where there is none.
    pub(super) key: &'a [u8],
    /// Whether everything is looked at closely. For tests: what a quick look dismisses must be nothing.
    pub(super) plain: bool,
}

/// What a label promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Label {
    /// First byte of its first word; the value's own where the label is the key.
    pub(super) start: usize,
    /// Categories whose label this is.
    pub(super) categories: Categories,
    /// Whether it names an AWS secret access key (and not just any key).
    pub(super) aws_secret: bool,
}

impl Label {
    const fn of(category: Category) -> Self {
        Self { start: 0, categories: Categories::of(&[category]), aws_secret: false }
    }
}

enum Word {
    /// Says nothing by itself; the word before it counts.
    Filler,
    Label(Label),
    /// A label only together with the word before it.
    Tail(Tail),
    Other,
}

impl Word {
    const fn label(category: Category) -> Self {
        Self::Label(Label::of(category))
    }
}

#[derive(Clone, Copy)]
enum Tail {
    Security,
    Birth,
    Date,
    License,
    Record,
    /// The last letter of "D.O.B.".
    B,
    Key,
    Token,
    Secret,
}

/// The label directly before `at`.
pub(super) fn before(source: Source<'_>, at: usize) -> Label {
    if !source.plain && !ends_like_label(source, at) {
        return Label { start: at, ..Label::default() };
    }
    read_before(source, at)
}

/// The same without a quick look first.
fn read_before(source: Source<'_>, at: usize) -> Label {
    let mut words = Words::new(source, at);
    let label = read(&mut words);
    Label { start: if words.in_key { at } else { words.at }, ..label }
}

fn read(words: &mut Words<'_>) -> Label {
    let mut buffer = [0; MAX_WORD];
    for _ in 0..MAX_WORDS {
        let Some(word) = words.previous(&mut buffer) else { break };
        match classify(word) {
            Word::Filler => {}
            Word::Label(label) => return label,
            Word::Tail(tail) => return two_words(tail, words),
            Word::Other => break,
        }
    }
    Label::default()
}

/// Declares what the words of labels mean, and that these are all of them.
macro_rules! words {
    ($($($word:literal)|+ => $meaning:expr,)+) => {
        /// Every word that means something at the end of a label.
        const WORDS: &[&[u8]] = &[$($($word),+),+];

        fn classify(word: &[u8]) -> Word {
            match word {
                $($($word)|+ => $meaning,)+
                _ => Word::Other,
            }
        }
    };
}

words! {
    b"number" | b"no" | b"num" | b"nr" | b"id" | b"is" | b"was" | b"on" | b"value" | b"code" | b"the" => Word::Filler,
    b"ssn" | b"socialsecurity" | b"socialsecuritynumber" => Word::label(Category::Ssn),
    b"bsn" | b"burgerservicenummer" | b"sofinummer" => Word::label(Category::Bsn),
    b"phone" | b"telephone" | b"tel" | b"mobile" | b"cell" | b"cellphone" | b"phonenumber" | b"fax"
        => Word::label(Category::Phone),
    b"dob" | b"born" | b"birthdate" | b"birthday" | b"dateofbirth" => Word::label(Category::DateOfBirth),
    b"passport" | b"passportnumber" | b"passportno" => Word::label(Category::Passport),
    b"dl" | b"driverlicense" | b"driverslicense" | b"driverlicence" | b"driverslicence" | b"drivinglicence"
        | b"drivinglicense" => Word::label(Category::DriverLicense),
    b"account" | b"acct" | b"accountnumber" | b"accountno" | b"bankaccount" => Word::label(Category::BankAccount),
    b"mrn" | b"medicalrecord" | b"medicalrecordnumber" => Word::label(Category::MedicalRecord),
    b"apikey" | b"apitoken" | b"accesstoken" | b"authtoken" | b"secretkey" | b"clientsecret"
        => Word::label(Category::ApiKey),
    b"security" => Word::Tail(Tail::Security),
    b"birth" => Word::Tail(Tail::Birth),
    b"date" => Word::Tail(Tail::Date),
    b"license" | b"licence" | b"lic" => Word::Tail(Tail::License),
    b"record" | b"records" => Word::Tail(Tail::Record),
    b"b" => Word::Tail(Tail::B),
    b"key" => Word::Tail(Tail::Key),
    b"token" => Word::Tail(Tail::Token),
    b"secret" => Word::Tail(Tail::Secret),
}

/// Letters, and one place more for "no letter".
const LETTERS: usize = 27;
const NO_LETTER: usize = 26;

/// The last three letters of every word: in the row of the two before the last, the bit of the last is set.
static ENDINGS: [u32; LETTERS * LETTERS] = {
    let mut rows = [0; LETTERS * LETTERS];
    let mut n = 0;
    while n < WORDS.len() {
        let (word, length) = (WORDS[n], WORDS[n].len());
        let one = if length > 2 { (word[length - 3] - b'a') as usize } else { NO_LETTER };
        let two = if length > 1 { (word[length - 2] - b'a') as usize } else { NO_LETTER };
        rows[one * LETTERS + two] |= 1u32 << (word[length - 1] - b'a');
        n += 1;
    }
    rows
};

/// Whether the word directly before `at` ends as some word of a label does: most values are dismissed by that.
fn ends_like_label(source: Source<'_>, at: usize) -> bool {
    let mut bytes = source.bytes;
    let Some(mut end) = before_gap(bytes, at) else { return false };
    if end == 0 {
        bytes = source.key;
        match before_gap(bytes, bytes.len()) {
            Some(inside) => end = inside,
            None => return false,
        }
    }
    let byte = |back: usize| end.checked_sub(back).map_or(0, |i| bytes[i]);
    let (one, two, three) = (byte(3), byte(2), byte(1));
    if !three.is_ascii_alphabetic() {
        return false;
    }
    // A change from lower to upper case begins a word.
    let joined =
        |a: u8, b: u8| a.is_ascii_alphabetic() && !(a.is_ascii_lowercase() && b.is_ascii_uppercase());
    let letter = |b: u8| usize::from((b | 0x20) - b'a');
    let row = if !joined(two, three) {
        NO_LETTER * LETTERS + NO_LETTER
    } else if !joined(one, two) {
        NO_LETTER * LETTERS + letter(two)
    } else {
        letter(one) * LETTERS + letter(two)
    };
    ENDINGS[row] >> letter(three) & 1 == 1
}

/// Where the separating bytes before `at` begin; `None` where there are too many.
fn before_gap(bytes: &[u8], at: usize) -> Option<usize> {
    let mut begin = at;
    while begin > 0 && is_gap(bytes[begin - 1]) {
        begin -= 1;
        if at - begin > MAX_GAP {
            return None;
        }
    }
    Some(begin)
}

fn two_words(tail: Tail, words: &mut Words<'_>) -> Label {
    let mut buffer = [0; MAX_WORD];
    let Some(word) = words.previous(&mut buffer) else { return Label::default() };
    let category = match (tail, word) {
        (Tail::Security, b"social") => Category::Ssn,
        (Tail::Birth, b"of" | b"date") | (Tail::Date, b"birth") => Category::DateOfBirth,
        (Tail::License, b"driver" | b"drivers" | b"driving") => Category::DriverLicense,
        // The `s` of "driver's".
        (Tail::License, b"s") => match words.previous(&mut buffer) {
            Some(b"driver") => Category::DriverLicense,
            _ => return Label::default(),
        },
        (Tail::B, b"o") => match words.previous(&mut buffer) {
            Some(b"d") => Category::DateOfBirth,
            _ => return Label::default(),
        },
        (Tail::Record, b"medical" | b"health" | b"patient") => Category::MedicalRecord,
        (Tail::Key, b"access") => return access_key(words),
        (Tail::Key, b"api" | b"secret") => Category::ApiKey,
        (Tail::Token, b"api" | b"access" | b"auth" | b"secret") => Category::ApiKey,
        (Tail::Secret, b"client" | b"api") => Category::ApiKey,
        _ => return Label::default(),
    };
    Label::of(category)
}

/// `access key`, with `secret` before it: the secret half of an AWS key.
fn access_key(words: &mut Words<'_>) -> Label {
    let mut buffer = [0; MAX_WORD];
    match words.previous(&mut buffer) {
        Some(b"secret") => {
            let categories = Categories::of(&[Category::AwsKey, Category::ApiKey]);
            Label { start: 0, categories, aws_secret: true }
        }
        _ => Label::of(Category::ApiKey),
    }
}

/// The words before a place, last one first; when the text has no more, those of the key.
struct Words<'a> {
    bytes: &'a [u8],
    at: usize,
    floor: usize,
    key: &'a [u8],
    in_key: bool,
}

impl<'a> Words<'a> {
    fn new(source: Source<'a>, at: usize) -> Self {
        let floor = at.saturating_sub(LABEL_REACH);
        Self { bytes: source.bytes, at, floor, key: source.key, in_key: false }
    }

    /// The word before the current place, in lower case, in `buffer`. A change from lower to upper case begins a word.
    fn previous<'b>(&mut self, buffer: &'b mut [u8; MAX_WORD]) -> Option<&'b [u8]> {
        let gap_end = self.at;
        while self.at > self.floor && is_gap(self.bytes[self.at - 1]) {
            self.at -= 1;
            if gap_end - self.at > MAX_GAP {
                return None;
            }
        }
        if self.at == 0 && !self.in_key {
            *self = Self { at: self.key.len(), bytes: self.key, key: b"", in_key: true, floor: 0 };
            self.floor = self.at.saturating_sub(LABEL_REACH);
            return self.previous(buffer);
        }
        let mut free = MAX_WORD;
        while self.at > self.floor && self.bytes[self.at - 1].is_ascii_alphabetic() {
            self.at -= 1;
            free = free.checked_sub(1)?;
            let b = self.bytes[self.at];
            buffer[free] = b.to_ascii_lowercase();
            if b.is_ascii_uppercase() && self.at > 0 && self.bytes[self.at - 1].is_ascii_lowercase() {
                break;
            }
        }
        (free < MAX_WORD).then(|| &buffer[free..])
    }
}

const fn is_gap(b: u8) -> bool {
    matches!(
        b,
        b' ' | b'\t'
            | b':'
            | b'='
            | b'#'
            | b'"'
            | b'\''
            | b'('
            | b'['
            | b'*'
            | b'.'
            | b'-'
            | b'_'
            | b'|'
            | b'`'
            | b'>'
            | b'\\'
    )
}

/// The month a name or its abbreviation stands for, whatever its case.
pub(super) fn is_month(word: &[u8]) -> bool {
    const MONTHS: [&[u8]; 12] = [
        b"january",
        b"february",
        b"march",
        b"april",
        b"may",
        b"june",
        b"july",
        b"august",
        b"september",
        b"october",
        b"november",
        b"december",
    ];
    MONTHS.iter().any(|month| {
        word.eq_ignore_ascii_case(month)
            || (word.len() == 3 && word.eq_ignore_ascii_case(&month[..3]))
            || (word.len() == 4 && month[..4.min(month.len())].eq_ignore_ascii_case(word) && month[0] == b's')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(text: &str) -> Categories {
        before(Source { bytes: text.as_bytes(), key: b"", plain: false }, text.len()).categories
    }

    #[test]
    fn labels_are_read_in_prose_json_and_identifiers() {
        for (text, category) in [
            ("My SSN is ", Category::Ssn),
            ("social security number: ", Category::Ssn),
            (r#"{"socialSecurityNumber": ""#, Category::Ssn),
            ("user_ssn=", Category::Ssn),
            ("D.O.B. ", Category::DateOfBirth),
            ("date of birth: ", Category::DateOfBirth),
            (r#""dateOfBirth":""#, Category::DateOfBirth),
            (r#"{\"birth_date\": \""#, Category::DateOfBirth),
            ("Passport No. ", Category::Passport),
            ("driver's license #", Category::DriverLicense),
            ("| Account number | ", Category::BankAccount),
            ("Medical Record Number: ", Category::MedicalRecord),
            ("<mrn>", Category::MedicalRecord),
            ("X-API-Key: ", Category::ApiKey),
            ("access_token=", Category::ApiKey),
        ] {
            assert_eq!(label(text), Categories::of(&[category]), "{text}");
        }
    }

    #[test]
    fn words_that_merely_contain_a_label_are_none() {
        for text in
            ["handl ", "lesson: ", "accounting: ", "security ", "the record ", "assn ", "update ", ", ", ""]
        {
            assert!(label(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn an_aws_secret_is_told_from_other_keys() {
        let label = |bytes: &'static [u8]| before(Source { bytes, key: b"", plain: false }, bytes.len());
        assert!(label(b"AWS_SECRET_ACCESS_KEY=").aws_secret);
        assert!(!label(b"access key: ").aws_secret);
    }

    #[test]
    fn the_key_labels_what_begins_the_text() {
        let label = before(Source { bytes: b" (123", key: b"socialSecurity", plain: false }, 2);
        assert_eq!((label.categories, label.start), (Categories::of(&[Category::Ssn]), 2));
        let label = before(Source { bytes: b"number 1", key: b"passport", plain: false }, 7);
        assert_eq!(label.categories, Categories::of(&[Category::Passport]));
        assert!(before(Source { bytes: b"other 1", key: b"ssn", plain: false }, 6).categories.is_empty());
    }

    #[test]
    fn the_walk_ends_where_the_reach_does() {
        let far = format!("ssn{}", " number".repeat(40));
        assert!(label(&far).is_empty());
        assert!(label(&format!("ssn{}", " ".repeat(40))).is_empty());
    }

    #[test]
    fn months_are_known_in_full_and_short() {
        for word in ["March", "mar", "SEPT", "sep", "May"] {
            assert!(is_month(word.as_bytes()), "{word}");
        }
        for word in ["marc", "monday", "m", ""] {
            assert!(!is_month(word.as_bytes()), "{word}");
        }
    }
}
