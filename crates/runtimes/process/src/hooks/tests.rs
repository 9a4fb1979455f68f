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
