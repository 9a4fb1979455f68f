//! Data sources: texts put in, found by what they mean, and by whom.

use mortise_plugin_api::{Hook, hooks::LlmInput};
use mortise_testkit::services::{Asked, Service};
use mortise_tests::{Client, Recorder, Setup, Stand};
use serde_json::{Value, json};

/// Embeds a text by the words in it: one number for cats, one for dogs, and a little of everything.
fn embeddings(asked: &Asked) -> (u16, Value) {
    if asked.path != "/v1/embeddings" {
        return (404, json!({ "error": { "message": "nothing here" } }));
    }
    let texts = asked.body["input"].as_array().cloned().unwrap_or_default();
    let data: Vec<Value> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| {
            let count = |word: &str| text.as_str().map_or(0, |text| text.matches(word).count());
            json!({ "object": "embedding", "index": index, "embedding": [count("cat"), count("dog"), 0.1] })
        })
        .collect();
    (
        200,
        json!({ "object": "list", "data": data, "model": asked.body["model"], "usage": { "prompt_tokens": 1, "total_tokens": 1 } }),
    )
}

fn setup(vendor: &Service) -> Setup {
    Setup::new()
        .set("llms", json!({ "gpt": { "endpoint": format!("{}/v1", vendor.url()), "api_key": "s3cret" } }))
        .set(
            "datasources",
            json!({
                "docs": { "llm": "gpt", "model": "embed-small", "max_documents": 5 },
                "bare": {},
            }),
        )
}

async fn ask(client: &Client, method: &str, body: Value) -> (u16, Value) {
    let answer = client.send(method, Some(body.to_string().as_bytes())).await;
    (answer.status, answer.json())
}

async fn fill(stand: &Stand) {
    let documents = json!({ "documents": [
        { "content": "All about a cat", "metadata": { "source": "pets.pdf", "page": 1 } },
        { "content": "All about a dog", "metadata": { "source": "pets.pdf", "page": 2 } },
        { "content": "Of a cat and a dog", "metadata": { "source": "both.pdf", "page": 1 } },
    ] });
    let (status, added) = ask(&stand.admin().at("/datasource/docs/documents"), "POST", documents).await;
    assert_eq!((status, added["ids"].as_array().map(Vec::len)), (200, Some(3)), "{added}");
}

fn contents(answer: &Value) -> Vec<&str> {
    answer["documents"]
        .as_array()
        .unwrap()
        .iter()
        .map(|found| found["PageContent"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn documents_are_found_by_text_vector_and_data_and_outlive_a_restart() {
    let (vendor, recorder) = (Service::start(embeddings).await.unwrap(), Recorder::new());
    let stand = setup(&vendor).plugin("recorder", recorder.plugin(&[LlmInput::ID])).start().await;
    fill(&stand).await;
    assert_eq!(vendor.asked()[0].body["model"], "embed-small");

    let at = |path: &str| stand.client().at(&format!("/datasource/docs{path}"));
    let (status, found) = ask(&at(""), "POST", json!({ "query": "my cat", "n": 2 })).await;
    assert_eq!(status, 200, "{found}");
    assert_eq!(contents(&found), ["All about a cat", "Of a cat and a dog"]);
    assert_eq!(found["documents"][0]["Metadata"], json!({ "source": "pets.pdf", "page": 1 }));
    assert!(found["documents"][0]["Score"].as_f64().unwrap() > 0.99);
    assert!(recorder.at("llm_input").len() >= 2, "what is embedded passes the plugins of models");

    let by_vector = json!({ "embedding": [0, 1, 0], "similarity_threshold": 0.9 });
    assert_eq!(contents(&ask(&at("/vector"), "POST", by_vector).await.1), ["All about a dog"]);
    let by_data = json!({ "filter": { "source": "pets.pdf" }, "limit": 1, "offset": 1 });
    let (_, found) = ask(&at("/metadata"), "POST", by_data).await;
    assert_eq!((contents(&found), &found["total_count"]), (vec!["All about a dog"], &json!(2)));
    let (_, vectors) = ask(&at("/embeddings"), "POST", json!({ "texts": ["cat", "dog dog"] })).await;
    assert_eq!(vectors["vectors"][1], json!([0.0, 2.0, 0.1_f32]));

    let folder = stand.stop().await;
    let again = Setup::in_folder(folder)
        .set("llms", json!({ "gpt": { "endpoint": format!("{}/v1", vendor.url()), "api_key": "s3cret" } }))
        .set("datasources", json!({ "docs": { "llm": "gpt" } }))
        .start()
        .await;
    let client = again.client().at("/datasource/docs");
    assert_eq!(
        contents(&ask(&client, "POST", json!({ "query": "dog", "n": 1 })).await.1),
        ["All about a dog"]
    );
}

#[tokio::test]
async fn what_is_asked_wrong_is_told_and_a_source_is_bounded() {
    let vendor = Service::start(embeddings).await.unwrap();
    let stand = setup(&vendor).start().await;
    let client = stand.client();
    for (path, body, status, word) in [
        ("docs", json!({}), 400, "`query` is required"),
        ("docs/vector", json!({}), 400, "`embedding` is required"),
        ("docs/metadata", json!({ "filter_mode": "XOR" }), 400, "filter_mode"),
        ("docs/embeddings", json!({ "texts": [] }), 400, "`texts` is required"),
        ("docs/embeddings", json!({ "texts": vec!["x"; 101] }), 400, "at most 100"),
        ("docs/other", json!({}), 404, "nothing here"),
        ("bare", json!({ "query": "x" }), 400, "no LLM to embed"),
        ("none", json!({ "query": "x" }), 404, "no data source `none`"),
        ("docs/documents", json!({ "documents": [] }), 403, "admin token"),
    ] {
        let (found, answer) = ask(&client.at(&format!("/datasource/{path}")), "POST", body).await;
        assert_eq!((found, &answer["status"]), (status, &json!(status)), "{path}: {answer}");
        assert!(answer.to_string().contains(word), "{path}: {answer}");
    }
    assert_eq!(client.at("/datasource/docs").send("GET", None).await.status, 405);
    assert_eq!(ask(&client.at("/datasource/docs/metadata"), "POST", json!({})).await.1["total_count"], 0);

    fill(&stand).await;
    let admin = stand.admin().at("/datasource/docs/documents");
    let three = json!({ "documents": vec![json!({ "content": "x", "embedding": [1, 2] }); 3] });
    let (status, full) = ask(&admin, "POST", three).await;
    assert_eq!(status, 422, "{full}");
    assert!(full["error"].as_str().unwrap().contains("at most 5"), "{full}");
    let (_, removed) = ask(&admin, "DELETE", json!({ "filter": { "page": 1 } })).await;
    assert_eq!(removed["removed"], 2);
    assert_eq!(ask(&admin, "DELETE", json!({})).await.0, 400, "never all by mistake");
}

#[tokio::test]
async fn apps_ask_the_data_sources_they_are_granted_without_a_grant_for_the_model() {
    let vendor = Service::start(embeddings).await.unwrap();
    let stand = setup(&vendor)
        .app("some", "token-of-some", json!({ "datasources": ["docs"], "llms": [] }))
        .app("none", "token-of-none", json!({ "datasources": [] }))
        .start()
        .await;
    fill(&stand).await;
    let client = stand.client().at("/datasource/docs");
    let query = json!({ "query": "cat" });
    assert_eq!(ask(&client, "POST", query.clone()).await.0, 401);
    assert_eq!(ask(&client.token("token-of-some"), "POST", query.clone()).await.0, 200);
    let asked = vendor.asked().len();
    let (status, refused) = ask(&client.token("token-of-none"), "POST", query.clone()).await;
    assert_eq!(status, 403, "{refused}");
    let unknown = stand.client().at("/datasource/other").token("token-of-none");
    assert_eq!(ask(&unknown, "POST", query).await.0, 403, "nobody finds out what there is by asking");
    assert_eq!(vendor.asked().len(), asked);
}
