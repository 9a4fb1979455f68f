//! What needs no vendor: the rest is tested through the whole product.

use mortise_llm::family::Family;

use super::{Place, call::family_at, table::Llms};

#[test]
fn errors_have_the_wire_format_that_the_path_tells() {
    let llms = Llms::default();
    for (path, family) in [
        ("/v1/chat/completions", Family::OpenAi),
        ("/v1/messages", Family::Anthropic),
        ("/v1/messages/count_tokens", Family::Anthropic),
        ("/v1beta/models/g:generateContent", Family::Gemini),
        ("/v1beta/models", Family::Gemini),
        ("/v1/models", Family::OpenAi),
        ("/ai/x/v1/chat/completions", Family::OpenAi),
        ("/llm/call/unknown/v1/messages", Family::Anthropic),
    ] {
        assert_eq!(family_at(&llms, &Place::of(path).unwrap()), family, "{path}");
    }
}
