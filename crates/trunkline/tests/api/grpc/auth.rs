//! `auth.v1`, `domains.v1` and `users.v1`.

use db::testing::TestDb;
use grpc::pb::{
    auth::v1::{AuthNReq, AuthZPatReq, AuthZReq, PatReq, PolicyReq},
    common::v1::{RetrieveEntityReq, RetrieveIdByRouteReq},
    users::v1::RetrieveUsersReq,
};
use serde_json::{Value, json};
use tonic::Code;

use super::{Grpc, code, refused};
use crate::plant::{Caller, Plant};

const NOBODY: &str = "5f0b4e1c-7c3a-4a8e-9d53-0d8b9f3c2a11";

fn token(token: &str) -> AuthNReq {
    AuthNReq { token: token.to_owned() }
}

fn policy(subject: &str, permission: &str, object_type: &str, object: &str) -> AuthZReq {
    let policy_req = Some(PolicyReq {
        subject_type: "user".to_owned(),
        subject: subject.to_owned(),
        permission: permission.to_owned(),
        object_type: object_type.to_owned(),
        object: object.to_owned(),
        ..PolicyReq::default()
    });
    AuthZReq { policy_req, pat_req: None }
}

fn id(id: &str) -> RetrieveEntityReq {
    RetrieveEntityReq { id: id.to_owned() }
}

/// A personal access token with these scopes (domain, kind, entity, operation): its id and its secret.
async fn pat(owner: &Caller, scopes: &[[&str; 4]]) -> (String, String) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let made = owner.post("/pats", json!({"name": "adapter", "duration": "30d"})).await.expect(201);
    let scope = |[domain, kind, entity, operation]: &[&str; 4]| json!({"domain_id": domain, "entity_type": kind, "entity_id": entity, "operation": operation});
    let scopes: Vec<_> = scopes.iter().map(scope).collect();
    let id = text(&made["id"]);
    owner.patch(&format!("/pats/{id}/scope/add"), json!({"scopes": scopes})).await.expect(200);
    (id, text(&made["secret"]))
}

db::both_databases! {
    async fn a_token_tells_whose_it_is_for_as_long_as_it_is_good(db: TestDb) {
        let plant = Plant::new(db).await;
        let (grpc, user) = (Grpc::of(&plant).await, plant.user("ada").await);

        let known = grpc.auth().authenticate(token(user.token.as_ref().unwrap())).await.unwrap().into_inner();
        assert_eq!((known.user_id.as_str(), known.user_role, known.token_type), (user.id.as_str(), 1, 0));
        let admin = grpc.auth().authenticate(token(plant.admin.token.as_ref().unwrap())).await.unwrap();
        assert_eq!(admin.into_inner().user_role, 2);

        for bad in ["", "x", "pat_x"] {
            assert_eq!(code(grpc.auth().authenticate(token(bad)).await), Code::Unauthenticated, "{bad}");
        }
        let no_pat = grpc.auth().authenticate_pat(token(user.token.as_ref().unwrap())).await;
        assert_eq!(code(no_pat), Code::Unauthenticated);
        plant.admin.post(&format!("/users/{}/disable", user.id), Value::Null).await.expect(200);
        let disabled = grpc.auth().authenticate(token(user.token.as_ref().unwrap())).await;
        assert_eq!(code(disabled), Code::Unauthenticated);
    }

    async fn a_permission_is_granted_by_name_and_a_denial_is_an_error(db: TestDb) {
        let plant = Plant::new(db).await;
        let (grpc, owner, other) = (Grpc::of(&plant).await, plant.user("ada").await, plant.user("bob").await);
        let domain = owner.domain("plant").await;
        let client = owner.client(&domain, "pump").await;
        let (owner_in, other_in) = (format!("{domain}_{}", owner.id), format!("{domain}_{}", other.id));

        for ask in [
            policy(&owner_in, "membership", "domain", &domain),
            policy(&owner_in, "read_permission", "client", &client),
            policy(&plant.admin.id, "admin", "platform", "magistrala"),
            policy(&plant.admin.id, "read_permission", "client", &client),
        ] {
            assert!(grpc.auth().authorize(ask).await.unwrap().into_inner().authorized);
        }
        let denied = (Code::PermissionDenied, "failed to perform authorization over the entity".to_owned());
        for ask in [
            policy(&other_in, "read_permission", "client", &client),
            policy(&owner.id, "read_permission", "client", &client),
            policy(&owner.id, "admin", "platform", "magistrala"),
            policy(&owner_in, "read_permission", "client", NOBODY),
        ] {
            assert_eq!(refused(grpc.auth().authorize(ask).await), denied);
        }

        let reads = || policy(&owner_in, "read_permission", "client", &client);
        plant.admin.post(&format!("/users/{}/disable", owner.id), Value::Null).await.expect(200);
        assert_eq!(refused(grpc.auth().authorize(reads()).await), denied, "roles of a disabled user rest");
        plant.admin.post(&format!("/users/{}/enable", owner.id), Value::Null).await.expect(200);
        assert!(grpc.auth().authorize(reads()).await.unwrap().into_inner().authorized);
    }

    async fn a_question_without_all_its_parts_is_malformed(db: TestDb) {
        let plant = Plant::new(db).await;
        let grpc = Grpc::of(&plant).await;
        let asks = [
            (policy("", "membership", "domain", NOBODY), "malformed policy subject"),
            (policy("a b", "membership", "domain", NOBODY), "malformed policy subject"),
            (policy(NOBODY, "", "domain", NOBODY), "malformed policy permission"),
            (policy(NOBODY, "no_such", "domain", NOBODY), "malformed policy permission"),
            (policy(NOBODY, "membership", "", NOBODY), "malformed policy object"),
            (policy(NOBODY, "membership", "no_such", NOBODY), "malformed policy object"),
            (policy(NOBODY, "admin", "platform", "other"), "malformed policy object"),
            (AuthZReq::default(), "malformed policy subject"),
        ];
        for (ask, message) in asks {
            assert_eq!(refused(grpc.auth().authorize(ask).await), (Code::InvalidArgument, message.to_owned()));
        }
    }

    async fn a_personal_access_token_opens_what_its_scopes_name_until_it_is_revoked(db: TestDb) {
        let plant = Plant::new(db).await;
        let (grpc, ada) = (Grpc::of(&plant).await, plant.user("ada").await);
        let home = ada.domain("home").await;
        let (one, two) = (ada.client(&home, "one").await, ada.client(&home, "two").await);
        let (pat, secret) = pat(&ada, &[[&home, "clients", &one, "view"], [&home, "domains", "*", "read"]]).await;

        let known = grpc.auth().authenticate(token(&secret)).await.unwrap().into_inner();
        assert_eq!((&known.id, &known.user_id, known.user_role, known.token_type), (&pat, &ada.id, 1, 4));
        let older = grpc.auth().authenticate_pat(token(&secret)).await.unwrap().into_inner();
        assert_eq!(older, known);

        let ask = |client: &str, operation: &str| {
            let mut ask = policy(&format!("{home}_{}", ada.id), "read_permission", "client", client);
            ask.pat_req = Some(PatReq {
                pat_id: pat.clone(),
                user_id: ada.id.clone(),
                domain: home.clone(),
                operation: operation.to_owned(),
                entity_id: client.to_owned(),
                entity_type: "clients".to_owned(),
            });
            ask
        };
        assert!(grpc.auth().authorize(ask(&one, "view")).await.unwrap().into_inner().authorized);
        assert_eq!(code(grpc.auth().authorize(ask(&two, "view")).await), Code::PermissionDenied);
        assert_eq!(code(grpc.auth().authorize(ask(&one, "update")).await), Code::PermissionDenied);

        // The older numbers: clients 2, domains 3; read 1, update 3.
        let older = |entity_type, operation, entity: &str| AuthZPatReq {
            user_id: ada.id.clone(),
            pat_id: pat.clone(),
            entity_type,
            optional_domain_id: home.clone(),
            operation,
            entity_id: entity.to_owned(),
        };
        for ask in [older(2, 1, &one), older(3, 1, &home)] {
            assert!(grpc.auth().authorize_pat(ask).await.unwrap().into_inner().authorized);
        }
        let foreign = AuthZPatReq { user_id: plant.admin.id.clone(), ..older(2, 1, &one) };
        for ask in [older(2, 1, &two), older(2, 3, &one), older(3, 3, &home), foreign] {
            assert_eq!(code(grpc.auth().authorize_pat(ask).await), Code::PermissionDenied);
        }

        ada.patch(&format!("/pats/{pat}/secret/revoke"), Value::Null).await.expect(204);
        assert_eq!(code(grpc.auth().authenticate(token(&secret)).await), Code::Unauthenticated);
        assert_eq!(code(grpc.auth().authorize(ask(&one, "view")).await), Code::PermissionDenied);
        assert_eq!(code(grpc.auth().authorize_pat(older(2, 1, &one)).await), Code::PermissionDenied);
    }

    async fn a_scope_opens_nothing_that_its_owner_may_not(db: TestDb) {
        let plant = Plant::new(db).await;
        let (grpc, ada, eve) = (Grpc::of(&plant).await, plant.user("ada").await, plant.user("eve").await);
        let home = ada.domain("home").await;
        let client = ada.client(&home, "one").await;
        let (pat, _) = pat(&eve, &[[&home, "clients", "*", "view"]]).await;
        let ask = |user: &str| {
            let mut ask = policy(&format!("{home}_{user}"), "read_permission", "client", &client);
            ask.pat_req = Some(PatReq {
                pat_id: pat.clone(),
                user_id: eve.id.clone(),
                domain: home.clone(),
                operation: "view".to_owned(),
                entity_id: client.clone(),
                entity_type: "clients".to_owned(),
            });
            ask
        };
        for user in [&eve.id, &ada.id] {
            assert_eq!(code(grpc.auth().authorize(ask(user)).await), Code::PermissionDenied);
        }
    }

    async fn an_unknown_personal_access_token_grants_nothing(db: TestDb) {
        let plant = Plant::new(db).await;
        let (grpc, owner) = (Grpc::of(&plant).await, plant.user("ada").await);
        let domain = owner.domain("plant").await;
        let mut ask = policy(&format!("{domain}_{}", owner.id), "membership", "domain", &domain);
        let pat = PatReq {
            pat_id: NOBODY.to_owned(),
            user_id: owner.id.clone(),
            domain: domain.clone(),
            operation: "read".to_owned(),
            entity_id: domain.clone(),
            entity_type: "domains".to_owned(),
        };
        ask.pat_req = Some(pat.clone());
        assert_eq!(code(grpc.auth().authorize(ask.clone()).await), Code::PermissionDenied);
        ask.pat_req = Some(PatReq { entity_id: String::new(), ..pat });
        let missing = (Code::InvalidArgument, "missing entity id".to_owned());
        assert_eq!(refused(grpc.auth().authorize(ask).await), missing);
    }

    async fn a_domain_is_found_by_its_route_and_tells_whether_it_is_open(db: TestDb) {
        let plant = Plant::new(db).await;
        let grpc = Grpc::of(&plant).await;
        let domain = plant.admin.domain("plant").await;

        let found = RetrieveIdByRouteReq { route: "plant".to_owned(), domain_id: String::new() };
        let found = grpc.domains().retrieve_id_by_route(found).await.unwrap().into_inner().entity.unwrap();
        assert_eq!((found.id.as_str(), found.domain_id.as_str()), (domain.as_str(), ""));
        for (change, status) in [("disable", 1), ("freeze", 2), ("enable", 0)] {
            plant.admin.post(&format!("/domains/{domain}/{change}"), Value::Null).await.expect(200);
            let answer = grpc.domains().retrieve_status(id(&domain)).await.unwrap().into_inner();
            assert_eq!(answer.entity.unwrap().status, status, "{change}");
        }
        assert_eq!(code(grpc.domains().retrieve_status(id(NOBODY)).await), Code::NotFound);
        assert_eq!(code(grpc.domains().retrieve_status(id("")).await), Code::InvalidArgument);
        for (route, expected) in [("other", Code::NotFound), ("", Code::InvalidArgument)] {
            let ask = RetrieveIdByRouteReq { route: route.to_owned(), domain_id: String::new() };
            assert_eq!(code(grpc.domains().retrieve_id_by_route(ask).await), expected);
        }
    }

    async fn users_are_shown_also_administrators_and_those_who_are_disabled_and_not_the_deleted(db: TestDb) {
        let plant = Plant::new(db).await;
        let grpc = Grpc::of(&plant).await;
        let (ada, bob, eve) = (plant.user("ada").await, plant.user("bob").await, plant.user("eve").await);
        let gone = plant.user("gone").await;
        plant.admin.post(&format!("/users/{}/disable", eve.id), json!({})).await.expect(200);
        plant.admin.delete(&format!("/users/{}", gone.id)).await.expect(204);
        let ids = [&plant.admin.id, &bob.id, &eve.id, &ada.id, &gone.id].map(ToString::to_string).to_vec();

        let ask = RetrieveUsersReq { ids: ids.clone(), offset: 0, limit: 0 };
        let page = grpc.users().retrieve_users(ask).await.unwrap().into_inner();
        assert_eq!((page.total, page.limit, page.offset), (4, 5, 0));
        let mut names: Vec<_> = page.users.iter().map(|user| user.username.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["ada", "admin", "bob", "eve"]);
        assert!(page.users.iter().all(|user| user.private_metadata.is_none()));

        let second = RetrieveUsersReq { ids, offset: 1, limit: 1 };
        let page = grpc.users().retrieve_users(second).await.unwrap().into_inner();
        assert_eq!((page.total, page.users.len()), (4, 1));
        let none = grpc.users().retrieve_users(RetrieveUsersReq::default()).await;
        assert_eq!(code(none), Code::InvalidArgument);
    }
}
