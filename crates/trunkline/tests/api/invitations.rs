use db::{both_databases, testing::TestDb};
use serde_json::{Value, json};

use crate::plant::{Caller, LATER, Plant, at_once};

const UNKNOWN: &str = "00000000-0000-4000-8000-000000000000";

/// A domain of ann's with a role `reader` beside `admin`, and bob who is to be invited.
struct Scene {
    plant: Plant,
    ann: Caller,
    bob: Caller,
    domain: String,
    admin_role: String,
    reader: String,
}

impl Scene {
    async fn new(db: TestDb) -> Self {
        let plant = Plant::new(db).await;
        let (ann, bob) = (plant.user("ann").await, plant.user("bob").await);
        plant.events().await;
        let domain = ann.domain("ann-1").await;
        let admin_role = plant.events().await[0].1["roles_provisioned"][0]["id"].as_str().unwrap().to_owned();
        let reader = role(&ann, &domain, "reader", json!(["read", "client_read"])).await;
        plant.events().await;
        Self { plant, ann, bob, domain, admin_role, reader }
    }

    fn path(&self) -> String {
        format!("/domains/{}/invitations", self.domain)
    }

    async fn invite(&self) -> crate::plant::Answer {
        self.send(json!({"invitee_user_id": self.bob.id, "role_id": self.reader})).await
    }

    async fn send(&self, body: Value) -> crate::plant::Answer {
        self.ann.post(&self.path(), body).await
    }

    async fn answer(&self, how: &str) -> crate::plant::Answer {
        self.bob.post(&format!("/invitations/{how}"), json!({"domain_id": self.domain})).await
    }

    async fn own(&self) -> Value {
        self.bob.get("/invitations").await.expect(200)
    }
}

/// A role of a domain; its id.
async fn role(owner: &Caller, domain: &str, name: &str, actions: Value) -> String {
    let body = json!({"role_name": name, "optional_actions": actions});
    let role = owner.post(&format!("/domains/{domain}/roles"), body).await.expect(201);
    role["id"].as_str().unwrap().to_owned()
}

both_databases! {
    async fn a_role_on_a_client_with_the_id_of_the_domain_makes_nobody_a_member(db: TestDb) {
        let scene = Scene::new(db).await;
        let elsewhere = scene.bob.domain("bobs").await;
        let twin = json!({"id": scene.domain, "name": "twin"});
        scene.bob.post(&format!("/{elsewhere}/clients"), twin).await.expect(201);
        scene.invite().await.expect(201);
    }

    async fn an_invited_user_accepts_and_holds_the_role(db: TestDb) {
        let scene = Scene::new(db).await;
        let (ann, bob, domain) = (&scene.ann, &scene.bob, &scene.domain);
        bob.get(&format!("/domains/{domain}")).await.refused(403);

        assert_eq!(scene.invite().await.expect(201), Value::Null);
        let invitation = json!({
            "invited_by": ann.id, "invitee_user_id": bob.id, "domain_id": domain, "domain_name": "ann-1",
            "role_id": scene.reader, "role_name": "reader", "created_at": "2026-01-02T03:04:05Z",
            "updated_at": "0001-01-01T00:00:00Z", "confirmed_at": "0001-01-01T00:00:00Z",
            "rejected_at": "0001-01-01T00:00:00Z",
        });
        let page = json!({"total": 1, "offset": 0, "limit": 10, "invitations": [invitation]});
        assert_eq!(scene.own().await, page);
        assert_eq!(ann.get(&scene.path()).await.expect(200), page);
        assert_eq!(bob.get(&format!("{}/{}", scene.path(), bob.id)).await.expect(200), invitation);
        bob.get(&format!("/domains/{domain}")).await.refused(403);

        scene.plant.clock.advance(LATER);
        assert_eq!(scene.answer("accept").await.expect(204), Value::Null);
        bob.get(&format!("/domains/{domain}")).await.expect(200);
        bob.post(&format!("/{domain}/clients"), json!({"name": "x"})).await.refused(403);
        assert_eq!(scene.own().await["invitations"][0]["confirmed_at"], "2026-01-02T03:05:05Z");
        assert_eq!(scene.plant.count(&format!("role_members WHERE entity_id = '{domain}'")).await, 2);

        let events = scene.plant.events().await;
        let names: Vec<&str> = events.iter().map(|event| event.0.as_str()).collect();
        assert_eq!(names, ["invitation.send", "domain.role.members.add", "invitation.accept"]);
        assert_eq!(
            events[0].1,
            json!({
                "user_id": ann.id, "token_type": "access token", "super_admin": false, "invited_by": ann.id,
                "invitee_user_id": bob.id, "domain_id": domain, "domain_name": "ann-1", "role_id": scene.reader,
                "role_name": "reader",
            })
        );
        assert_eq!(events[1].1["members"], json!([bob.id]));
    }

    async fn an_answered_invitation_cannot_be_answered_again(db: TestDb) {
        let scene = Scene::new(db).await;
        scene.invite().await.expect(201);
        scene.answer("accept").await.expect(204);
        for how in ["accept", "reject"] {
            assert_eq!(scene.answer(how).await.refused(409), "invitation already accepted");
        }
        let again = json!({"invitee_user_id": scene.bob.id, "role_id": scene.reader, "resend": true});
        assert_eq!(scene.send(again).await.refused(409), "invitation already accepted");
        assert_eq!(scene.invite().await.refused(409), "the user is a member of the domain already");
        scene.ann.send(http::Method::DELETE, &scene.path(), Some(json!({"user_id": scene.bob.id}))).await.refused(409);
    }

    async fn a_rejected_invitation_is_open_again_after_it_was_sent_again_with_another_role(db: TestDb) {
        let scene = Scene::new(db).await;
        let again = json!({"invitee_user_id": scene.bob.id, "role_id": scene.admin_role, "resend": true});
        scene.send(again.clone()).await.refused(404);
        scene.invite().await.expect(201);
        assert!(scene.invite().await.refused(409).starts_with("failed to create entity"));
        scene.answer("reject").await.expect(204);
        for how in ["accept", "reject"] {
            assert_eq!(scene.answer(how).await.refused(409), "invitation already rejected");
        }
        assert_eq!(scene.own().await["invitations"][0]["rejected_at"], "2026-01-02T03:04:05Z");

        scene.plant.clock.advance(LATER);
        scene.send(again).await.expect(201);
        let open = &scene.own().await["invitations"][0];
        assert_eq!(open["rejected_at"], "0001-01-01T00:00:00Z");
        assert_eq!(open["updated_at"], "2026-01-02T03:05:05Z");
        assert_eq!(open["role_name"], "admin");
        scene.answer("accept").await.expect(204);
        scene.bob.client(&scene.domain, "bob's").await;
        let names: Vec<String> = scene.plant.events().await.into_iter().map(|event| event.0).collect();
        assert_eq!(names[..3], ["invitation.send", "invitation.reject", "invitation.send"]);
    }

    async fn only_administrators_of_the_domain_invite(db: TestDb) {
        let scene = Scene::new(db).await;
        let steward = role(&scene.ann, &scene.domain, "steward", json!(["read", "manage_role"])).await;
        let carl = scene.plant.user("carl").await;
        let body = json!({"invitee_user_id": carl.id, "role_id": scene.reader});
        carl.post(&scene.path(), body.clone()).await.refused(403);
        scene.send(json!({"invitee_user_id": scene.bob.id, "role_id": steward})).await.expect(201);
        scene.answer("accept").await.expect(204);

        // May see and withdraw invitations, but takes all nine actions to send them.
        scene.bob.post(&scene.path(), body.clone()).await.refused(403);
        scene.bob.get(&scene.path()).await.expect(200);
        scene.plant.admin.post(&scene.path(), body).await.expect(201);
        carl.get(&scene.path()).await.refused(403);
        scene.bob.delete(&format!("{}/{}", scene.path(), carl.id)).await.expect(204);
    }

    async fn what_cannot_be_an_invitation_is_refused_with_the_reason(db: TestDb) {
        let scene = Scene::new(db).await;
        let carl = scene.plant.user("carl").await;
        let foreign = carl.domain("carl-1").await;
        let foreign = role(&carl, &foreign, "foreign", json!(["read"])).await;
        let (bob, reader) = (&scene.bob.id, &scene.reader);
        for (body, status) in [
            (json!({"role_id": reader}), 400),
            (json!({"invitee_user_id": bob}), 400),
            (json!({"invitee_user_id": "bob", "role_id": reader}), 400),
            (json!({"invitee_user_id": bob, "role_id": "domain_unknown"}), 404),
            (json!({"invitee_user_id": bob, "role_id": foreign}), 404),
            (json!({"invitee_user_id": UNKNOWN, "role_id": reader}), 422),
            (json!({"invitee_user_id": scene.ann.id, "role_id": reader}), 409),
        ] {
            scene.send(body).await.refused(status);
        }
        assert_eq!(scene.plant.count("invitations").await, 0);
        for how in ["accept", "reject"] {
            let path = format!("/invitations/{how}");
            assert_eq!(scene.bob.post(&path, json!({})).await.refused(400), "missing domainID");
            scene.answer(how).await.refused(404);
        }
        for (query, message) in [
            ("state=gone", "invalid invitation state"),
            ("limit=101", "invalid limit size"),
            ("role_id=%20", "invalid id format provided"),
        ] {
            assert_eq!(scene.bob.get(&format!("/invitations?{query}")).await.refused(400), message);
        }
    }

    async fn an_invitation_to_a_closed_domain_or_a_role_that_is_gone_waits(db: TestDb) {
        let scene = Scene::new(db).await;
        scene.invite().await.expect(201);
        scene.ann.post(&format!("/domains/{}/disable", scene.domain), json!({})).await.expect(200);
        scene.answer("accept").await.refused(422);
        scene.ann.post(&format!("/domains/{}/enable", scene.domain), json!({})).await.expect(200);
        scene.ann.delete(&format!("/domains/{}/roles/{}", scene.domain, scene.reader)).await.expect(204);
        assert!(scene.answer("accept").await.refused(404).contains("ask for a new invitation"));
        assert_eq!(scene.own().await["invitations"][0]["role_name"], Value::Null);
        scene.answer("reject").await.expect(204);
        assert_eq!(scene.plant.count("role_members").await, 1);
    }

    async fn an_invitee_removes_its_own_invitation_in_any_state(db: TestDb) {
        let scene = Scene::new(db).await;
        let own = format!("{}/{}", scene.path(), scene.bob.id);
        scene.bob.delete(&own).await.refused(404);
        scene.invite().await.expect(201);
        scene.bob.send(http::Method::DELETE, &scene.path(), Some(json!({"user_id": scene.bob.id}))).await.expect(204);
        scene.invite().await.expect(201);
        scene.answer("reject").await.expect(204);
        scene.bob.delete(&own).await.expect(204);
        assert_eq!(scene.plant.count("invitations").await, 0);
        scene.bob.delete(&format!("{}/{}", scene.path(), scene.ann.id)).await.refused(403);
        scene.ann.delete(&scene.path()).await.refused(400);
        let events = scene.plant.events().await;
        assert_eq!(events[1].0, "invitation.delete");
        assert_eq!(events[1].1["invitee_user_id"], scene.bob.id);
    }

    async fn lists_are_newest_first_paged_and_filtered(db: TestDb) {
        let scene = Scene::new(db).await;
        let mut users = Vec::new();
        for n in 0..4 {
            let user = scene.plant.user(&format!("user-{n}")).await;
            scene.plant.clock.advance(LATER);
            scene.send(json!({"invitee_user_id": user.id, "role_id": scene.reader})).await.expect(201);
            users.push(user);
        }
        users[0].post("/invitations/accept", json!({"domain_id": scene.domain})).await.expect(204);
        users[1].post("/invitations/reject", json!({"domain_id": scene.domain})).await.expect(204);
        let ids = async |query: &str| -> Vec<String> {
            let page = scene.ann.get(&format!("{}?{query}", scene.path())).await.expect(200);
            let rows = page["invitations"].as_array().unwrap();
            rows.iter().map(|row| row["invitee_user_id"].as_str().unwrap().to_owned()).collect()
        };
        let order = [3, 2, 1, 0].map(|n: usize| users[n].id.clone());
        assert_eq!(ids("").await, order);
        assert_eq!(ids("limit=2&offset=1").await, order[1..3]);
        assert_eq!(ids("state=pending").await, order[..2]);
        assert_eq!(ids("state=rejected").await, [users[1].id.clone()]);
        assert_eq!(ids("state=accepted").await, [users[0].id.clone()]);
        assert_eq!(ids(&format!("invitee_user_id={}", users[2].id)).await, [users[2].id.clone()]);
        assert_eq!(ids(&format!("invited_by={}", users[2].id)).await, Vec::<String>::new());
        assert_eq!(ids(&format!("role_id={}", scene.admin_role)).await, Vec::<String>::new());
        assert_eq!(ids(&format!("domain_id={UNKNOWN}")).await, order, "the path says which domain");
        let total = scene.ann.get(&format!("{}?only_total=true", scene.path())).await.expect(200);
        assert_eq!((&total["total"], &total["invitations"]), (&json!(4), &json!([])));
        let own = users[0].get(&format!("/invitations?invitee_user_id={}", users[1].id)).await.expect(200);
        assert_eq!(own["total"], 1, "nobody sees the invitations of others");
    }

    async fn the_open_invitations_of_whoever_leaves_the_domain_are_gone(db: TestDb) {
        let scene = Scene::new(db).await;
        let (carl, dora) = (scene.plant.user("carl").await, scene.plant.user("dora").await);
        scene.send(json!({"invitee_user_id": scene.bob.id, "role_id": scene.admin_role})).await.expect(201);
        scene.answer("accept").await.expect(204);
        for invitee in [&carl, &dora] {
            let body = json!({"invitee_user_id": invitee.id, "role_id": scene.reader});
            scene.bob.post(&scene.path(), body).await.expect(201);
        }
        let eve = scene.plant.user("eve").await;
        scene.send(json!({"invitee_user_id": eve.id, "role_id": scene.reader})).await.expect(201);
        dora.post("/invitations/accept", json!({"domain_id": scene.domain})).await.expect(204);
        let members = format!("/domains/{}/roles/{}/members/delete", scene.domain, scene.admin_role);
        scene.ann.post(&members, json!({"members": [scene.bob.id]})).await.expect(204);

        carl.post("/invitations/accept", json!({"domain_id": scene.domain})).await.refused(404);
        eve.post("/invitations/accept", json!({"domain_id": scene.domain})).await.expect(204);
        dora.get(&format!("/domains/{}", scene.domain)).await.expect(200);
        assert_eq!(scene.plant.count("invitations").await, 2);
    }

    async fn who_accepts_and_who_removes_do_not_block_each_other(db: TestDb) {
        let scene = Scene::new(db).await;
        let members = format!("/domains/{}/roles/{}/members", scene.domain, scene.reader);
        for _ in 0..6 {
            // A member with an open invitation: both requests want the membership and the invitation.
            scene.invite().await.expect(201);
            scene.ann.post(&members, json!({"members": [scene.bob.id]})).await.expect(200);
            let answers = at_once(12, |n| {
                let (ann, bob, domain) = (scene.ann.clone(), scene.bob.clone(), scene.domain.clone());
                let out = format!("{members}/delete");
                async move {
                    match n % 3 {
                        0 => ann.post(&out, json!({"members": [bob.id]})).await,
                        _ => bob.post("/invitations/accept", json!({"domain_id": domain})).await,
                    }
                }
            })
            .await;
            let statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
            assert!(statuses.iter().all(|status| *status < 500), "{statuses:?}");
            scene.ann.post(&format!("{members}/delete"), json!({"members": [scene.bob.id]})).await.expect(204);
            let own = format!("{}/{}", scene.path(), scene.bob.id);
            let left = scene.bob.delete(&own).await.status;
            assert!(left == 204 || left == 404, "{left}");
        }
    }

    async fn of_many_who_accept_at_once_one_succeeds(db: TestDb) {
        let scene = Scene::new(db).await;
        scene.invite().await.expect(201);
        let answers = at_once(16, |_| {
            let (bob, domain) = (scene.bob.clone(), scene.domain.clone());
            async move { bob.post("/invitations/accept", json!({"domain_id": domain})).await }
        })
        .await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 204).count(), 1);
        assert_eq!(answers.iter().filter(|answer| answer.status == 409).count(), 15);
        assert_eq!(scene.plant.count(&format!("role_members WHERE member_id = '{}'", scene.bob.id)).await, 1);
    }
}
