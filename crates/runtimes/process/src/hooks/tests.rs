use super::*;

#[test]
fn words_of_plugins_mean_hooks_and_offers_mean_none() {
    let of = |words: &[&str]| of_words(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
    assert_eq!(of(&["pre_auth", "pre_auth"]), [HttpPreRequest::ID]);
    assert!(of(&["custom_endpoint", ""]).is_empty());
    let all = of(&["pre_auth", "auth", "post_auth", "on_response", "data_collection", "studio_ui"]);
    let mut known = ALL.to_vec();
    known.sort_unstable();
    assert_eq!(all, known);
}

#[test]
fn only_answers_and_records_have_another_mode_than_all() {
    let other: Vec<HookId> = ALL.iter().copied().filter(|hook| default_mode(*hook).is_some()).collect();
    let mut of_answers_and_records = of_words(&["on_response", "data_collection"].map(str::to_owned));
    of_answers_and_records.retain(|hook| ALL.contains(hook));
    let mut other_sorted = other;
    other_sorted.sort_unstable();
    assert_eq!(other_sorted, of_answers_and_records);
}

#[test]
fn block_carries_status_headers_and_reason() {
    let answer = PluginResponse {
        block: true,
        status_code: 429,
        headers: [("Retry-After".to_owned(), "3".to_owned())].into(),
        body: Bytes::from_static(b"slow down"),
        ..PluginResponse::default()
    };
    let violation = refusal(answer.clone()).violation.unwrap();
    assert_eq!((violation.http_status_code, violation.reason.as_str()), (Some(429), "slow down"));
    assert_eq!(violation.http_headers.unwrap().get("retry-after"), Some("3"));
    assert_eq!(violation.http_body.unwrap(), "slow down");

    let bare = PluginResponse { status_code: 0, headers: [].into(), body: Bytes::new(), ..answer };
    let violation = refusal(bare).violation.unwrap();
    assert_eq!((violation.http_status_code, violation.http_headers), (Some(403), None));
    assert_eq!(violation.http_body, None);
}
