//! What the quick looks leave out is nothing: the filter finds the same without them.

use proptest::prelude::*;

use super::super::{category::Categories, scanner::Scanner};

/// Pieces of which digit-heavy texts are made, near misses most of all.
fn piece() -> impl Strategy<Value = String> {
    let fixed = prop::sample::select(vec![
        "T",
        "Z",
        ":",
        "-",
        ".",
        "..",
        ",",
        ", ",
        " ",
        "/",
        "(",
        ")",
        "+",
        "_",
        "\"",
        "\\n",
        "\\",
        "[",
        "]",
        "{",
        "}",
        "#",
        "@",
        "::",
        "%",
        "é",
        "v",
        "id",
        "DL",
        "GB",
        "A-",
        "AB-",
        "n",
        "e",
        "1",
        "1.",
        "1-",
        "1 (",
        "March ",
        "born ",
        "DOB: ",
        "ssn ",
        "account ",
        "phone:",
        "passport no. ",
        "MRN",
        "mrn ",
        "bsn ",
        "driver's license ",
        "\"dob\":\"",
        "\"at\":\"",
        "key=",
        "api_key=",
        "a@b.co",
        "fe80",
        "AKIAIOSFODNN7EXAMPLE",
    ]);
    let shaped = prop::sample::select(vec![
        "123-45-6789",
        "111222333",
        "4111111111111111",
        "4111 1111 1111 1111",
        "3782 822463 10005",
        "555-123-4567",
        "555.123.4567",
        "555)123-4567",
        "7-10.0.0.1",
        "a1b2c3d4-12ab",
        "1.(555) 123-4567",
        "(555) 123-4567",
        "+31612345678",
        "10.0.0.1",
        "2001:db8::1",
        "1:2:3:4:5:6:7:8",
        "2026-11-02T17:05:00Z",
        "3/12/1980",
        "12.03.1980",
        "12 March 1980",
        "12, 1980",
        "19800312",
        "GB82 WEST 1234 5698 7654 32",
        "NL91ABNA0417164300",
        "A1234567",
        "D123-4567-8901",
        "12AB3456",
        "1,299.00",
        "45.123",
        "345..362",
        "v3.12.45",
        "1763000000000",
    ]);
    prop_oneof![
        4 => "[0-9]{1,5}",
        1 => "[0-9]{6,20}",
        4 => fixed.prop_map(str::to_owned),
        2 => shaped.prop_map(str::to_owned),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::collection::vec(piece(), 0..40).prop_map(|pieces| pieces.concat()),
        "[0-9.,:/() \\-]{0,150}",
        "[0-9a-zA-Z@:+_\"\\\\]{0,150}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]
    #[test]
    fn quick_looks_leave_out_nothing(
        text in text(),
        key in prop::sample::select(vec!["", "at", "dob", "account", "phone_number", "id", "DL", "\"ssn\": "]),
    ) {
        let scanner = Scanner::new(Categories::ALL, &[], &[]).unwrap();
        prop_assert_eq!(scanner.find(&text, key), scanner.find_plainly(&text, key));
    }
}
