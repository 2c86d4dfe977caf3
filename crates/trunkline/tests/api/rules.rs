//! Every route, taken from the table: nobody gets in without a right.

use access::permission::Permissions;
use db::{both_databases, testing::TestDb};
use http::Method;
use serde_json::json;
use web::Rule;

use crate::plant::Plant;

/// Routes that anyone may call, with the reason in the table. This list may only shrink.
const PUBLIC: &[&str] = &[
    "GET /",
    "GET /certs/crl",
    "GET /certs/crl/{issuer}",
    "GET /certs/download-ca",
    "GET /certs/get-ca/token",
    "GET /certs/issuers/{issuer}",
    "GET /certs/ocsp/{question}",
    "GET /certs/view-ca",
    "GET /certs/{id}/download",
    "GET /clients/bootstrap",
    "GET /clients/bootstrap/secure/{external_id}",
    "GET /clients/bootstrap/{external_id}",
    "GET /docs",
    "GET /docs/docs.css",
    "GET /docs/docs.js",
    "GET /health",
    "GET /keys/.well-known/jwks.json",
    "GET /oauth/authorize/google",
    "GET /oauth/callback/google",
    "GET /openapi.json",
    "GET /ready",
    "GET /verify-email",
    "POST /certs/csrs/{id}",
    "POST /certs/ocsp",
    "POST /oauth/callback/google",
    "POST /password/reset-request",
    "POST /users",
    "POST /users/tokens/issue",
    "POST /users/tokens/refresh",
    "PUT /password/reset",
];

/// The route's path with ids that name nothing.
fn filled(path: &str) -> String {
    let fill = |segment: &str| match segment.strip_prefix('{') {
        Some(_) => "00000000-0000-4000-8000-000000000000".to_owned(),
        None => segment.to_owned(),
    };
    path.split('/').map(fill).collect::<Vec<_>>().join("/")
}

both_databases! {
    async fn the_public_routes_are_these_and_no_others(db: TestDb) {
        let plant = Plant::new(db).await;
        let mut public: Vec<String> = plant
            .routes()
            .filter(|route| matches!(route.rule, Rule::Public(_)))
            .map(|route| format!("{} {}", route.method, route.path))
            .collect();
        public.sort();
        assert_eq!(public, PUBLIC);
    }

    async fn every_other_route_wants_a_valid_token_and_a_right(db: TestDb) {
        let plant = Plant::new(db).await;
        let stranger = plant.user("stranger").await;
        let mut tried = 0;
        for route in plant.routes().filter(|route| !matches!(route.rule, Rule::Public(_))) {
            let (method, path) = (route.method.clone(), filled(route.path));
            let body = (method != Method::GET).then(|| json!({}));
            let nobody = plant.nobody().send(method.clone(), &path, body.clone()).await;
            assert_eq!(nobody.header("www-authenticate"), "Bearer", "{method} {path}");
            assert_eq!(nobody.refused(401), "missing or invalid bearer user token", "{method} {path}");
            let forged = stranger.with_token("eyJ.eyJ.x").send(method.clone(), &path, body.clone()).await;
            forged.refused(401);
            if matches!(route.rule, Rule::Operations(_)) {
                let answer = stranger.send(method.clone(), &path, body).await;
                assert!(answer.status == 403 || answer.status == 400, "{method} {path}: {}", answer.status);
            }
            tried += 1;
        }
        assert!(tried > 30, "{tried}");
    }

    async fn every_declared_operation_has_a_permission_that_the_schema_knows(db: TestDb) {
        let plant = Plant::new(db).await;
        let schema = plant.access().graph().schema();
        for route in plant.routes() {
            if let Rule::Operations(operations) = route.rule {
                assert!(!operations.is_empty(), "{}", route.path);
                Permissions::parse(access::permission::DEFAULT, schema, operations).unwrap();
            }
        }
    }
}
