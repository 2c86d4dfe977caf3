//! Statuses, error bodies and the guard.

use crate::sample::{KNOWN, app, call, get, post_json};

#[tokio::test]
async fn every_kind_of_error_has_its_status_and_hides_its_cause() {
    for (kind, status) in [
        ("Invalid", 400),
        ("Unauthenticated", 401),
        ("Denied", 403),
        ("NotFound", 404),
        ("Conflict", 409),
        ("TooLarge", 413),
        ("MediaType", 415),
        ("Unprocessable", 422),
        ("Limited", 429),
        ("Unavailable", 503),
        ("Internal", 500),
    ] {
        let answer = get(&app(), &format!("/fail/{kind}")).await;
        assert_eq!((answer.status, answer.message().as_str()), (status, "the public words"), "{kind}");
        assert!(!answer.text.contains("secret"), "{}", answer.text);
        assert_eq!(answer.header("www-authenticate"), if status == 401 { "Bearer" } else { "" });
        assert_eq!(answer.header("retry-after"), if matches!(status, 429 | 503) { "7" } else { "" });
    }
}

#[tokio::test]
async fn a_panic_is_an_internal_error_and_tells_nothing() {
    let answer = get(&app(), "/panic").await;
    assert_eq!(answer.status, 500);
    assert!(answer.message().starts_with("something went wrong on our side"));
    assert!(!answer.text.contains("secret"));
}

#[tokio::test]
async fn a_success_without_proof_of_authorization_never_leaves() {
    for path in ["/forgets", "/unsigned"] {
        let answer = get(&app(), path).await;
        assert_eq!(answer.status, 500, "{path}");
        assert!(!answer.text.contains("nobody"), "{path}");
        answer.message();
    }
    let not_found = get(&app(), "/plant/clients/00000000-0000-4000-8000-000000000000").await;
    assert_eq!((not_found.status, not_found.message().as_str()), (404, "entity not found"));
    assert_eq!(get(&app(), &format!("/plant/clients/{KNOWN}")).await.status, 200);
    assert_eq!(get(&app(), "/plant/clients").await.status, 200);
}

#[tokio::test]
async fn unknown_paths_and_wrong_methods_have_a_body_too() {
    let answer = get(&app(), "/no/such/path").await;
    assert_eq!((answer.status, answer.message().as_str()), (404, "page not found"));

    let answer = call(&app(), "PUT", "/plant/clients").await;
    assert_eq!((answer.status, answer.message().as_str()), (405, "method not allowed"));
    assert_eq!(answer.header("allow"), "POST,GET,HEAD");

    let answer = get(&app(), "/bare").await;
    assert_eq!((answer.status, answer.message().as_str()), (404, "Not Found"));
}

#[tokio::test]
async fn what_was_created_has_a_place_and_a_newline() {
    let answer = post_json(&app(), "/plant/clients", r#"{"name":"boiler"}"#).await;
    assert_eq!(answer.status, 201);
    let body = answer.json();
    assert_eq!(body["name"], "boiler");
    assert_eq!(answer.header("location"), format!("/clients/{}", body["id"].as_str().unwrap()));
    assert_eq!(answer.header("content-type"), "application/json");
    assert!(answer.text.ends_with("}\n"));
}

#[tokio::test]
async fn an_empty_success_is_still_of_type_json() {
    let answer = call(&app(), "DELETE", &format!("/plant/clients/{KNOWN}")).await;
    assert_eq!((answer.status, answer.text.as_str()), (204, ""));
    assert_eq!(answer.header("content-type"), "application/json");
}

#[test]
fn every_route_can_be_walked_over_with_its_rule() {
    let app = app();
    let rows: Vec<String> = app
        .routes()
        .filter(|route| route.service == "clients")
        .map(|r| format!("{} {} {} {:?}", r.method, r.path, r.operation_id, r.rule))
        .collect();
    assert_eq!(rows.len(), 12);
    assert_eq!(
        rows[2],
        "GET /{domain}/clients/{client} view_client Operations([Operation { entity: \"clients\", name: \"view\" }])"
    );
    assert!(app.routes().any(|route| route.path == "/health"));
}

#[test]
#[should_panic(expected = "Overlapping method route")]
fn two_handlers_for_one_route_stop_the_start() {
    let routes = || crate::sample::routes(crate::sample::Sample::default());
    web::App::new(vec![routes(), routes()], crate::sample::info());
}
