//! The program as it is run: what it prints, and what it says of a file that is wrong.

#![expect(clippy::expect_used, reason = "what a test takes for granted ends it")]

use std::process::{Command, Output};

fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_invoices")).args(args).output().expect("it starts")
}

#[test]
fn one_invoice_goes_out_one_is_held_back_and_one_is_changed() {
    let output = run(&[]);
    let expected = r#"1: Acme Tools sends {"to":"ada@example.com","amount":120.0,"note":"Thank you."}
2: not sent: invoice_pre_send blocked by plugin limit: AMOUNT_LIMIT - the amount is too large (99000 is more than 5000)
3: Acme Tools sends {"to":"eve@example.com","amount":80.0,"note":"Please pay at your convenience."}
"#;
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn every_mistake_in_the_file_is_named_with_its_line() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let text = "plugins:\n  - { name: a, kind: builtin.amount_limit, hooks: [invoice_pre_sent], config: { most: 1 } }\n  \
                - { name: b, kind: builtin.amount_limit, mood: enforce, config: { most: 1 } }\n";
    std::fs::write(file.path(), text).expect("it is written");
    let output = run(&[&file.path().to_string_lossy()]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
    assert!(said.contains(":3:") && said.contains("`mode`"), "{said}");
}
