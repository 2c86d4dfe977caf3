//! What the extractors refuse, and in which words.

use axum::body::Body;
use http::{Request, header};

use crate::sample::{Answer, KNOWN, app, app_with, get, post_json, send};

async fn create(body: &str) -> Answer {
    post_json(&app(), "/plant/clients", body.to_owned()).await
}

#[tokio::test]
async fn a_body_that_is_no_json_is_refused_with_the_place_of_the_mistake() {
    for (body, detail) in [
        ("", "the body is empty"),
        ("{\"name\":", "EOF while parsing a value at line 1 column 8"),
        ("nonsense", "expected ident at line 1 column 2"),
        ("[1]", "invalid type: sequence, expected an object"),
        (r#"[{"name":"a"}]"#, "invalid type: sequence, expected an object"),
        (r#"{"name":"a","nested":["a"]}"#, "`nested`: invalid type: sequence, expected an object"),
        ("7", "invalid type: integer `7`, expected an object"),
        ("{}", "missing field `name`"),
        ("null", "missing field `name`"),
        (r#"{"name":null}"#, "missing field `name`"),
        (r#"{"name":"a","NAME":"b"}"#, "duplicate field `name`"),
        (r#"{"name":"a","metadata":{"a":1e999}}"#, "`metadata.a`: number out of range"),
        (r#"{"name":"a","count":300}"#, "`count`: invalid value: integer `300`, expected u8"),
        (
            r#"{"name":"a","nested":{"name":1}}"#,
            "`nested.name`: invalid type: integer `1`, expected a string",
        ),
    ] {
        let answer = create(body).await;
        assert_eq!(answer.status, 400, "{body}");
        assert_eq!(answer.message(), "request body is not a valid JSON, expecting a valid JSON", "{body}");
        assert!(answer.detail().starts_with(detail), "{body}: {}", answer.detail());
    }
}

#[tokio::test]
async fn a_types_own_check_speaks_first() {
    let long = "x".repeat(1025);
    let answer = create(&format!(r#"{{"name":"{long}"}}"#)).await;
    assert_eq!((answer.status, answer.message().as_str()), (400, "invalid name size"));
    assert_eq!(answer.detail(), "`name`: not accepted");

    let answer = create(&format!(r#"{{"name":"a","nested":{{"name":"{long}"}}}}"#)).await;
    assert_eq!(answer.message(), "invalid name size");
    assert_eq!(answer.detail(), "`nested.name`: not accepted");
}

#[tokio::test]
async fn unknown_fields_and_what_follows_the_document_are_ignored() {
    assert_eq!(create(r#"{"name":"a","colour":"red"} trailing"#).await.status, 201);
}

#[tokio::test]
async fn keys_match_in_any_case_and_null_leaves_the_default() {
    let answer = create(r#"{"NAME":"a","Count":null,"nested":null,"METADATA":{"Key":null,"key":1}}"#).await;
    assert_eq!((answer.status, answer.json()["name"].as_str()), (201, Some("a")), "{}", answer.text);
    assert_eq!(answer.json()["metadata"], serde_json::json!({"Key": null, "key": 1}), "as the user wrote it");
    assert_eq!(create(r#"{"name":"a","Nested":{"Name":"b","other":[{}]}}"#).await.status, 201);
    // Nothing is kept of what no field takes, however deep it is.
    let deep = format!(r#"{{"name":"a","other":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(create(&deep).await.status, 201);
    let deep = format!(r#"{{"name":"a","metadata":{{"a":{}{}}}}}"#, "[".repeat(200), "]".repeat(200));
    let answer = create(&deep).await;
    assert_eq!(answer.status, 400);
    assert!(answer.detail().ends_with("recursion limit exceeded"), "{}", answer.detail());
}

#[tokio::test]
async fn a_body_route_insists_on_its_content_type() {
    for kind in [None, Some("text/plain"), Some("application/x-www-form-urlencoded")] {
        let mut request = Request::post("/plant/clients");
        if let Some(kind) = kind {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        let answer = send(&app(), request.body(Body::from("{}")).unwrap()).await;
        assert_eq!((answer.status, answer.message().as_str()), (415, "unsupported content type"));
    }
    let twice = Request::post("/plant/clients")
        .header(header::CONTENT_TYPE, "application/octet-stream")
        .header(header::CONTENT_TYPE, "application/json");
    let answer = send(&app(), twice.body(Body::from(r#"{"name":"a"}"#)).unwrap()).await;
    assert_eq!(answer.status, 201);
}

#[tokio::test]
async fn a_query_is_refused_in_the_contracts_words() {
    for query in ["offset=1&offset=2", "offset=x", "offset="] {
        let answer = get(&app(), &format!("/plant/clients?{query}")).await;
        assert_eq!((answer.status, answer.message().as_str()), (400, "invalid query parameters"), "{query}");
        assert_eq!(answer.detail(), "`offset` cannot be read");
    }
    assert_eq!(get(&app(), "/plant/clients?offset=3?roles=true").await.text, "3\n");
}

#[tokio::test]
async fn an_id_in_the_path_has_to_be_one() {
    for id in ["x", &KNOWN.to_uppercase(), "%ff"] {
        let answer = get(&app(), &format!("/plant/clients/{id}")).await;
        assert_eq!((answer.status, answer.message().as_str()), (400, "invalid id format provided"), "{id}");
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_whether_or_not_it_says_its_length() {
    let app = app_with(web::AppOptions { body_limit: 10, ..web::AppOptions::default() });
    let announced = Request::post("/bytes").body(Body::from("x".repeat(11))).unwrap();
    let pieces = futures_util::stream::iter(["xxxxxx", "xxxxx"].map(Ok::<_, std::io::Error>));
    let streamed = Request::post("/bytes").body(Body::from_stream(pieces)).unwrap();
    for request in [announced, streamed] {
        let answer = send(&app, request).await;
        assert_eq!((answer.status, answer.message().as_str()), (413, "the request body is too large"));
    }
    let fits = send(&app, Request::post("/bytes").body(Body::from("x".repeat(10))).unwrap()).await;
    assert_eq!((fits.status, fits.text.as_str()), (202, "10\n"));
}

#[tokio::test]
async fn a_large_body_within_the_limit_passes() {
    let three_mebibytes = Request::post("/bytes").body(Body::from(vec![b'x'; 3 * 1024 * 1024])).unwrap();
    assert_eq!(send(&app(), three_mebibytes).await.text, "3145728\n");
}
