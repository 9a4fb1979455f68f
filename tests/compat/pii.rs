//! The documents' own test of the PII filter, through the pipeline, under both generations of keys.

use mortise_framework::{Contexts, Framework, Plan, config::PluginEntry};
use mortise_plugin_api::{
    Hook, Json, Request, Revision,
    hooks::{PromptPreFetch, prompt::PromptPreFetchPayload},
};
use serde_json::{Value, json};

use super::framework;

/// What becomes of a prompt's argument.
async fn argument(kind: &str, config: &Value, text: &str) -> String {
    let framework: Framework = framework();
    let mut entry =
        PluginEntry::new("PIIFilterPlugin", kind).with_config(config.as_object().unwrap().clone());
    entry.hooks = vec!["prompt_pre_fetch".to_owned()];
    let plan = Plan { entries: vec![entry], enabled: true, ..Plan::default() };
    let (pipelines, _) =
        framework.build(&plan).await.unwrap_or_else(|errors| panic!("{}", errors.render(false)));
    let asked = PromptPreFetchPayload {
        prompt_id: "test".to_owned(),
        args: Json::from(json!({ "user_input": text })),
    };
    let chain = pipelines.chain(PromptPreFetch::ID).unwrap();
    let (mut contexts, payload) = (Contexts::new(), Revision::new(Box::new(asked)));

    let outcome = chain.run(&pipelines, &Request::new("r1"), &mut contexts, &payload).await;

    assert_eq!(outcome.blocked, None);
    let last = outcome.changed.unwrap_or(payload);
    let args = last.get::<PromptPreFetchPayload>().unwrap().args.value().unwrap().clone();
    args["user_input"].as_str().unwrap().to_owned()
}

const SENTENCE: &str = "My SSN is 123-45-6789";

#[tokio::test]
async fn documents_keys_mask_as_the_documents_show() {
    let config = json!({ "detect_ssn": true, "mask_strategy": "partial" });
    for kind in [
        "plugins.pii_filter.pii_filter.PIIFilterPlugin",
        "cpex_pii_filter.PIIFilterPlugin",
        "builtin.pii_filter",
    ] {
        let masked = argument(kind, &config, SENTENCE).await;
        assert_eq!(masked, "My SSN is XXX-XX-6789", "{kind}");
    }
}

#[tokio::test]
async fn codes_own_keys_mask_as_the_code_does() {
    let kind = "plugins.pii_filter.pii_filter.PIIFilterPlugin";
    let config = json!({ "detect_ssn": true, "default_mask_strategy": "partial" });
    assert_eq!(argument(kind, &config, SENTENCE).await, "My SSN is ***-**-6789");
}

#[tokio::test]
async fn listed_text_stays() {
    let kind = "plugins.pii_filter.pii_filter.PIIFilterPlugin";
    let config = json!({
        "detect_ssn": true, "mask_strategy": "partial", "whitelist_patterns": ["123-45-6789"],
    });
    assert_eq!(argument(kind, &config, SENTENCE).await, SENTENCE);
}
