use super::super::{
    category::{Categories, Category},
    scanner::{CustomPattern, Scanner},
};

fn scanner() -> Scanner {
    Scanner::new(Categories::ALL, &[], &[]).unwrap()
}

fn found(text: &str) -> Vec<(Category, &str)> {
    scanner().find(text, "").iter().map(|f| (f.category, &text[f.start..f.end])).collect()
}

#[track_caller]
fn assert_finds(category: Category, text: &str, matched: &str) {
    assert_eq!(found(text), [(category, matched)], "{text}");
}

#[track_caller]
fn assert_clean(text: &str) {
    assert_eq!(found(text), [], "{text}");
}

#[test]
fn social_security_numbers_need_dashes_or_a_label() {
    assert_finds(Category::Ssn, "My SSN is 123-45-6789.", "123-45-6789");
    assert_finds(Category::Ssn, "123-45-6789", "123-45-6789");
    assert_finds(Category::Ssn, "SSN: 123456789", "123456789");
    assert_finds(Category::Ssn, "social security number 123 45 6789", "123 45 6789");
    assert_finds(Category::Ssn, r#"{"ssn": "123456789"}"#, "123456789");
    assert_finds(Category::Ssn, r"line\n123-45-6789", "123-45-6789");
    for clean in [
        "123456789",
        "order 123456789 shipped",
        "000-12-3456",
        "666-12-3456",
        "912-34-5678",
        "123-00-6789",
        "123-45-0000",
        "1123-45-6789",
        "123-45-67890",
        "123-45-6789-1",
        "1-123-45-6789",
        "x123-45-6789",
    ] {
        assert_clean(clean);
    }
}

#[test]
fn citizen_service_numbers_need_a_label_and_the_eleven_test() {
    assert_finds(Category::Bsn, "BSN: 111222333", "111222333");
    assert_finds(Category::Bsn, "burgerservicenummer 111.222.333", "111.222.333");
    assert_clean("BSN: 111222334");
    assert_clean("111222333");
}

#[test]
fn cards_need_an_issuer_and_luhn() {
    for card in [
        "4111111111111111",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "378282246310005",
        "3782 822463 10005",
        "5555555555554444",
        "6011000990139424",
        "30569309025904",
        "2223003122003222",
    ] {
        assert_finds(Category::CreditCard, &format!("card {card}."), card);
    }
    assert_finds(Category::CreditCard, "4111 1111 1111 1111 123", "4111 1111 1111 1111");
    for clean in [
        "4111111111111112",
        "4111 1111-1111 1111",
        "1763000000000",
        "0.4111111111111111",
        "41111111111111111111111",
        "a4111111111111111",
        "4111111111111111f",
        "1234567890123456",
    ] {
        assert_clean(clean);
    }
}

#[test]
fn email_addresses_are_found_whole() {
    for address in [
        "a@b.co",
        "john.doe+tag@mail.example.com",
        "o'neil@example.ie",
        "jürgen@müller.example",
        "x_y@a-b.org",
    ] {
        assert_finds(Category::Email, &format!("write to <{address}>, please"), address);
    }
    assert_finds(Category::Email, "mail test@example.com.", "test@example.com");
    assert_finds(Category::Email, r#""a\njohn@example.com\n""#, "john@example.com");
    assert_finds(Category::Email, "邮箱test@example.com", "test@example.com");
    for clean in
        ["user@host", "@example.com", "a@.com", "a@b.c", "a@-b.com", "x @ y.com", "npm@1.2.3", "a@b..com"]
    {
        assert_clean(clean);
    }
}

#[test]
fn phone_numbers_need_separators_a_plus_or_a_label() {
    for phone in [
        "555-123-4567",
        "555.123.4567",
        "(555) 123-4567",
        "(555)123-4567",
        "1-800-555-0199",
        "+1 (555) 123-4567",
        "+1-555-123-4567",
        "+15551234567",
        "+31612345678",
        "+31 6 12 34 56 78",
        "+44 (0)20 7946 0958",
        "212 555 0187",
    ] {
        assert_finds(Category::Phone, &format!("call {phone}, now"), phone);
    }
    assert_finds(Category::Phone, "phone: 5551234567", "5551234567");
    for clean in
        ["5551234567", "100 200 3000", "555-1234", "+12", "1+123456789", "12-555-123-4567", "555-123-45678"]
    {
        assert_clean(clean);
    }
}

#[test]
fn ip_addresses_are_told_from_versions_and_paths() {
    for address in
        ["10.0.0.1", "255.255.255.255", "2001:db8::8a2e:370:7334", "::1", "fe80::1", "::ffff:10.0.0.1"]
    {
        assert_finds(Category::IpAddress, &format!("from {address} today"), address);
    }
    assert_finds(Category::IpAddress, "see 10.0.0.1.", "10.0.0.1");
    assert_finds(Category::IpAddress, "[2001:db8::1]:443", "2001:db8::1");
    for clean in [
        "1.2.3.4.5",
        "v1.2.3.4",
        "256.1.1.1",
        "1.2.3",
        "1.2.3.4a",
        "12:30:45",
        "std::mem::take",
        "a::b",
        "x[::2]",
        "00:1a:2b:3c:4d:5e",
        "00:1a:2b:3c:4d:5e:6f:70",
        "::",
    ] {
        assert_clean(clean);
    }
}

#[test]
fn labelled_values_are_found_after_their_label_only() {
    for (category, label, value) in [
        (Category::DateOfBirth, "DOB: ", "03/12/1980"),
        (Category::DateOfBirth, "date of birth is ", "1980-03-12"),
        (Category::DateOfBirth, "born on ", "12 March 1980"),
        (Category::DateOfBirth, "born on ", "March 12, 1980"),
        (Category::DateOfBirth, "Birthday: ", "12th of March 1980"),
        (Category::Passport, "passport number: ", "AB1234567"),
        (Category::Passport, "Passport No. ", "123456789"),
        (Category::DriverLicense, "driver's license: ", "D123-4567-8901"),
        (Category::DriverLicense, "DL# ", "12AB3456"),
        (Category::BankAccount, "account ", "1234567890"),
        (Category::BankAccount, "Account number: ", "1234-5678-90"),
        (Category::MedicalRecord, "MRN: ", "A-123456"),
        (Category::MedicalRecord, "medical record no ", "1234567"),
    ] {
        assert_finds(category, &format!("{label}{value}, noted"), value);
        assert_clean(&format!("seen {value} there"));
    }
    assert_finds(Category::MedicalRecord, "MRN1234567", "1234567");
    for clean in
        ["born in 1980", "passport 12", "account 1234567", "DOB: 13/32/1980", "MRN: unknown", "DL: D12"]
    {
        assert_clean(clean);
    }
}

#[test]
fn the_member_name_is_the_label_of_its_value() {
    let found = scanner().find("123456789", "socialSecurityNumber");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].category, Category::Ssn);
    assert!(scanner().find("123456789", "orderId").is_empty());
}

#[test]
fn ibans_need_their_check_digits() {
    for iban in [
        "GB82WEST12345698765432",
        "GB82 WEST 1234 5698 7654 32",
        "NL91 ABNA 0417 1643 00",
        "de89370400440532013000",
    ] {
        assert_finds(Category::BankAccount, &format!("to {iban}."), iban);
    }
    assert_clean("GB83WEST12345698765432");
    assert_clean("XX82WEST12345698765432");
}

#[test]
fn keys_are_known_by_prefix_or_label() {
    for (category, text, key) in [
        (Category::AwsKey, "id AKIAIOSFODNN7EXAMPLE.", "AKIAIOSFODNN7EXAMPLE"),
        (
            Category::AwsKey,
            "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        ),
        (Category::ApiKey, "sk-proj-abcdefghij0123456789XYZ", "sk-proj-abcdefghij0123456789XYZ"),
        (Category::ApiKey, "api_key: abcd1234efgh5678ijkl", "abcd1234efgh5678ijkl"),
        (Category::ApiKey, r#"{"apiKey":"abcd1234efgh5678ijkl"}"#, "abcd1234efgh5678ijkl"),
        (
            Category::ApiKey,
            r"a\nghp_0123456789abcdefghijABCDEFGHIJ012345",
            "ghp_0123456789abcdefghijABCDEFGHIJ012345",
        ),
    ] {
        assert_finds(category, text, key);
    }
    for clean in [
        "AKIAIOSFODNN7EXAMPL",
        "sk-learn-has-a-very-long-name",
        "commit 0123456789abcdef0123456789abcdef01234567",
        "api_key: please-contact-your-administrator",
        "a-very-long-hyphenated-word-indeed",
    ] {
        assert_clean(clean);
    }
}

#[test]
fn of_overlapping_matches_the_leftmost_and_longest_wins() {
    assert_finds(Category::Email, "555-123-4567@example.com", "555-123-4567@example.com");
    assert_finds(Category::CreditCard, "account 4111111111111111", "4111111111111111");
}

#[test]
fn only_enabled_categories_take_part() {
    let scanner = Scanner::new(Categories::of(&[Category::Email]), &[], &[]).unwrap();
    let text = "123-45-6789 a@example.com 10.0.0.1 4111111111111111";
    let found: Vec<_> = scanner.find(text, "").iter().map(|f| f.category).collect();
    assert_eq!(found, [Category::Email]);
    assert!(Scanner::new(Categories::NONE, &[], &[]).unwrap().is_idle());
}

#[test]
fn custom_patterns_are_found_and_allowed_matches_left_alone() {
    let custom = CustomPattern {
        owner: "custom_patterns[0].pattern".into(),
        index: 0,
        category: Category::Custom,
        pattern: r"EMP-\d{6}".into(),
    };
    let scanner = Scanner::new(Categories::ALL, &[custom], &["@example\\.com$".into()]).unwrap();
    let text = "emp-123456 a@example.com b@example.org";
    let found: Vec<_> = scanner.find(text, "").iter().map(|f| (f.category, &text[f.start..f.end])).collect();
    assert_eq!(found, [(Category::Custom, "emp-123456"), (Category::Email, "b@example.org")]);
}

#[test]
fn matches_are_found_wherever_they_lie_in_a_block() {
    for pad in 0..140 {
        let text = format!(
            "{} 123-45-6789 a@example.com AKIAIOSFODNN7EXAMPLE ::1 !",
            "x ".repeat(pad / 2) + &" ".repeat(pad % 2)
        );
        let categories: Vec<_> = found(&text).into_iter().map(|(c, _)| c).collect();
        assert_eq!(
            categories,
            [Category::Ssn, Category::Email, Category::AwsKey, Category::IpAddress],
            "{pad}"
        );
    }
}
