//! Jinja in plugin files.

use serde_json::json;

use super::{places, plugins};
use crate::config::DiagnosticKind;

fn config(value: &str, variables: &[(&str, &str)]) -> serde_json::Value {
    let text = format!("plugins:\n  - name: a\n    kind: k.K\n    config:\n      v: {value}\n");
    let file = plugins(&text, variables).unwrap_or_else(|e| panic!("{value}: {e}"));
    file.entries[0].config_json.get("v").cloned().expect("v")
}

#[test]
fn usual_forms_of_variables_render() {
    let vars = [("NAME", " Ada "), ("N", "7"), ("ON", "true"), ("Q", "a&b<c>")];
    assert_eq!(config("\"{{ env.NAME }}\"", &vars), json!(" Ada "));
    assert_eq!(config("\"{{ env['NAME'] | trim }}\"", &vars), json!("Ada"));
    assert_eq!(config("\"{{ env.NAME | trim | lower }}\"", &vars), json!("ada"));
    assert_eq!(config("\"{{ env.NAME.strip() | upper }}\"", &vars), json!("ADA"));
    assert_eq!(config("{{ env.N | int }}", &vars), json!(7));
    assert_eq!(config("{{ env.N }}", &vars), json!(7));
    assert_eq!(config("\"{{ env.N }}\"", &vars), json!("7"));
    assert_eq!(config("{{ env.ON }}", &vars), json!(true));
    assert_eq!(config("\"{{ env.NONE }}\"", &vars), json!(""));
    assert_eq!(config("\"{{ env.NONE | default('x') }}\"", &vars), json!("x"));
    assert_eq!(config("\"{{ env.NONE | default(env.ALSO_NONE | default('y')) }}\"", &vars), json!("y"));
    assert_eq!(config("\"{{ env.get('NONE', 'z') }}\"", &vars), json!("z"));
    assert_eq!(config("\"{{ env.Q }}\"", &vars), json!("a&b<c>"));
    assert_eq!(config("{{ env.Q | tojson }}", &[("Q", "a: \"b\" # c")]), json!("a: \"b\" # c"));
    assert_eq!(config("\"{% if env.N %}yes{% else %}no{% endif %}!\"", &vars), json!("yes!"));
    assert_eq!(config("\"{% set x = env.N %}{{ x }}{{ x }}\"", &vars), json!("77"));
    assert_eq!(config("\"{% raw %}{{ env.N }}{% endraw %}\"", &vars), json!("{{ env.N }}"));
    assert_eq!(config("\"{{ '{{' }}event{{ '}}' }}\"", &vars), json!("{{event}}"));
    assert_eq!(config("\"a {{- env.N -}} b\"", &vars), json!("a7b"));
}

#[test]
fn expressions_that_do_not_start_at_env_stay_as_they_are() {
    for text in ["{{event}}", "{{ violation.code | upper }}", "{{ environment }}", "{{ user }} {%d} {# no"] {
        assert_eq!(config(&format!("'{text}'"), &[("environment", "x")]), json!(text));
    }
    assert_eq!(config("'{{event}} {{ env.A }} {{x}}'", &[("A", "b")]), json!("{{event}} b {{x}}"));
}

#[test]
fn errors_name_the_line_of_the_template() {
    let text = "# {{ env.MULTI }}\nplugins:\n{% for n in [1, 2] %}\n  - name: p{{ n }}\n    kind: k.K\n    mode: {{ env.M }}x\n{% endfor %}\n  - name: last\n    kind: k.K\n    hooks: [nope]\n";
    let errors = plugins(text, &[("MULTI", "a\n# b\n# c"), ("M", "secret")]).expect_err("bad mode");
    assert_eq!(
        places(&errors),
        [
            (6, "plugins[0].mode".to_owned()),
            (6, "plugins[1].mode".to_owned()),
            (10, "plugins[2].hooks[0]".to_owned())
        ]
    );
    let shown = errors.to_string();
    assert!(shown.contains("mode: {{ env.M }}x") && !shown.contains("secret"), "{shown}");
}

#[test]
fn column_points_past_what_was_computed() {
    let text = "plugins: [{ name: \"{{ env.LONG }}\", kind: k.K, mode: bad }]\n";
    let errors = plugins(text, &[("LONG", &"x".repeat(200))]).expect_err("bad mode");
    let span = errors.list()[0].span.clone().expect("a place");
    assert_eq!(span.column(), Some(u32::try_from(text.find("bad").unwrap()).unwrap() + 1));
}

#[test]
fn broken_templates_are_errors_at_their_line() {
    for (template, line) in [
        ("a: 1\nb: {{ env. }}\n", 2),
        ("a: 1\n\n{% if env.X %}\n", 3),
        ("a: {{ env.X | nofilter }}\n", 1),
        ("a: 1\n{% include 'x' %}\n", 2),
        ("a: 1\nb: 2\nc: {{ env.X | int }}\n", 3),
    ] {
        let errors = plugins(template, &[("X", "hidden-value")]).expect_err(template);
        assert_eq!(errors.list()[0].kind, DiagnosticKind::Template, "{errors}");
        assert_eq!(places(&errors)[0].0, line, "{errors}");
        assert!(!errors.to_string().contains("hidden-value"), "{errors}");
    }
}

#[test]
fn files_without_templates_are_not_touched() {
    assert_eq!(config("'{ a } % # }}'", &[]), json!("{ a } % # }}"));
}

#[test]
fn key_that_a_template_printed_is_never_shown() {
    // A space too few: what was meant as a value is part of the key.
    for text in [
        "plugins:\n  - name: a\n    kind: k.K\n    password:{{ env.PW }}: 1\n",
        "plugins:\n  - name: a\n    kind: k.K\n    {{ env.PW }}: 1\n",
        "plugins:\n  - name: a\n    kind: external\n    mcp: { proto: STDIO, script: x, {{ env.PW }}: 1 }\n",
        "plugins:\n  - name: a\n    kind: k.K\n    config: { {{ env.PW }}: { deep: '${UNSET_ONE}' } }\n",
        "plugins:\n  - name: a\n    kind: k.K\n    conditions: [{ {{ env.PW }}: [x] }]\n",
        "plugins:\n  - name: a\n    kind: k.K\n    description: &n {{ env.PW }}\n    *n : 1\n",
    ] {
        let file = plugins(text, &[("PW", "hunter2-secret")]).unwrap_or_else(|e| panic!("{text}: {e}"));
        let told: String =
            file.notices.iter().map(|notice| notice.render("notice", false) + &notice.path).collect();
        assert!(!told.contains("hunter2"), "{text}: {told}");
        let problems: String = file.entries.iter().map(|entry| format!("{entry:?}")).collect();
        assert!(!problems.contains("hunter2"), "{text}: {problems}");
        assert!(!format!("{:?}", file.node).contains("hunter2"), "{text}");
    }
    let text = "plugins:\n  - name: a\n    kind: k.K\n    {{ env.PW }}: 1\n";
    let file = plugins(text, &[("PW", "hunter2-secret")]).unwrap();
    assert_eq!(file.notices[0].path, "plugins[0].\"***\"");
}

#[test]
fn errors_under_a_key_that_a_template_printed_do_not_show_it() {
    for text in [
        "plugins:\n  - { name: a, kind: k.K, {{ env.PW }}: 1, {{ env.PW }}: 2 }\n",
        "plugins:\n  - { name: a, kind: k.K, conditions: { {{ env.PW }}: { x: 1 } }, mode: bad }\n",
        "plugin_settings: { {{ env.PW }}: 1, plugin_timeout: no }\n",
    ] {
        let errors = plugins(text, &[("PW", "hunter2-secret")]).expect_err(text);
        let told = format!("{errors} {errors:?}");
        assert!(!told.contains("hunter2"), "{told}");
    }
}
