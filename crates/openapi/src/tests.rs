//! Documents, schemas of arguments, and requests.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

fn document(version: &str) -> Value {
    json!({
        "openapi": version,
        "info": { "title": "Pets", "description": "All about pets" },
        "paths": {
            "/pets": {
                "parameters": [{ "$ref": "#/components/parameters/Tenant" }],
                "get": {
                    "operationId": "listPets",
                    "summary": "Lists pets",
                    "parameters": [
                        { "name": "limit", "in": "query", "schema": { "type": "integer" } },
                        { "name": "tags", "in": "query", "schema": { "type": "array", "items": { "type": "string" } } },
                        { "name": "ids", "in": "query", "explode": false, "schema": { "type": "array", "items": {} } },
                        { "name": "filter", "in": "query", "style": "deepObject", "schema": { "type": "object" } },
                        { "name": "where", "in": "query", "content": { "application/json": { "schema": {} } } },
                        { "name": "seen", "in": "cookie", "schema": { "type": "string" } },
                        { "name": "Authorization", "in": "header", "schema": { "type": "string" } },
                    ],
                },
                "post": {
                    "operationId": "addPet",
                    "requestBody": {
                        "required": true,
                        "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Pet" } } },
                    },
                },
            },
            "/pets/{petId}": {
                "get": {
                    "operationId": "getPet",
                    "x-mcp-idempotent": false,
                    "parameters": [
                        { "name": "petId", "in": "path", "required": true, "schema": { "type": "integer" } },
                    ],
                },
                "delete": { "operationId": "brokenDelete" },
                "put": {
                    "operationId": "uploadPet",
                    "parameters": [{ "name": "petId", "in": "path", "required": true, "schema": {} }],
                    "requestBody": { "required": true, "content": { "multipart/form-data": {} } },
                },
                "patch": {
                    "operationId": "elsewhere",
                    "parameters": [{ "$ref": "https://evil.example/parameters.json#/p" }],
                },
            },
            "/login": {
                "post": {
                    "operationId": "login",
                    "requestBody": { "content": { "application/x-www-form-urlencoded": { "schema": {} } } },
                },
            },
            "/files/{a}{b}": {
                "get": {
                    "operationId": "twoInOne",
                    "parameters": [
                        { "name": "a", "in": "path", "schema": {} },
                        { "name": "b", "in": "path", "schema": {} },
                    ],
                },
            },
        },
        "components": {
            "parameters": { "Tenant": { "name": "X-Tenant", "in": "header", "schema": { "type": "string" } } },
            "schemas": {
                "Pet": {
                    "type": "object",
                    "required": ["name"],
                    "xml": { "name": "pet" },
                    "properties": {
                        "name": { "type": "string", "example": "Rex" },
                        "age": { "type": "integer", "nullable": true, "minimum": 0, "exclusiveMinimum": true },
                        "parent": { "$ref": "#/components/schemas/Pet" },
                    },
                },
            },
            "securitySchemes": {
                "key": { "type": "apiKey", "in": "query", "name": "api key" },
                "basic": { "type": "http", "scheme": "Basic" },
                "oauth": { "type": "oauth2", "flows": {} },
                "mtls": { "type": "mutualTLS" },
            },
        },
    })
}

fn read(version: &str) -> Document {
    Document::read(&document(version), &|_| true).unwrap()
}

fn map(value: Value) -> Map<String, Value> {
    let Value::Object(map) = value else { panic!("an object") };
    map
}

fn request(id: &str, arguments: Value) -> Result<Request, ArgumentError> {
    read("3.0.3").operation(id).unwrap().request(&map(arguments))
}

fn query(request: &Request) -> String {
    request.query.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

#[test]
fn operations_are_read_in_both_versions_and_what_cannot_be_called_is_told() {
    for version in ["3.0.0", "3.1.1"] {
        let document = read(version);
        let ids: Vec<&str> = document.operations.iter().map(|operation| operation.id.as_str()).collect();
        assert_eq!(ids, ["listPets", "addPet", "getPet", "login", "twoInOne"], "{version}");
        let left_out: Vec<_> =
            document.left_out.iter().map(|left| (left.id.as_str(), left.reason.as_str())).collect();
        assert!(
            left_out[0].0 == "uploadPet" && left_out[0].1.contains("multipart/form-data"),
            "{left_out:?}"
        );
        assert!(left_out[1].0 == "brokenDelete" && left_out[1].1.contains("{petId}"), "{left_out:?}");
        assert!(left_out[2].0 == "elsewhere" && left_out[2].1.contains("leads out"), "{left_out:?}");
    }
    let only = Document::read(&document("3.1.0"), &|id| id == "getPet").unwrap();
    assert_eq!((only.operations.len(), only.left_out.len()), (1, 0));
}

#[test]
fn other_documents_are_refused_with_the_reason() {
    let refused = |value: Value| Document::read(&value, &|_| true).unwrap_err().to_string();
    assert!(refused(json!({ "swagger": "2.0", "paths": {} })).contains("OpenAPI 2.0 is not read"));
    assert!(refused(json!({ "openapi": "3.2.0", "paths": {} })).contains("3.2.0"));
    assert!(refused(json!({ "openapi": "3.01", "paths": {} })).contains("3.01"));
    assert!(refused(json!({ "paths": {} })).contains("no OpenAPI document"));
    assert_eq!(
        Document::read(&json!({ "openapi": 3.1, "paths": {} }), &|_| true).unwrap().operations.len(),
        0
    );
    assert!(refused(json!({ "openapi": "3.1.0" })).contains("paths"));
}

#[test]
fn tool_has_arguments_hints_and_definitions_of_its_own() {
    let document = read("3.0.3");
    let tool = document.operation("addPet").unwrap().tool();
    assert_eq!(tool["name"], "addPet");
    assert_eq!(tool["title"], "POST /pets");
    let schema = &tool["inputSchema"];
    assert_eq!(schema["required"], json!(["body"]));
    assert_eq!(schema["properties"]["body"], json!({ "$ref": "#/$defs/Pet" }));
    assert_eq!(schema["properties"]["X-Tenant"], json!({ "type": "string" }));
    assert_eq!(
        schema["$defs"]["Pet"],
        json!({
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": { "type": "string", "examples": ["Rex"] },
                "age": { "type": ["integer", "null"], "exclusiveMinimum": 0 },
                "parent": { "$ref": "#/$defs/Pet" },
            },
        })
    );
    assert_eq!(tool["annotations"]["destructiveHint"], true);
    let tool = document.operation("getPet").unwrap().tool();
    assert_eq!(
        tool["annotations"],
        json!({ "readOnlyHint": true, "destructiveHint": false, "idempotentHint": false, "openWorldHint": true })
    );
}

#[test]
fn values_stand_where_the_document_says() {
    let made = request(
        "listPets",
        json!({
            "limit": 5, "tags": ["a b", "c&d"], "ids": [1, 2], "filter": { "age": 3 }, "where": { "a": [1] },
            "seen": "x;y", "X-Tenant": "acme",
        }),
    )
    .unwrap();
    assert_eq!((made.method, made.path.as_str()), ("GET", "/pets"));
    assert_eq!(
        query(&made),
        "limit=5&tags=a%20b&tags=c%26d&ids=1,2&filter%5Bage%5D=3&where=%7B%22a%22%3A%5B1%5D%7D"
    );
    assert_eq!(made.headers, [("X-Tenant".to_owned(), "acme".to_owned())]);
    assert_eq!(made.cookies, [("seen".to_owned(), "x%3By".to_owned())]);
    let made = request("getPet", json!({ "petId": "a/b c" })).unwrap();
    assert_eq!(made.path, "/pets/a%2Fb%20c");
    let made = request("addPet", json!({ "body": { "name": "Rex" } })).unwrap();
    assert_eq!(made.body.unwrap(), ("application/json".to_owned(), br#"{"name":"Rex"}"#.to_vec()));
    let made =
        request("login", json!({ "body": { "user": "a b", "roles": ["x", "y"], "no": null } })).unwrap();
    assert_eq!(made.body.unwrap().1, b"user=a%20b&roles=x&roles=y");
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let refused = |id, arguments| request(id, arguments).unwrap_err().to_string();
    assert!(refused("getPet", json!({})).contains("`petId` is missing"));
    assert!(refused("getPet", json!({ "petId": null })).contains("`petId` is missing"));
    assert!(refused("getPet", json!({ "petId": 1, "other": 2 })).contains("there is no argument `other`"));
    assert!(refused("addPet", json!({})).contains("`body` is missing"));
    assert!(refused("listPets", json!({ "X-Tenant": "a\r\nX-Admin: 1" })).contains("header"));
    assert!(refused("login", json!({ "body": "x" })).contains("an object"));
    for path in ["..", ".", "", "../admin", "a/../b", "..\\x"] {
        assert!(refused("getPet", json!({ "petId": path })).contains("path"), "{path}");
    }
    assert!(refused("twoInOne", json!({ "a": ".", "b": "." })).contains("path"));
}

#[test]
fn calls_over_http_give_texts_and_come_to_typed_arguments() {
    let document = read("3.1.0");
    let of = |id: &str, parameters, payload, headers| {
        document.operation(id).unwrap().arguments(&map(parameters), payload, &map(headers)).map(Value::from)
    };
    let arguments = of(
        "listPets",
        json!({ "limit": ["5"], "tags": ["a", "b"], "seen": "yes" }),
        Some(json!({})),
        json!({ "x-tenant": ["acme"], "Accept": ["*/*"] }),
    );
    let expected = json!({ "limit": 5, "tags": ["a", "b"], "seen": "yes", "X-Tenant": "acme" });
    assert_eq!(arguments.unwrap(), expected);
    let arguments = of("addPet", json!({}), Some(json!({ "name": "Rex" })), json!({}));
    assert_eq!(arguments.unwrap(), json!({ "body": { "name": "Rex" } }));
    assert_eq!(
        of("listPets", json!({ "limit": ["many"] }), None, json!({})).unwrap(),
        json!({ "limit": "many" })
    );
    let refused = of("listPets", json!({ "no": ["x"] }), None, json!({})).unwrap_err();
    assert!(refused.to_string().contains("there is no parameter `no`; there are: "));
    assert!(of("listPets", json!({}), None, json!({ "cookie": ["a=b"] })).is_err());
    assert!(of("listPets", json!({}), Some(json!({ "a": 1 })), json!({})).is_err());
}

#[test]
fn keys_are_sent_as_the_scheme_says_and_never_shown() {
    let document = read("3.1.0");
    let query = document.credential("key", "s&cret").unwrap();
    assert_eq!(query, Credential::Query("api%20key".to_owned(), "s%26cret".to_owned()));
    assert!(!format!("{query:?}").contains("cret"));
    let basic = document.credential("basic", "user:pass").unwrap();
    assert_eq!(basic, Credential::Header("authorization".to_owned(), "Basic dXNlcjpwYXNz".to_owned()));
    let bearer = document.credential("oauth", "t").unwrap();
    assert_eq!(bearer, Credential::Header("authorization".to_owned(), "Bearer t".to_owned()));
    assert!(matches!(document.credential("mtls", "t"), Err(SecurityError::Unusable { .. })));
    let unknown = document.credential("other", "t").unwrap_err().to_string();
    assert!(unknown.contains("it has key, basic, oauth, mtls"), "{unknown}");
}

#[test]
fn schemas_without_end_are_left_out() {
    let mut deep = json!({ "type": "string" });
    for _ in 0..100 {
        deep = json!({ "type": "array", "items": deep });
    }
    let document = json!({ "openapi": "3.1.0", "paths": { "/x": {
        "post": { "operationId": "deep", "requestBody": { "content": { "application/json": { "schema": deep } } } },
        "get": { "operationId": "loop", "parameters": [{ "$ref": "#/a" }] },
    } }, "a": { "$ref": "#/b" }, "b": { "$ref": "#/a" } });
    let document = Document::read(&document, &|_| true).unwrap();
    assert_eq!(document.operations.len(), 0);
    assert_eq!(document.left_out.len(), 2);
}

proptest! {
    #[test]
    fn a_value_never_leaves_its_place(value in ".*", header in ".*") {
        let document = read("3.0.3");
        if let Ok(made) = document.operation("getPet").unwrap().request(&map(json!({ "petId": value }))) {
            let rest = made.path.strip_prefix("/pets/").unwrap();
            prop_assert!(!rest.is_empty());
            prop_assert!(rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte)));
            prop_assert!(rest != "." && rest != "..");
        }
        let made = document.operation("listPets").unwrap().request(&map(json!({ "tags": [value] }))).unwrap();
        prop_assert!(!query(&made).trim_start_matches("tags=").contains(['&', '=', '#', ' ']));
        let made = document.operation("listPets").unwrap().request(&map(json!({ "X-Tenant": header })));
        if let Ok(made) = made {
            prop_assert!(made.headers[0].1.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        }
    }

    #[test]
    fn no_document_makes_it_panic(text in "[a-z{}/$#.]{0,20}", kind in 0..4_u8) {
        let odd = match kind { 0 => json!(text), 1 => json!([text]), 2 => json!({ "$ref": text }), _ => json!(null) };
        let document = json!({ "openapi": "3.1.0", "info": odd, "paths": {
            format!("/{text}"): { "parameters": odd, "get": {
                "operationId": "a", "parameters": [odd, { "name": text, "in": "path", "schema": odd }],
                "requestBody": odd,
            }, "post": odd },
            "/x": odd,
        }, "components": { "securitySchemes": odd } });
        if let Ok(document) = Document::read(&document, &|_| true) {
            for operation in &document.operations {
                let _ = operation.tool();
                let _ = operation.request(&map(json!({ text.clone(): text })));
            }
        }
    }
}
