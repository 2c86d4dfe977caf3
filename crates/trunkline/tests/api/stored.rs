//! What is in the database: no secret in the clear, and nothing of what could not be done.

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};
use db::{Engine, Tx, both_databases, params, testing::TestDb};
use http::Method;
use kernel::Result;
use serde_json::{Value, json};

use crate::{
    plant::{Answer, Caller, PASSWORD, Plant},
    users_mail::{ask_for_reset, deliver_all, plant_with_mail},
};

/// Each table with its rows as text; of bytes the hexadecimal digits.
type Contents = BTreeMap<String, Vec<String>>;

async fn contents(plant: &Plant) -> Contents {
    plant.write(|tx| Box::pin(read(tx))).await
}

async fn read(tx: &mut Tx) -> Result<Contents> {
    let (tables, columns, text) = match tx.engine() {
        Engine::Sqlite => (
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'",
            "SELECT name FROM pragma_table_info($1)",
            "quote(@)",
        ),
        Engine::Postgres => (
            "SELECT tablename::text AS name FROM pg_tables WHERE schemaname = 'public'",
            "SELECT column_name::text AS name FROM information_schema.columns
              WHERE table_schema = 'public' AND table_name = $1",
            "coalesce(@::text, 'NULL')",
        ),
    };
    let mut contents = Contents::new();
    for table in tx.all(tables, params![]).await? {
        let table: String = table.get("name")?;
        let columns = tx.all(columns, params![table.as_str()]).await?;
        let named =
            |column: &db::Row| Ok(text.replace('@', &format!("\"{}\"", column.get::<String>("name")?)));
        let line = columns.iter().map(named).collect::<Result<Vec<_>>>()?.join(" || ' | ' || ");
        let rows = tx.all(&format!("SELECT {line} AS line FROM {table} ORDER BY 1"), params![]).await?;
        contents.insert(table, rows.iter().map(|row| row.get("line")).collect::<Result<_>>()?);
    }
    Ok(contents)
}

/// Where a text stands, as it is, as digits of its bytes, or in base 64.
fn found_in(contents: &Contents, text: &str) -> Vec<String> {
    let digits: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    let encoded = BASE64_STANDARD_NO_PAD.encode(text);
    let shows = |row: &String| {
        row.contains(text) || row.to_ascii_lowercase().contains(&digits) || row.contains(&encoded)
    };
    contents.iter().filter(|(_, rows)| rows.iter().any(shows)).map(|(table, _)| table.clone()).collect()
}

/// A change that is announced: who does it, by which request, and the status when nothing is in its way.
struct Change {
    caller: Caller,
    method: Method,
    path: String,
    body: Value,
    status: u16,
}

impl Change {
    async fn send(&self) -> Answer {
        let body = Some(self.body.clone()).filter(|body| !body.is_null());
        self.caller.send(self.method.clone(), &self.path, body).await
    }
}

/// Where events go is out of reach while the change is tried: it fails, and leaves everything as it was. Then it succeeds.
async fn is_whole_or_nothing(plant: &Plant, change: &Change) -> Value {
    let what = format!("{} {}", change.method, change.path);
    plant.sql("ALTER TABLE outbox RENAME TO outbox_away").await;
    let before = contents(plant).await;
    let answer = change.send().await;
    assert_eq!(answer.status, 500, "{what}: {}", answer.text);
    let after = contents(plant).await;
    for (table, rows) in &before {
        assert_eq!(after[table], *rows, "{what}: {table}");
    }
    plant.sql("ALTER TABLE outbox_away RENAME TO outbox").await;
    plant.events().await;
    let answer = change.send().await;
    assert_eq!(answer.status, change.status, "{what}: {}", answer.text);
    assert_ne!(plant.events().await, [], "{what}: nothing was announced");
    answer.expect(change.status)
}

/// Somebody's changes, one after the other.
struct Story<'p> {
    plant: &'p Plant,
    caller: Caller,
}

impl Story<'_> {
    async fn does(&self, request: &str, body: Value, status: u16) -> Value {
        let (method, path) = request.split_once(' ').unwrap();
        let (caller, method) = (self.caller.clone(), method.parse().unwrap());
        let change = Change { caller, method, path: path.to_owned(), body, status };
        is_whole_or_nothing(self.plant, &change).await
    }

    /// The id of what a request makes.
    async fn makes(&self, path: &str, body: Value) -> String {
        let made = self.does(&format!("POST {path}"), body, 201).await;
        made["id"].as_str().unwrap().to_owned()
    }

    async fn roles_on(&self, thing: &str, member: &str) {
        let roles = format!("{thing}/roles");
        let role = json!({"role_name": "one", "optional_actions": ["read"], "optional_members": [member]});
        let role = format!("{roles}/{}", self.makes(&roles, role).await);
        let (actions, members) = (json!({"actions": ["update"]}), json!({"members": [member]}));
        self.does(&format!("PUT {role}"), json!({"name": "two"}), 200).await;
        self.does(&format!("POST {role}/actions"), actions.clone(), 200).await;
        self.does(&format!("POST {role}/actions/delete"), actions, 204).await;
        self.does(&format!("POST {role}/actions/delete-all"), json!({}), 204).await;
        self.does(&format!("POST {role}/members/delete"), members.clone(), 204).await;
        self.does(&format!("POST {role}/members"), members.clone(), 200).await;
        self.does(&format!("POST {role}/members/delete-all"), json!({}), 204).await;
        self.caller.post(&format!("{role}/members"), members).await.expect(200);
        self.does(&format!("DELETE {roles}"), json!({"member_ids": [member]}), 204).await;
        self.does(&format!("DELETE {role}"), Value::Null, 204).await;
    }
}

both_databases! {
    async fn no_secret_lies_in_the_database_in_the_clear(db: TestDb) {
        let (plant, mailbox) = plant_with_mail(db).await;
        let ann = plant.user("ann").await;
        let domain = ann.domain("home").await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let login = json!({"username": "ann", "password": PASSWORD});
        let pair = plant.nobody().post("/users/tokens/issue", login).await.expect(201);
        let given = json!({"credentials": {"secret": "a secret of the device"}});
        ann.post(&format!("/{domain}/clients"), given).await.expect(201);
        let made = ann.post(&format!("/{domain}/clients"), json!({})).await.expect(201);
        let rotated = ann.client(&domain, "rotated").await;
        let path = format!("/{domain}/clients/{rotated}/secret");
        let rotated = ann.send(Method::PATCH, &path, None).await.expect(200);
        let pat = ann.post("/pats", json!({"name": "ci", "duration": "1d"})).await.expect(201);
        let pat = ann.patch(&format!("/pats/{}/reset", text(&pat["id"])), json!({"duration": "1d"})).await.expect(200);
        let key = ann.post("/keys", json!({"type": 3})).await.expect(201);
        ask_for_reset(&plant, "ann@example.com").await;
        ann.post("/users/send-verification", json!({})).await.expect(200);
        deliver_all(&plant).await;
        let mut secrets = vec![
            PASSWORD.to_owned(),
            text(&pair["access_token"]),
            text(&pair["refresh_token"]),
            "a secret of the device".to_owned(),
            text(&made["credentials"]["secret"]),
            text(&rotated["credentials"]["secret"]),
            text(&pat["secret"]),
            text(&pat["secret"])[60..].to_owned(),
            text(&key["value"]),
        ];
        secrets.extend(mailbox.mails().iter().map(crate::mailbox::Mail::token));
        assert_eq!(secrets.len(), 11);

        let stored = contents(&plant).await;
        assert!(found_in(&stored, "ann@example.com").contains(&"users".to_owned()), "what is there is found");
        for secret in secrets {
            assert_eq!(found_in(&stored, &secret), Vec::<String>::new(), "{secret}");
        }
    }

    async fn what_cannot_be_announced_of_users_is_not_done(db: TestDb) {
        let plant = Plant::new(db).await;
        let (ann, admin) = (plant.user("ann").await, plant.admin.clone());
        let story = Story { plant: &plant, caller: admin };
        let new = json!({
            "first_name": "Bob", "last_name": "Test", "email": "bob@example.com",
            "credentials": {"username": "bob", "secret": PASSWORD},
        });
        let path = format!("/users/{}", story.makes("/users", new).await);
        story.does(&format!("PATCH {path}"), json!({"first_name": "Rob"}), 200).await;
        story.does(&format!("PATCH {path}/tags"), json!({"tags": ["a"]}), 200).await;
        let picture = json!({"profile_picture": "https://example.com/b.png"});
        story.does(&format!("PATCH {path}/picture"), picture, 200).await;
        story.does(&format!("PATCH {path}/username"), json!({"username": "rob"}), 200).await;
        story.does(&format!("PATCH {path}/email"), json!({"email": "rob@example.com"}), 200).await;
        for role in ["admin", "user"] {
            story.does(&format!("PATCH {path}/role"), json!({"role": role}), 200).await;
        }
        for verb in ["disable", "enable"] {
            story.does(&format!("POST {path}/{verb}"), json!({}), 200).await;
        }
        story.does(&format!("DELETE {path}"), Value::Null, 204).await;
        story.does("POST /keys/rotate", json!({}), 200).await;

        let of_ann = Story { plant: &plant, caller: ann.clone() };
        let login = json!({"username": "ann", "password": PASSWORD});
        let pair = of_ann.does("POST /users/tokens/issue", login, 201).await;
        let refresh = Story { plant: &plant, caller: ann.with_token(pair["refresh_token"].as_str().unwrap()) };
        refresh.does("POST /users/tokens/refresh", json!({}), 201).await;
        let sessions = ann.get("/users/tokens/refresh-tokens").await.expect(200);
        let session = json!({"token_id": sessions["refresh_tokens"][0]["id"]});
        of_ann.does("POST /users/tokens/revoke", session, 204).await;
        let key = ann.post("/keys", json!({"type": 3})).await.expect(201);
        of_ann.does(&format!("DELETE /keys/{}", key["id"].as_str().unwrap()), Value::Null, 204).await;
        for request in ["PATCH /pats/{pat}/secret/reset", "PATCH /pats/{pat}/secret/revoke", "DELETE /pats/{pat}", "DELETE /pats"] {
            let pat = ann.post("/pats", json!({"name": "ci", "duration": "1d"})).await.expect(201);
            let request = request.replace("{pat}", pat["id"].as_str().unwrap());
            let status = match request.split_once(' ').unwrap() {
                (_, path) if path.ends_with("reset") => 200,
                ("DELETE", "/pats") => 200,
                _ => 204,
            };
            of_ann.does(&request, json!({"duration": "1h"}), status).await;
        }
        let secrets = json!({"old_secret": PASSWORD, "new_secret": "another horse"});
        of_ann.does("PATCH /users/secret", secrets, 200).await;
    }

    async fn what_cannot_be_announced_of_domains_and_invitations_is_not_done(db: TestDb) {
        let plant = Plant::new(db).await;
        let (ann, bob) = (plant.user("ann").await, plant.user("bob").await);
        let story = Story { plant: &plant, caller: ann.clone() };
        let id = story.makes("/domains", json!({"name": "home", "route": "home"})).await;
        let path = format!("/domains/{id}");
        story.does(&format!("PATCH {path}"), json!({"name": "new"}), 200).await;
        for verb in ["disable", "enable"] {
            story.does(&format!("POST {path}/{verb}"), json!({}), 200).await;
        }
        story.roles_on(&path, &bob.id).await;

        let role = ann.post(&format!("{path}/roles"), json!({"role_name": "guests", "optional_actions": ["read"]})).await;
        let invitation = json!({"invitee_user_id": bob.id, "role_id": role.expect(201)["id"]});
        let of_bob = Story { plant: &plant, caller: bob.clone() };
        let mut again = invitation.clone();
        again["resend"] = json!(true);
        story.does(&format!("POST {path}/invitations"), invitation.clone(), 201).await;
        story.does(&format!("DELETE {path}/invitations/{}", bob.id), Value::Null, 204).await;
        story.does(&format!("POST {path}/invitations"), invitation, 201).await;
        of_bob.does("POST /invitations/reject", json!({"domain_id": id}), 204).await;
        story.does(&format!("POST {path}/invitations"), again, 201).await;
        of_bob.does("POST /invitations/accept", json!({"domain_id": id}), 204).await;
        let admin = Story { plant: &plant, caller: plant.admin.clone() };
        admin.does(&format!("POST {path}/freeze"), json!({}), 200).await;
    }

    async fn what_cannot_be_announced_of_things_is_not_done(db: TestDb) {
        let plant = Plant::new(db).await;
        let (ann, bob) = (plant.user("ann").await, plant.user("bob").await);
        let domain = ann.domain("home").await;
        ann.grants(&format!("/domains/{domain}"), "looking", &["read"], &bob).await;
        let story = Story { plant: &plant, caller: ann.clone() };
        let root = story.makes(&format!("/{domain}/groups"), json!({"name": "root"})).await;
        let mut things = Vec::new();
        for kind in ["groups", "clients", "channels"] {
            let all = format!("/{domain}/{kind}");
            let (parent, parent_field) = match kind {
                "groups" => (json!({"parent_id": root}), "parent_id"),
                _ => (json!({"parent_group_id": root}), "parent_group_id"),
            };
            let one = story.makes(&all, json!({"name": "one", (parent_field): root})).await;
            let path = format!("{all}/{one}");
            if kind != "groups" {
                story.does(&format!("POST {all}/bulk"), json!([{}, {"parent_group_id": root}]), 200).await;
            }
            let change = if kind == "groups" { "PUT" } else { "PATCH" };
            story.does(&format!("{change} {path}"), json!({"name": "new"}), 200).await;
            story.does(&format!("PATCH {path}/tags"), json!({"tags": ["a"]}), 200).await;
            story.does(&format!("DELETE {path}/parent"), Value::Null, 204).await;
            story.does(&format!("POST {path}/parent"), parent, 200).await;
            for verb in ["disable", "enable"] {
                story.does(&format!("POST {path}/{verb}"), json!({}), 200).await;
            }
            story.roles_on(&path, &bob.id).await;
            things.push((path, one));
        }
        let children = format!("/{domain}/groups/{root}/children");
        let one = json!({"children_ids": [things[0].1]});
        story.does(&format!("DELETE {children}"), one.clone(), 204).await;
        story.does(&format!("POST {children}"), one, 200).await;
        story.does(&format!("DELETE {children}/all"), Value::Null, 204).await;
        story.does(&format!("PATCH {}/secret", things[1].0), json!({"secret": "new"}), 200).await;
        let both = json!({"client_ids": [things[1].1], "channel_ids": [things[2].1], "types": ["publish", "subscribe"]});
        let (connect, disconnect) = (format!("POST /{domain}/channels/connect"), format!("POST /{domain}/channels/disconnect"));
        story.does(&connect, both.clone(), 201).await;
        story.does(&disconnect, both.clone(), 204).await;
        story.does(&connect, both, 201).await;
        for (path, _) in &things {
            story.does(&format!("DELETE {path}"), Value::Null, 204).await;
        }
    }

    async fn a_thing_whose_roles_are_bare_is_removed_whole(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        let domain = ann.domain("home").await;
        let before = contents(&plant).await;
        for kind in ["groups", "clients", "channels"] {
            let made = ann.post(&format!("/{domain}/{kind}"), json!({"name": "one"})).await.expect(201);
            let path = format!("/{domain}/{kind}/{}", made["id"].as_str().unwrap());
            for name in ["bare", "barer"] {
                ann.post(&format!("{path}/roles"), json!({"role_name": name})).await.expect(201);
            }
            ann.delete(&path).await.expect(204);
        }
        let after = contents(&plant).await;
        for table in ["groups", "clients", "channels", "roles", "role_members", "relations", "connections"] {
            assert_eq!(after[table], before[table], "{table}");
        }
    }
}
