//! Callouts at every route, taken from the table: an endpoint that says no is obeyed, and nobody without a right makes it
//! asked.

use access::roles;
use db::{both_databases, testing::TestDb};
use http::Method;
use kernel::Operation;

use crate::{
    callouts::{Endpoint, hook},
    plant::{Caller, Plant},
    tenants::Tenant,
    told_apart,
};

/// What is the caller's own: no route takes a right for it.
const OWN: [Operation; 6] = [
    domains::operations::CREATE,
    domains::operations::LIST,
    domains::operations::FREEZE,
    domains::operations::LIST_INVITATION,
    domains::operations::ACCEPT_INVITATION,
    domains::operations::REJECT_INVITATION,
];

const OF_OWN: [(Method, &str); 5] = [
    (Method::POST, "/domains"),
    (Method::GET, "/domains"),
    (Method::GET, "/invitations"),
    (Method::POST, "/invitations/accept"),
    (Method::POST, "/invitations/reject"),
];

/// A platform that asks about everything.
async fn plant(db: TestDb, endpoint: &Endpoint) -> Plant {
    let operations = [
        &OWN,
        domains::operations::ALL,
        groups::operations::ALL,
        clients::operations::ALL,
        channels::operations::ALL,
        roles::DOMAINS.operations,
    ];
    let names: Vec<&str> = operations
        .concat()
        .iter()
        .map(|operation| operation.name.strip_prefix("role_").unwrap_or(operation.name))
        .collect();
    let hooks = ["domains", "groups", "clients", "channels"]
        .map(|service| (service, hook(&[&endpoint.url], &names)))
        .to_vec();
    let settings = access::Settings { callouts: hooks, ..access::Settings::default() };
    Plant::with_settings(db, settings, |_| {}).await
}

both_databases! {
    async fn where_an_endpoint_says_no_nothing_is_done_at_any_route(db: TestDb) {
        let endpoint = Endpoint::start().await;
        let plant = plant(db, &endpoint).await;
        let ann = Tenant::settle(&plant, "ann").await;
        let before = ann.belongings(&plant).await;
        let mut routes = told_apart::routes(&plant);
        routes.extend(OF_OWN);
        endpoint.asked();
        endpoint.answers(403, "closed today");
        let mut wrong = Vec::new();
        for (method, path) in &routes {
            let body = (*method != Method::GET).then(|| ann.named(path, &ann.caller));
            // The platform's administrator alone freezes.
            let caller = if path.ends_with("freeze") { &plant.admin } else { &ann.caller };
            let answer = caller.send(method.clone(), &ann.filled(path), body).await;
            let asked = endpoint.asked().len();
            if answer.status != 403 || !answer.text.contains("closed today") || asked != 1 {
                wrong.push(format!("{method} {path}: asked {asked} times, {} {}", answer.status, answer.text));
            }
        }
        assert_eq!(wrong, Vec::<String>::new());
        assert!(routes.len() > 100, "{}", routes.len());
        endpoint.answers(200, "");
        for (before, after) in before.iter().zip(ann.belongings(&plant).await) {
            assert_eq!(*before, after);
        }
    }

    async fn nobody_makes_an_endpoint_asked_about_what_he_may_not(db: TestDb) {
        let endpoint = Endpoint::start().await;
        let plant = plant(db, &endpoint).await;
        let ann = Tenant::settle(&plant, "ann").await;
        let (bob, eve): (Caller, Caller) = (plant.user("bob").await, plant.user("eve").await);
        ann.caller.grants(&format!("/domains/{}", ann.domain), "looking", &["read"], &bob).await;
        for caller in [&bob, &eve] {
            let mut refused = 0;
            for (method, path) in told_apart::routes(&plant) {
                endpoint.asked();
                let body = (method != Method::GET).then(|| ann.named(path, caller));
                let answer = caller.send(method.clone(), &ann.filled(path), body).await;
                if answer.status == 403 {
                    refused += 1;
                    assert_eq!(endpoint.asked(), [], "{method} {path}");
                }
            }
            assert!(refused > 80, "{refused}");
        }
    }
}
