use mortise_plugin_api::hooks::{PromptPreFetch, ToolPreInvoke};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{check::Checks, config::Config, kind, reading};
use crate::testing::{Bench, Outcome, growth};

fn call(config: Value, sql: &str) -> Outcome {
    Bench::new(&kind(), config).call::<ToolPreInvoke>(json!({"name": "t", "args": {"sql": sql}}))
}

#[track_caller]
fn assert_blocked(sql: &str) {
    assert_eq!(call(json!({}), sql).code(), "SQL_SANITIZER", "{sql}");
}

#[track_caller]
fn assert_passes(sql: &str) {
    let outcome = call(json!({}), sql);
    assert!(outcome.violation.is_none(), "{sql}: {:?}", outcome.violation);
}

#[test]
fn a_blocked_statement_names_code_and_issues() {
    let violation = call(json!({}), "DROP TABLE users").violation.unwrap();
    assert_eq!(violation.code, "SQL_SANITIZER");
    assert_eq!(violation.details["issues"], json!([r"args.sql: blocked statement \bDROP\b"]));
    for sql in [
        "truncate t",
        "Alter Table t add x int",
        "GRANT ALL ON t TO u",
        "revoke x from y",
        "SELECT 1; dRoP TABLE t",
    ] {
        assert_blocked(sql);
    }
    let own = json!({"blocked_statements": [r"\bEXEC\b"]});
    assert_eq!(call(own.clone(), "exec xp_cmdshell").code(), "SQL_SANITIZER");
    assert!(call(own, "DROP TABLE t").violation.is_none());
}

#[test]
fn words_in_literals_and_quoted_names_are_no_statements() {
    for sql in [
        "SELECT * FROM t WHERE note = 'please drop by; delete from x'",
        "SELECT 'it''s a drop'",
        r#"SELECT "drop" FROM t"#,
        "SELECT `drop` FROM t",
        "SELECT [drop table] FROM t",
        "SELECT dropped, alternative FROM grants",
        "INSERT INTO t VALUES ('truncate')",
    ] {
        assert_passes(sql);
    }
}

#[test]
fn comments_neither_hide_nor_split_a_statement() {
    for sql in [
        "DROP/**/TABLE t",
        "SELECT 1; -- x\nDROP TABLE t",
        "SELECT 1 /* /* */ ; DROP TABLE t */",
        "/*! DROP TABLE t */",
        "/*!50000 DROP TABLE t */",
        "SELECT '/*'; DROP TABLE t; SELECT '*/'",
        "SELECT 1 --'\n; DROP TABLE t --'",
        "SELECT '\\'; DROP TABLE t; -- '",
        "SELECT '\\''; DROP TABLE t; -- '",
        "SELECT 1 /* ; DROP TABLE t",
        "SELECT 'unclosed; DROP TABLE t",
        "SELECT E'\\''; DROP TABLE t; --'",
        "SELECT $$x$$; DROP TABLE t",
    ] {
        let kept = call(json!({"strip_comments": false}), sql);
        assert_eq!(kept.code(), "SQL_SANITIZER", "{sql}");
    }
    assert_passes("SELECT 1 -- drop it\nFROM t");
    assert_passes("SELECT 1 /* drop it */ FROM t");
    assert_passes("/* drop it */ SELECT 1");
}

#[test]
fn pieces_of_statements_are_read_from_inside_a_literal_too() {
    assert_blocked("x'; DROP TABLE users; --");
    assert_blocked("x'; DROP TABLE users; SELECT 'a");
    assert_blocked(r#"x"; DROP TABLE users; SELECT "a"#);
    assert_blocked("1; DELETE FROM users");
    assert_passes("O'Reilly");
    assert_passes("a 'quoted' word");
}

#[test]
fn delete_and_update_need_a_where_of_their_own() {
    for sql in [
        "DELETE FROM t",
        "delete from t;",
        "DELETE t1 FROM t1 JOIN t2 ON a = b",
        "DELETE users",
        "DELETE FROM \"t\"",
        "DELETE FROM t RETURNING (SELECT 1 FROM x WHERE y)",
        "DELETE FROM t; SELECT 1 WHERE true",
        "WITH d AS (DELETE FROM t) SELECT * FROM d WHERE x",
        "UPDATE t SET a = 1",
        "UPDATE t SET a = (SELECT b FROM c WHERE d)",
        "UPDATE t SET a = 'where'",
        "UPDATE t SET a = 1 -- where b = 2",
        "DELETE FROM a DELETE FROM b WHERE c",
    ] {
        assert_blocked(sql);
    }
    for sql in [
        "DELETE FROM t WHERE a = 1",
        "UPDATE t SET a = 1 WHERE b = 2",
        "WITH d AS (DELETE FROM t WHERE x) SELECT * FROM d",
        "SELECT * FROM t FOR UPDATE",
        "INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET b = 2",
        "INSERT INTO t VALUES (1) ON DUPLICATE KEY UPDATE b = 2",
        "CREATE TABLE t (a int REFERENCES b ON DELETE CASCADE ON UPDATE CASCADE)",
        "SELECT updated, deleted FROM t",
        "please delete the file",
        "update the docs",
    ] {
        assert_passes(sql);
    }
    let off = json!({"block_delete_without_where": false, "block_update_without_where": false});
    assert!(call(off, "DELETE FROM t; UPDATE t SET a = 1").violation.is_none());
}

#[test]
fn comments_are_taken_out_of_what_passes() {
    let stripped = |sql: &str| {
        call(json!({}), sql)
            .changed
            .map_or_else(|| sql.to_owned(), |p| p["args"]["sql"].as_str().unwrap().to_owned())
    };
    assert_eq!(stripped("SELECT 1 -- one\nFROM t"), "SELECT 1 \nFROM t");
    assert_eq!(stripped("SELECT/* a /* b */ c */1"), "SELECT 1");
    assert_eq!(stripped("SELECT '--x', '/*y*/'"), "SELECT '--x', '/*y*/'");
    assert_eq!(stripped("admin'-- "), "admin'");
    for kept in ["git log --oneline", "src/*.rs and docs/*/x", "a -- b"] {
        assert_eq!(stripped(kept), kept);
    }
    let outcome = call(json!({}), "SELECT 1 -- x");
    assert_eq!(outcome.metadata("sql_sanitized"), true);
    assert!(call(json!({"strip_comments": false}), "SELECT 1 -- x").passed());
}

#[test]
fn parameterization_can_be_required() {
    let config = || json!({"require_parameterization": true});
    for sql in [
        "SELECT * FROM t WHERE a = 'x'",
        "SELECT * FROM t WHERE a = 5",
        "SELECT * FROM t WHERE a = {name}",
        "SELECT * FROM t WHERE a = ${name}",
    ] {
        assert_eq!(call(config(), sql).code(), "SQL_SANITIZER", "{sql}");
    }
    for sql in [
        "SELECT * FROM t WHERE a = ?",
        "SELECT * FROM t WHERE a = $1 LIMIT 5",
        "SELECT a FROM t WHERE b = :b",
        "a 'b' = 5",
    ] {
        assert!(call(config(), sql).violation.is_none(), "{sql}");
    }
}

#[test]
fn only_named_fields_are_looked_at_when_there_are_any() {
    let args = json!({"note": "drop me a line", "query": {"sql": ["SELECT 1"]}});
    let run = |config: Value, args: &Value| {
        Bench::new(&kind(), config).call::<PromptPreFetch>(json!({"prompt_id": "p", "args": args}))
    };
    assert_eq!(run(json!({}), &args).code(), "SQL_SANITIZER");
    assert!(run(json!({"fields": ["sql"]}), &args).passed());
    assert_eq!(
        run(json!({"fields": ["sql"]}), &json!({"q": {"sql": ["DROP TABLE t"]}})).code(),
        "SQL_SANITIZER"
    );
}

#[test]
fn without_blocking_the_issues_are_metadata() {
    let outcome = call(json!({"block_on_violation": false}), "DELETE FROM t -- all");
    assert!(outcome.violation.is_none());
    assert_eq!(outcome.metadata("sql_issues"), json!(["args.sql: DELETE without WHERE"]));
    assert_eq!(outcome.changed.unwrap()["args"]["sql"], "DELETE FROM t ");
}

#[test]
fn an_invalid_pattern_is_refused_by_name() {
    let Err(error) = Bench::try_new(&kind(), json!({"blocked_statements": ["a", "("]})) else {
        panic!("accepted")
    };
    assert_eq!(error.field, "blocked_statements[1]");
}

#[test]
fn hostile_texts_and_nesting_are_withstood() {
    let config = Config { require_parameterization: true, ..Config::default() };
    let checks = Checks::new(&config).unwrap();
    for unit in [
        "'",
        "\"",
        "`",
        "'\\",
        "\\'",
        "/*",
        "*/",
        "--",
        "-- \n",
        "#",
        "[",
        "[a",
        "(",
        ")",
        "delete ",
        "delete(",
        "update (",
        "(delete from t ",
        "E'",
        "= ",
        "{",
        "{a",
        "a",
        ";",
    ] {
        let make = |n: usize| format!("select {}", unit.repeat(n / unit.len()));
        let ratio =
            growth(make, |text| drop((checks.issues(text), reading::without_comments(text))), 1 << 13);
        assert!(ratio < 24.0, "{unit:?} repeated: {ratio:.1} times for eight times the text");
    }
    let long = format!("SELECT '{}'; DROP TABLE t", "a".repeat(10_000_000));
    assert_blocked(&long);
    let deep = (0..100).fold(json!("DROP TABLE t"), |inner, _| json!([inner]));
    let outcome =
        Bench::new(&kind(), json!({})).call::<ToolPreInvoke>(json!({"name": "t", "args": {"x": deep}}));
    assert_eq!(outcome.code(), "SQL_SANITIZER");
}

proptest! {
    #[test]
    fn any_text_is_read_without_panic(text in "[-'\"`/*#\\\\\\[\\]();eE!0-9 a-z\nédrop]{0,80}") {
        let checks = Checks::new(&Config::default()).unwrap();
        checks.issues(&text);
        if let Some(stripped) = reading::without_comments(&text) {
            prop_assert!(stripped.len() <= text.len());
        }
    }

    #[test]
    fn nothing_before_or_in_a_literal_hides_what_follows_it(inside in "[a-z0-9 */#-]{0,20}") {
        let checks = Checks::new(&Config::default()).unwrap();
        let sql = format!("SELECT '{inside}'; DROP TABLE t");
        prop_assert!(!checks.issues(&sql).is_empty(), "{}", sql);
    }
}
