use std::time::Duration;

use db::{both_databases, testing::TestDb};
use http::Method;
use serde_json::{Value, json};

use crate::plant::{Caller, LATER, PASSWORD, Plant, at_once};

/// A token of the caller's with these scopes: domain, kind, entity, operation. Its id, and whoever comes with it.
async fn pat(owner: &Caller, scopes: &[[&str; 4]]) -> (String, Caller) {
    let made = owner.post("/pats", json!({"name": "ci", "duration": "30d"})).await.expect(201);
    let id = made["id"].as_str().unwrap().to_owned();
    if !scopes.is_empty() {
        owner.patch(&format!("/pats/{id}/scope/add"), scopes_of(scopes)).await.expect(200);
    }
    let holder = owner.with_token(made["secret"].as_str().unwrap());
    (id, holder)
}

fn scopes_of(scopes: &[[&str; 4]]) -> Value {
    let scope = |[domain, kind, entity, operation]: &[&str; 4]| json!({"domain_id": domain, "entity_type": kind, "entity_id": entity, "operation": operation});
    json!({"scopes": scopes.iter().map(scope).collect::<Vec<_>>()})
}

both_databases! {
    async fn a_token_is_made_with_its_secret_and_never_shows_it_again(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        let body = json!({"name": "CI/CD Pipeline", "description": "deploys", "duration": "720h"});
        let made = ann.post("/pats", body).await.expect(201);
        let secret = made["secret"].as_str().unwrap().to_owned();
        assert_eq!(secret.len(), 149);
        assert_eq!(
            made,
            json!({
                "id": made["id"], "user_id": ann.id, "name": "CI/CD Pipeline", "description": "deploys",
                "secret": secret, "issued_at": "2026-01-02T03:04:05Z", "expires_at": "2026-02-01T03:04:05Z",
                "updated_at": "0001-01-01T00:00:00Z", "last_used_at": "0001-01-01T00:00:00Z",
                "revoked_at": "0001-01-01T00:00:00Z", "status": "active",
            })
        );
        let path = format!("/pats/{}", made["id"].as_str().unwrap());
        let viewed = ann.get(&path).await.expect(200);
        assert!(viewed.get("secret").is_none());
        let listed = ann.get("/pats").await.expect(200);
        assert_eq!(listed, json!({"total": 1, "offset": 0, "limit": 10, "pats": [viewed]}));
        let renamed = ann.patch(&format!("{path}/name"), json!({"name": "CD"})).await.expect(202);
        assert_eq!((&renamed["name"], &renamed["updated_at"]), (&json!("CD"), &json!("2026-01-02T03:04:05Z")));
        assert!(renamed.get("secret").is_none());
        let described = ann.patch(&format!("{path}/description"), json!({"description": "x"})).await.expect(202);
        assert_eq!(described["description"], "x");
        let stored = plant.count(&format!("pats WHERE name LIKE '%{}%'", &secret[50..60].replace('\'', ""))).await;
        assert_eq!(stored, 0);
        assert_eq!(plant.count("pats").await, 1);
    }

    async fn what_is_wrong_with_a_token_is_named(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        let bad_json = "request body is not a valid JSON, expecting a valid JSON";
        for (body, message) in [
            (json!({"name": " ", "duration": "1h"}), "missing identity name"),
            (json!({"name": "x".repeat(255), "duration": "1h"}), "invalid name size"),
            (json!({"name": "x"}), bad_json),
            (json!({"name": "x", "duration": "soon"}), bad_json),
            (json!({"name": "x", "duration": "-1h"}), bad_json),
            (json!({"name": "x", "duration": "0s"}), bad_json),
            (json!({"name": "x", "duration": "101y"}), bad_json),
            (json!({"name": "x", "duration": 5}), bad_json),
        ] {
            assert_eq!(ann.post("/pats", body.clone()).await.refused(400), message, "{body}");
        }
        let (id, _) = pat(&ann, &[]).await;
        let path = format!("/pats/{id}");
        assert_eq!(ann.patch(&format!("{path}/name"), json!({})).await.refused(400), "missing identity name");
        let blank = ann.patch(&format!("{path}/description"), json!({"description": ""})).await;
        assert_eq!(blank.refused(400), "missing description");
        let empty = "something went wrong with the request";
        assert_eq!(ann.patch(&format!("{path}/scope/add"), json!({"scopes": []})).await.refused(400), empty);
        assert_eq!(ann.patch(&format!("{path}/scope/remove"), json!({"scopes_id": []})).await.refused(400), empty);
        assert_eq!(ann.get("/pats?limit=101").await.refused(400), "invalid limit size");
        assert_eq!(ann.get("/pats?status=gone").await.refused(400), "invalid status");
        assert_eq!(ann.get(&format!("{path}/scope?limit=0")).await.refused(400), "invalid limit size");
    }

    async fn a_personal_access_token_manages_no_tokens(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        let (id, holder) = pat(&ann, &[]).await;
        for (method, path) in [
            (Method::GET, "/pats".to_owned()),
            (Method::POST, "/pats".to_owned()),
            (Method::DELETE, "/pats".to_owned()),
            (Method::GET, format!("/pats/{id}")),
            (Method::PATCH, format!("/pats/{id}/secret/reset")),
            (Method::PATCH, format!("/pats/{id}/scope/add")),
        ] {
            let body = (method != Method::GET).then(|| json!({"name": "x", "duration": "1h"}));
            let refused = holder.send(method, &path, body).await.refused(400);
            assert_eq!(refused, "unsupported content token type", "{path}");
        }
        assert_eq!(holder.with_token("pat_x").get("/pats").await.refused(400), "unsupported content token type");
        holder.get("/users/profile").await.refused(403);
        for garbage in ["pat", "pat_", "pat_a_b_c", "pat_dXNlcjEyMw==_randomstringhere"] {
            holder.with_token(garbage).get("/domains").await.refused(401);
        }
    }

    async fn a_token_does_what_a_scope_names_and_nothing_else(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        let (home, other) = (ann.domain("home").await, ann.domain("other").await);
        let (one, two) = (ann.client(&home, "one").await, ann.client(&home, "two").await);
        let (id, holder) = pat(&ann, &[]).await;
        let view = |client: &str| format!("/{home}/clients/{client}");
        holder.get(&view(&one)).await.refused(403);

        // The example of the documentation, with the older name of the domain.
        let scopes = json!({"scopes": [
            {"optional_domain_id": home, "entity_type": "clients", "operation": "create", "entity_id": "*"},
            {"optional_domain_id": home, "entity_type": "clients", "operation": "read", "entity_id": one},
            {"optional_domain_id": home, "entity_type": "dashboards", "operation": "read", "entity_id": "*"},
        ]});
        ann.patch(&format!("/pats/{id}/scope/add"), scopes).await.expect(200);
        holder.get(&view(&one)).await.expect(200);
        holder.get(&view(&two)).await.refused(403);
        holder.patch(&view(&one), json!({"name": "x"})).await.refused(403);
        holder.get(&format!("/{home}/clients")).await.refused(403);
        holder.post(&format!("/{home}/clients"), json!({"name": "three"})).await.expect(201);
        holder.post(&format!("/{other}/clients"), json!({"name": "three"})).await.refused(403);
        holder.get(&format!("/domains/{home}")).await.refused(403);
        holder.get("/domains").await.refused(403);

        let more = [
            [home.as_str(), "clients", "*", "list"],
            [home.as_str(), "domains", "*", "read"],
            ["*", "domains", "*", "list"],
        ];
        ann.patch(&format!("/pats/{id}/scope/add"), scopes_of(&more)).await.expect(200);
        assert_eq!(holder.get(&format!("/{home}/clients")).await.expect(200)["total"], 3);
        holder.get(&format!("/domains/{home}")).await.expect(200);
        holder.get("/domains").await.expect(200);

        // What the owner may not, the token may not: the scope names a domain of another user.
        let eve = plant.user("eve").await;
        let (_, thief) = pat(&eve, &[[home.as_str(), "clients", "*", "view"]]).await;
        thief.get(&view(&one)).await.refused(403);
    }

    async fn an_administrators_token_is_scoped_as_well(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        let home = ann.domain("home").await;
        ann.client(&home, "one").await;
        let (id, holder) = pat(&plant.admin, &[]).await;
        holder.get(&format!("/{home}/clients")).await.refused(403);
        holder.get("/domains").await.refused(403);
        holder.get("/users").await.refused(403);
        plant.admin
            .patch(&format!("/pats/{id}/scope/add"), scopes_of(&[[home.as_str(), "clients", "*", "list_clients"]]))
            .await
            .expect(200);
        assert_eq!(holder.get(&format!("/{home}/clients")).await.expect(200)["total"], 1);
    }

    async fn scopes_are_listed_merged_and_removed(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        let home = ann.domain("home").await;
        let (one, two) = (ann.client(&home, "one").await, ann.client(&home, "two").await);
        let home = home.as_str();
        let (id, holder) = pat(&ann, &[[home, "clients", &one, "view"], [home, "clients", &two, "view"]]).await;
        let path = format!("/pats/{id}/scope");
        assert_eq!(ann.get(&path).await.expect(200)["total"], 2);
        let again = ann.patch(&format!("{path}/add"), scopes_of(&[[home, "clients", &one, "read"]])).await;
        assert_eq!(again.refused(409), "entity already exists");
        // All or none: the second of these is there already.
        let both = scopes_of(&[[home, "clients", "*", "update"], [home, "clients", &one, "view"]]);
        ann.patch(&format!("{path}/add"), both).await.refused(409);
        assert_eq!(plant.count("pat_scopes").await, 2);

        ann.patch(&format!("{path}/add"), scopes_of(&[[home, "clients", "*", "view"]])).await.expect(200);
        let listed = ann.get(&format!("/pats/{id}/scopes")).await.expect(200);
        let scope = &listed["scopes"][0];
        assert_eq!(
            listed,
            json!({"total": 1, "offset": 0, "limit": 10, "scopes": [{
                "id": scope["id"], "pat_id": id, "domain_id": home, "entity_type": "clients", "entity_id": "*",
                "operation": "view",
            }]})
        );
        let single = scopes_of(&[[home, "clients", &two, "view"]]);
        ann.patch(&format!("{path}/add"), single).await.refused(409);
        let view = format!("/{home}/clients/{two}");
        holder.get(&view).await.expect(200);

        plant.events().await;
        let unknown = json!({"scopes_id": ["00000000-0000-4000-8000-000000000000"]});
        ann.patch(&format!("{path}/remove"), unknown).await.refused(404);
        ann.patch(&format!("{path}/remove"), json!({"scopes_id": [scope["id"]]})).await.expect(200);
        holder.get(&view).await.refused(403);
        let announced = plant.events().await;
        assert_eq!(announced.len(), 1);
        assert_eq!(announced[0].0, "pat.remove_scopes");
        assert_eq!(announced[0].1, json!({"id": id, "user_id": ann.id, "token_type": "access token"}));

        ann.patch(&format!("{path}/add"), scopes_of(&[[home, "clients", "*", "view"]])).await.expect(200);
        holder.get(&view).await.expect(200);
        ann.delete(&path).await.expect(200);
        holder.get(&view).await.refused(403);
        assert_eq!(plant.count("pat_scopes").await, 0);
    }

    async fn a_scope_that_could_never_be_met_is_refused(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        let home = ann.domain("home").await;
        let (id, _) = pat(&ann, &[]).await;
        let home = home.as_str();
        for (scope, message) in [
            (["", "clients", "*", "view"], "missing domainID"),
            ([home, "clients", "", "view"], "missing entity id"),
            ([home, "users", "*", "view"], "operation not valid for entity type"),
            ([home, "clients", "*", "veiw"], "operation not valid for entity type"),
            ([home, "rules", home, "alarm_assign"], "alarm operations on rules entity type require wildcard entity ID"),
            ([home, "clients", "one", "view"], "invalid id format provided"),
        ] {
            let refused = ann.patch(&format!("/pats/{id}/scope/add"), scopes_of(&[scope])).await.refused(400);
            assert_eq!(refused, message);
        }
        assert_eq!(plant.count("pat_scopes").await, 0);
    }

    async fn a_revoked_token_is_refused_at_once_and_works_again_with_a_new_secret(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        let home = ann.domain("home").await;
        let (id, holder) = pat(&ann, &[[home.as_str(), "domains", "*", "read"]]).await;
        let domain = format!("/domains/{home}");
        holder.get(&domain).await.expect(200);
        plant.events().await;
        ann.send(Method::PATCH, &format!("/pats/{id}/secret/revoke"), None).await.expect(204);
        holder.get(&domain).await.refused(401);
        ann.send(Method::PATCH, &format!("/pats/{id}/revoke"), None).await.expect(204);
        let announced = plant.events().await;
        assert_eq!(announced.iter().map(|event| event.0.as_str()).collect::<Vec<_>>(), ["pat.revoke"]);
        let viewed = ann.get(&format!("/pats/{id}")).await.expect(200);
        assert_eq!((&viewed["status"], &viewed["revoked"]), (&json!("revoked"), &json!(true)));
        assert_eq!(viewed["revoked_at"], "2026-01-02T03:04:05Z");
        assert_eq!(ann.get("/pats").await.expect(200)["total"], 0);
        assert_eq!(ann.get("/pats?status=revoked").await.expect(200)["total"], 1);

        let reset = ann.patch(&format!("/pats/{id}/reset"), json!({"duration": "1h"})).await.expect(200);
        assert_eq!((&reset["status"], &reset["expires_at"]), (&json!("active"), &json!("2026-01-02T04:04:05Z")));
        holder.get(&domain).await.refused(401);
        let holder = ann.with_token(reset["secret"].as_str().unwrap());
        holder.get(&domain).await.expect(200);
        plant.clock.advance(Duration::from_secs(3600));
        holder.get(&domain).await.refused(401);
        let ann = plant.nobody().logged_in("ann").await;
        assert_eq!(ann.get("/pats?status=expired").await.expect(200)["total"], 1);
        assert_eq!(ann.get("/pats?status=all&name=C").await.expect(200)["total"], 1);
        assert_eq!(ann.get(&format!("/pats?status=all&id={id}")).await.expect(200)["total"], 1);
        assert_eq!(ann.get("/pats?status=all&name=x").await.expect(200)["total"], 0);
    }

    async fn a_removed_token_is_gone_with_its_scopes(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        let home = ann.domain("home").await;
        let scope = [[home.as_str(), "domains", "*", "read"]];
        let ((first, one), (_, two)) = (pat(&ann, &scope).await, pat(&ann, &scope).await);
        let domain = format!("/domains/{home}");
        one.get(&domain).await.expect(200);
        ann.delete(&format!("/pats/{first}")).await.expect(204);
        one.get(&domain).await.refused(401);
        two.get(&domain).await.expect(200);
        ann.delete("/pats").await.expect(200);
        two.get(&domain).await.refused(401);
        assert_eq!((plant.count("pats").await, plant.count("pat_scopes").await), (0, 0));
        let body = json!({"duration": "1h", "name": "x", "description": "x", "scopes_id": ["x"]});
        for (method, path) in [
            (Method::GET, ""),
            (Method::DELETE, ""),
            (Method::PATCH, "/name"),
            (Method::PATCH, "/description"),
            (Method::PATCH, "/secret/reset"),
            (Method::PATCH, "/secret/revoke"),
            (Method::GET, "/scope"),
            (Method::PATCH, "/scope/remove"),
            (Method::DELETE, "/scope"),
        ] {
            let body = (method == Method::PATCH).then(|| body.clone());
            let answer = ann.send(method, &format!("/pats/{first}{path}"), body).await;
            assert_eq!(answer.refused(404), "entity not found", "{path}");
        }
        ann.patch(&format!("/pats/{first}/scope/add"), scopes_of(&scope)).await.refused(404);
    }

    async fn nobody_sees_or_changes_anothers_token(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        let home = ann.domain("home").await;
        let scope = [[home.as_str(), "domains", "*", "read"]];
        let (id, holder) = pat(&ann, &scope).await;
        let listed = ann.get(&format!("/pats/{id}/scope")).await.expect(200);
        let scope_id = listed["scopes"][0]["id"].clone();
        let eve = plant.user("eve").await;
        for thief in [&eve, &plant.admin] {
            thief.get(&format!("/pats/{id}")).await.refused(404);
            thief.get(&format!("/pats/{id}/scope")).await.refused(404);
            thief.patch(&format!("/pats/{id}/scope/add"), scopes_of(&scope)).await.refused(404);
            thief.patch(&format!("/pats/{id}/scope/remove"), json!({"scopes_id": [scope_id]})).await.refused(404);
            thief.patch(&format!("/pats/{id}/reset"), json!({"duration": "1h"})).await.refused(404);
            thief.delete("/pats").await.expect(200);
            assert_eq!(thief.get("/pats?status=all").await.expect(200)["total"], 0);
        }
        // A scope's id is good for its own token only.
        let (own, _) = pat(&eve, &[]).await;
        let remove = json!({"scopes_id": [scope_id]});
        eve.patch(&format!("/pats/{own}/scope/remove"), remove).await.refused(404);
        holder.get(&format!("/domains/{home}")).await.expect(200);
    }

    async fn disabling_a_user_suspends_its_tokens_and_a_new_password_voids_their_secrets(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        let home = ann.domain("home").await;
        let (id, holder) = pat(&ann, &[[home.as_str(), "domains", "*", "read"]]).await;
        let domain = format!("/domains/{home}");
        let status = |verb| format!("/users/{}/{verb}", ann.id);
        plant.admin.post(&status("disable"), json!({})).await.expect(200);
        holder.get(&domain).await.refused(401);
        plant.admin.post(&status("enable"), json!({})).await.expect(200);
        holder.get(&domain).await.expect(200);

        let ann = plant.nobody().logged_in("ann").await;
        let change = json!({"old_secret": PASSWORD, "new_secret": "another horse"});
        ann.patch("/users/secret", change).await.expect(200);
        holder.get(&domain).await.refused(401);
        let login = json!({"username": "ann", "password": "another horse"});
        let tokens = plant.nobody().post("/users/tokens/issue", login).await.expect(201);
        let ann = ann.with_token(tokens["access_token"].as_str().unwrap());
        assert_eq!(ann.get(&format!("/pats/{id}")).await.expect(200)["status"], "revoked");
        let reset = ann.patch(&format!("/pats/{id}/secret/reset"), json!({"duration": "1h"})).await.expect(200);
        assert_eq!(reset["status"], "active");
        ann.with_token(reset["secret"].as_str().unwrap()).get(&domain).await.expect(200);
    }

    async fn the_use_of_a_token_is_noted_once_a_minute(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        let home = ann.domain("home").await;
        let (id, holder) = pat(&ann, &[[home.as_str(), "domains", "*", "read"]]).await;
        let domain = format!("/domains/{home}");
        let noted = async |at: &str| {
            holder.get(&domain).await.expect(200);
            while ann.get(&format!("/pats/{id}")).await.expect(200)["last_used_at"] != at {
                tokio::task::yield_now().await;
            }
        };
        noted("2026-01-02T03:04:05Z").await;
        plant.clock.advance(Duration::from_secs(59));
        noted("2026-01-02T03:04:05Z").await;
        plant.clock.advance(Duration::from_secs(1));
        noted("2026-01-02T03:05:05Z").await;
    }

    async fn the_newest_tokens_come_first_page_by_page(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        for n in 0..3 {
            ann.post("/pats", json!({"name": format!("pat {n}"), "duration": "1d"})).await.expect(201);
            plant.clock.advance(LATER);
        }
        let page = ann.get("/pats?limit=2&offset=1").await.expect(200);
        let names: Vec<_> = page["pats"].as_array().unwrap().iter().map(|pat| pat["name"].clone()).collect();
        assert_eq!(names, ["pat 1", "pat 0"]);
        assert_eq!((&page["total"], &page["offset"], &page["limit"]), (&json!(3), &json!(1), &json!(2)));
    }

    async fn the_same_scope_many_times_at_once_is_added_once(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        let home = ann.domain("home").await;
        let (id, _) = pat(&ann, &[]).await;
        let body = scopes_of(&[[home.as_str(), "clients", "*", "view"]]);
        let answers = at_once(16, |_| {
            let (ann, path, body) = (ann.clone(), format!("/pats/{id}/scope/add"), body.clone());
            async move { ann.patch(&path, body).await }
        })
        .await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
        assert!(answers.iter().all(|answer| answer.status == 200 || answer.status == 409));
        assert_eq!(plant.count("pat_scopes").await, 1);
    }
}
