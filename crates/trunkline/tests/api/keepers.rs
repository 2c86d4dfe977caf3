//! A domain, a group, a client and a channel keep an administrator, whoever takes roles away from whom at the same time.

use db::{both_databases, testing::TestDb};
use http::Method;
use serde_json::json;

use crate::plant::{Plant, at_once};

/// The ways in which a member of a role loses it.
const WAYS: usize = 4;

both_databases! {
    async fn whatever_is_taken_away_at_once_an_administrator_remains(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        let domain = ann.domain("site").await;
        let (group, client) = (ann.group(&domain, "hall", None).await, ann.client(&domain, "pump").await);
        let channel = ann.channel(&domain, "flow").await;
        let mut others = Vec::new();
        for name in ["bob", "carl", "dora"] {
            let user = plant.user(name).await;
            ann.grants(&format!("/domains/{domain}"), name, &["read"], &user).await;
            others.push(user.id);
        }
        for thing in [
            format!("/{domain}/groups/{group}"),
            format!("/{domain}/clients/{client}"),
            format!("/{domain}/channels/{channel}"),
            // Last, for whoever leaves the domain leaves everything in it.
            format!("/domains/{domain}"),
        ] {
            let roles = format!("{thing}/roles");
            let all = plant.admin.get(&format!("{roles}?limit=100")).await.expect(200)["roles"].clone();
            let admin = all.as_array().unwrap().iter().find(|role| role["name"] == "admin").unwrap();
            let role = format!("{roles}/{}", admin["id"].as_str().unwrap());
            for round in 0..4 {
                let held = plant.admin.get(&format!("{role}/members")).await.expect(200)["members"].clone();
                let mut members: Vec<String> =
                    held.as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect();
                for user in &others {
                    if members.len() < 3 && !members.contains(user) {
                        // From the domain's other roles first, since one holds a single role on a thing.
                        let named = json!({"member_ids": [user]});
                        plant.admin.send(Method::DELETE, &roles, Some(named)).await.expect(204);
                        plant.admin.post(&format!("{role}/members"), json!({"members": [user]})).await.expect(200);
                        members.push(user.clone());
                    }
                }
                assert_eq!(members.len(), 3);
                let answers = at_once(WAYS * members.len(), |n| {
                    let (caller, roles, role) = (plant.admin.clone(), roles.clone(), role.clone());
                    let (one, all) = (members[(n + round) % members.len()].clone(), members.clone());
                    async move {
                        match n % WAYS {
                            0 => caller.post(&format!("{role}/members/delete"), json!({"members": [one]})).await,
                            1 => caller.send(Method::DELETE, &roles, Some(json!({"member_ids": [one]}))).await,
                            2 => caller.post(&format!("{role}/members/delete"), json!({"members": all})).await,
                            _ => caller.post(&format!("{role}/members/delete-all"), json!({})).await,
                        }
                    }
                })
                .await;
                let statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
                assert!(statuses.iter().all(|status| [204, 400].contains(status)), "{thing}: {statuses:?}");
                assert!(statuses.contains(&204), "{thing}: nobody was taken out");
                let left = plant.admin.get(&format!("{role}/members")).await.expect(200);
                assert_eq!(left["total"], 1, "{thing}");
            }
        }
    }
}
