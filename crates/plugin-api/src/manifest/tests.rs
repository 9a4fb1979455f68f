use proptest::prelude::*;

use super::*;

fn range(text: &str) -> VersionRange {
    text.parse().unwrap()
}

fn version(text: &str) -> Version {
    Version::parse(text).unwrap()
}

#[test]
fn operators_of_all_three_worlds_mean_what_they_mean_there() {
    for (text, inside, outside) in [
        (">=1.0.0,<2.0.0", &["1.0.0", "1.9.9"][..], &["0.9.9", "2.0.0", "2.0.0-rc.1"][..]),
        (">= 1.0 < 2", &["1.0.0"], &["2.0.0"]),
        (">1.2", &["1.3.0"], &["1.2.9"]),
        ("<=1.2", &["1.2.9", "0.1.0"], &["1.3.0"]),
        ("==1.*", &["1.0.0", "1.7.3"], &["2.0.0"]),
        ("1.2.3", &["1.2.3"], &["1.2.4"]),
        ("~=1.4", &["1.4.0", "1.9.0"], &["1.3.9", "2.0.0"]),
        ("~=1.4.2", &["1.4.2", "1.4.9"], &["1.5.0"]),
        ("~1.4.2", &["1.4.9"], &["1.5.0"]),
        ("^0.2.3", &["0.2.9"], &["0.3.0"]),
        ("^0.0.3", &["0.0.3"], &["0.0.4"]),
        ("^1.2", &["1.9.0"], &["2.0.0", "1.1.0"]),
        (">=1,!=1.5.*", &["1.4.0", "1.6.0"], &["1.5.2"]),
        ("*", &["0.0.0", "99.0.0"], &[]),
        ("", &["3.0.0"], &[]),
    ] {
        for one in inside {
            assert!(range(text).matches(&version(one)), "{text} should hold {one}");
        }
        for one in outside {
            assert!(!range(text).matches(&version(one)), "{text} should not hold {one}");
        }
    }
}

#[test]
fn what_is_no_range_is_refused() {
    for text in [">=", "abc", ">=1.0.0.0", "=>1", "1..2", ">=1 and <2", "<>1", ">*", ">=99999999999999999999"]
    {
        assert!(text.parse::<VersionRange>().is_err(), "{text}");
    }
}

#[test]
fn framework_compatibility_is_whether_some_1_x_is_wanted() {
    let mut manifest = Manifest::new("d", "a", version("1.0.0"));
    for (text, fits) in [
        ("mcp-plugin-framework>=1.0.0,<2.0.0", true),
        ("mcp-plugin-framework >=1.4", true),
        (">=0.5", true),
        ("<1.0.0", false),
        ("mcp-plugin-framework>=2.0.0", false),
    ] {
        manifest.framework_compatibility = Some(text.parse().unwrap());
        assert_eq!(manifest.framework_problem().is_none(), fits, "{text}");
    }
    assert_eq!(
        "other-framework>=1.0".parse::<FrameworkRange>(),
        Err(RangeError::Framework("other-framework".to_owned()))
    );
}

#[test]
fn least_and_greatest_framework_bound_what_runs() {
    let mut manifest = Manifest::new("d", "a", version("1.0.0"));
    for (min, max, fits) in [
        (Some("1.0.0"), Some("2.x.x"), true),
        (Some("2.0.0"), None, false),
        (None, Some("0.9"), false),
        (None, Some("1"), true),
        (Some("1.x"), Some("*"), true),
    ] {
        manifest.compatibility.min_framework_version = min.map(|text| text.parse().unwrap());
        manifest.compatibility.max_framework_version = max.map(|text| text.parse().unwrap());
        assert_eq!(manifest.framework_problem().is_none(), fits, "{min:?} {max:?}");
    }
}

#[test]
fn dependencies_tell_plugins_from_packages() {
    for (text, name, needed) in [
        ("spacy>=3.4.0", "spacy", Needed::Unsaid),
        ("plugin:pii-filter >=1.0", "pii-filter", Needed::Plugin),
        ("uvicorn[standard]>=0.20", "uvicorn", Needed::Package),
        ("torch==2.1.0+cu118; python_version<'3.12'", "torch", Needed::Package),
        ("@scope/pkg@1.0", "@scope/pkg@1.0", Needed::Package),
        ("lib @ https://example.com/lib.whl", "lib", Needed::Package),
        ("Advanced PII Filter", "Advanced PII Filter", Needed::Unsaid),
    ] {
        let read: Dependency = text.parse().unwrap();
        assert_eq!((&*read.name, read.needed), (name, needed), "{text}");
        assert_eq!(read.to_string(), text);
    }
    assert_eq!(">=1.0".parse::<Dependency>(), Err(DependencyError::Name));
    assert!("plugin:a>=one".parse::<Dependency>().is_err());
    let read = Dependency::on_plugin("Advanced PII Filter>=2").unwrap();
    assert!(read.names("advanced-pii_filter") && !read.names("pii filter"));
}

#[test]
fn permissions_have_a_word_and_a_scope_where_one_makes_sense() {
    for text in ["hook:invoke:tool_pre_invoke", "read:context", "network:egress", "network:egress:a.b:443"] {
        assert_eq!(text.parse::<Permission>().unwrap().to_string(), text);
    }
    assert_eq!("hook:invoke".parse::<Permission>(), Err(PermissionError::NoHook));
    assert_eq!("read:context:x".parse::<Permission>(), Err(PermissionError::Scope("read:context")));
    assert!(matches!("network:egres".parse::<Permission>(), Err(PermissionError::Word(_))));
    assert!(matches!("read:contexts".parse::<Permission>(), Err(PermissionError::Word(_))));
}

#[test]
fn manifest_comes_back_from_its_json() {
    let json = serde_json::json!({
        "name": "n", "description": "d", "author": "a", "version": "1.2.3",
        "available_hooks": ["tool_pre_invoke"], "performance_tier": "low",
        "dependencies": ["x>=1"], "capabilities": ["metrics:emit"],
        "framework_compatibility": ">=1", "requirements": {"python_version": ">=3.11"}
    });
    let manifest: Manifest = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(serde_json::to_value(&manifest).unwrap(), json);
}

proptest! {
    #[test]
    fn no_text_makes_a_parser_panic(text in "\\PC{0,40}") {
        let _ = text.parse::<VersionRange>();
        let _ = text.parse::<Release>();
        let _ = text.parse::<FrameworkRange>();
        let _ = text.parse::<Dependency>();
        let _ = text.parse::<Permission>();
    }

    #[test]
    fn range_and_versions_agree_on_where_they_meet(
        operators in prop::collection::vec((prop::sample::select(vec![">=", ">", "<", "<=", "==", "~=", "^", "~"]), 0u64..3, 0u64..3, 0u64..3), 1..3),
        (major, minor, patch) in (0u64..4, 0u64..4, 0u64..4),
    ) {
        let text: Vec<String> = operators.iter().map(|(o, a, b, c)| format!("{o}{a}.{b}.{c}")).collect();
        let wanted = range(&text.join(","));
        let version = Version::new(major, minor, patch);
        // In a conjunction exactly when in each part, and never in a range that says it is empty.
        let each = text.iter().all(|part| range(part).matches(&version));
        prop_assert_eq!(wanted.matches(&version), each);
        prop_assert!(!(wanted.matches(&version) && wanted.is_empty()));
        let exact = range(&format!("=={version}"));
        prop_assert_eq!(wanted.overlaps(&exact), wanted.matches(&version));
    }
}
