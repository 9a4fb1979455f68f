//! Native plugins that come with Mortise.
//!
//! One module each, all of the same anatomy: `<name>.rs` says what the plugin is for and joins it to hooks,
//! `<name>/config.rs` holds its configuration with defaults, further files its engine, which knows nothing of plugins,
//! and `<name>/tests.rs` its tests. To add one, write the module and its line in [`all`]. Pages for users stand in
//! `docs/plugins`.

#![cfg_attr(test, expect(clippy::needless_pass_by_value, reason = "tests hand over literals"))]

pub mod argument_normalizer;
pub mod audit_logger;
pub mod cached_tool_result;
pub mod catalogue;
#[cfg(feature = "cedar")]
pub mod cedar;
#[cfg(feature = "cel")]
pub mod cel;
pub mod circuit_breaker;
pub mod content_filter;
pub mod deny_list;
pub mod file_type_allowlist;
pub mod harmful_content_detector;
pub mod header_filter;
pub mod header_injector;
pub mod http_guardrail;
pub mod json_repair;
mod leftmost;
pub mod llama_guard;
pub mod opa;
pub mod openai_moderation;
pub mod output_length_guard;
mod pattern;
pub mod pii_filter;
pub mod rate_limiter;
pub mod regex_filter;
pub mod resource_filter;
pub mod retry_with_backoff;
pub mod schema_guard;
pub mod secrets_detection;
mod service;
mod shared;
pub mod sql_sanitizer;
mod tool_result;
pub mod unified_pdp;
pub mod url_reputation;
pub mod vault;

#[cfg(test)]
mod testing;

use mortise_plugin_api::NativeKind;

pub use pattern::{PatternError, TooLong};

/// Every kind of plugin in this crate.
#[must_use]
pub fn all() -> Vec<NativeKind> {
    vec![
        pii_filter::kind(),
        regex_filter::kind(),
        deny_list::kind(),
        resource_filter::kind(),
        argument_normalizer::kind(),
        sql_sanitizer::kind(),
        output_length_guard::kind(),
        rate_limiter::kind(),
        cached_tool_result::kind(),
        circuit_breaker::kind(),
        retry_with_backoff::kind(),
        header_injector::kind(),
        content_filter::kind(),
        secrets_detection::kind(),
        schema_guard::kind(),
        json_repair::kind(),
        audit_logger::kind(),
        header_filter::kind(),
        file_type_allowlist::kind(),
        url_reputation::kind(),
        harmful_content_detector::kind(),
        vault::kind(),
        http_guardrail::kind(),
        openai_moderation::kind(),
        llama_guard::kind(),
        opa::kind(),
        unified_pdp::kind(),
        #[cfg(feature = "cel")]
        cel::kind(),
        #[cfg(feature = "cedar")]
        cedar::kind(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plugin_has_a_page_that_names_its_keys_and_class_paths() {
        for kind in all() {
            let path = format!("{}/../../docs/plugins/{}.md", env!("CARGO_MANIFEST_DIR"), kind.name);
            let page = std::fs::read_to_string(&path).unwrap();
            for class_path in kind.class_paths {
                assert!(page.contains(&format!("`{class_path}`")), "{path} does not name {class_path}");
            }
            let schema = (kind.config_schema)();
            for (key, property) in schema.as_value()["properties"].as_object().unwrap() {
                assert!(page.contains(&format!("`{key}`")), "{path} does not name {key}");
                assert!(property["description"].is_string(), "{}.{key} has no description", kind.name);
            }
            assert_eq!(schema.as_value()["additionalProperties"], false, "{} takes unknown keys", kind.name);
        }
    }

    #[test]
    fn names_and_class_paths_are_unique() {
        let mut names: Vec<&str> = all().iter().flat_map(|k| [&[k.name], k.class_paths].concat()).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn every_plugin_is_built_of_an_empty_configuration_unless_it_needs_something() {
        for kind in all() {
            let sample = catalogue::about(kind.name).sample.unwrap_or("{}");
            let config = serde_json::from_str(sample).unwrap();
            assert!((kind.build)(&config).is_ok(), "{}", kind.name);
        }
    }
}
