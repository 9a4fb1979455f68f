//! Input that means harm, or was mangled on its way.

use super::{env, folder, plugins, write};
use crate::config::{DiagnosticKind, Errors, Loader, PluginsFile, PluginsFileOptions};

fn kinds(errors: &Errors) -> Vec<DiagnosticKind> {
    errors.list().iter().map(|e| e.kind).collect()
}

fn refused(bytes: &[u8]) -> Errors {
    let dir = folder(&[]);
    let path = write(dir.path(), "c.yaml", bytes);
    let env = env(&[]);
    PluginsFile::load(&[path], &PluginsFileOptions::new(&env)).expect_err("must be refused")
}

#[test]
fn alias_bomb_is_refused_before_it_expands() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let before = format!("*a{}", level - 1);
        text.push_str(&format!("a{level}: &a{level} [{}]\n", [before.as_str(); 9].join(", ")));
    }
    let errors = refused(text.as_bytes());
    assert_eq!(kinds(&errors), [DiagnosticKind::Limit]);
    assert!(errors.to_string().contains("aliases expand"));
}

#[test]
fn alias_inside_what_it_names_is_refused() {
    assert_eq!(kinds(&refused(b"a: &a [*a]\n")), [DiagnosticKind::Syntax]);
}

#[test]
fn deep_nesting_is_refused_in_both_styles() {
    let flow = format!("a: {}{}", "[".repeat(5_000), "]".repeat(5_000));
    refused(flow.as_bytes());
    let block: String = (0..5_000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    refused(block.as_bytes());
    refused("- ".repeat(5_000).as_bytes());
    refused(format!("a: {}", "{b: ".repeat(5_000)).as_bytes());
}

#[test]
fn ten_megabyte_scalar_is_refused_and_not_printed() {
    let errors = refused(format!("description: {}\n", "x".repeat(10 << 20)).as_bytes());
    assert_eq!(kinds(&errors), [DiagnosticKind::Limit]);
    assert!(errors.to_string().len() < 1_000);
}

#[test]
fn bytes_that_are_no_text_are_named_by_line() {
    let errors = refused(b"plugins: []\nname: \xff\xfe\n");
    assert_eq!(kinds(&errors), [DiagnosticKind::Encoding]);
    assert_eq!(super::places(&errors), [(2, String::new())]);
}

#[test]
fn nul_cannot_hide_what_follows_it() {
    let errors = refused(b"plugins: []\n\0evil: 1\n");
    assert_eq!(kinds(&errors), [DiagnosticKind::Encoding]);
}

#[test]
fn tab_as_indentation_is_a_syntax_error_at_its_line() {
    let errors = refused(b"plugins:\n\t- name: x\n");
    assert_eq!(kinds(&errors), [DiagnosticKind::Syntax]);
    assert_eq!(errors.list()[0].span.as_ref().and_then(crate::config::Span::line), Some(2));
}

#[test]
fn crlf_and_byte_order_mark_change_nothing() {
    let text = "\u{feff}plugins:\r\n  - name: a\r\n    kind: builtin.x\r\n    hooks: [nope]\r\n";
    let errors = plugins(text, &[]).expect_err("unknown hook");
    assert_eq!(super::places(&errors), [(4, "plugins[0].hooks[0]".to_owned())]);
    assert!(errors.to_string().contains("hooks: [nope]"), "{errors}");
}

#[test]
fn template_loop_runs_out_of_steps() {
    let text = "plugins: []\n{% for i in range(100000) %}{% for j in range(100000) %}{% if env.X %}{% endif %}{% endfor %}{% endfor %}\n";
    let errors = plugins(text, &[]).expect_err("out of steps");
    assert_eq!(kinds(&errors), [DiagnosticKind::Limit]);
    assert_eq!(super::places(&errors)[0].0, 2);
}

#[test]
fn template_output_is_bounded() {
    let text = format!("{{% for i in range(90000) %}}# {}\n{{% endfor %}}\n", "x".repeat(2_000));
    assert_eq!(kinds(&plugins(&text, &[]).expect_err("too large")), [DiagnosticKind::Limit]);
}

#[test]
fn include_circle_is_told_with_its_way() {
    let dir = folder(&[("a.yaml", "include: [b.yaml]\n"), ("b.yaml", "\ninclude: [a.yaml]\n")]);
    let loader = Loader::new(env(&[])).own_file(dir.path().join("a.yaml"));
    let errors = loader.load::<crate::config::RawPluginsFile>().expect_err("circle");
    assert_eq!(kinds(&errors), [DiagnosticKind::Include]);
    assert!(errors.to_string().contains("includes itself"), "{errors}");
    assert!(errors.list()[0].span.as_ref().is_some_and(|s| s.file().ends_with("b.yaml")));
}

#[test]
fn second_document_foreign_tags_and_odd_keys_are_refused() {
    for text in [
        "a: 1\n---\nb: 2\n",
        "a: !!python/object:os.system x\n",
        "? [a, b]\n: c\n",
        "- a\n- b\n",
        "just text",
    ] {
        refused(text.as_bytes());
    }
}

#[test]
fn empty_files_are_empty_configurations() {
    for text in ["", "# only a comment\n", "---\n", "plugins:\n", "plugins: null\nplugin_settings:\n"] {
        let file = plugins(text, &[]).unwrap_or_else(|e| panic!("{text:?}: {e}"));
        assert!(file.entries.is_empty());
    }
}

#[test]
fn duplicate_keys_name_both_lines() {
    let errors = refused(b"plugins: []\nplugin_dirs: []\nplugins: []\n");
    assert_eq!(kinds(&errors), [DiagnosticKind::Duplicate]);
    let shown = errors.to_string();
    assert!(shown.contains(":3:1") && shown.contains(":1:1"), "{shown}");
}

#[test]
fn merge_keys_and_aliases_work_as_written() {
    let text = "base: &base { mode: permissive, priority: 5 }\nplugins:\n  - { <<: *base, name: a, kind: k.K, priority: 7 }\n";
    let file = plugins(text, &[]).expect("loads");
    assert_eq!(file.entries[0].priority, 7);
    assert_eq!(file.entries[0].mode, crate::config::Mode::Permissive);
}
