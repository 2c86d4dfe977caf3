//! The rest of the control plane: users, groups, roles, invitations, tokens and keys (references 01 and 02).

use kernel::{GroupId, PatId, RoleId, UserId};

use super::*;

const GROUP: &str = "0f5e7a51-7d3c-4d0e-8a51-6f2f7c1a9d44";
const USER: &str = "6a1c0e0e-0a5d-4a51-8b0f-6f2f7c1a9d55";
const PAT: &str = "7b2c0e0e-0a5d-4a51-8b0f-6f2f7c1a9d66";
const ROLE: &str = "client_5tnAiqf0dOr5kpACYz5IsI";

fn user() -> UserId {
    USER.parse().unwrap()
}

fn group() -> GroupId {
    GROUP.parse().unwrap()
}

fn role() -> RoleId {
    ROLE.parse().unwrap()
}

/// What was asked, without who asked and in which content type.
fn bare(asked: &[String]) -> Vec<String> {
    let part = |line: &String| {
        let mut parts = line.splitn(4, " | ");
        let (first, body) = (parts.next().unwrap_or_default(), parts.nth(2).unwrap_or_default());
        format!("{first} {body}").trim_end().to_owned()
    };
    asked.iter().map(part).collect()
}

#[tokio::test]
async fn users_are_asked_for_as_the_contract_says() {
    let stub = Stub::answering(200, r#"{"id":"6a1c0e0e-0a5d-4a51-8b0f-6f2f7c1a9d55"}"#).await;
    let api = stub.api();
    let users = api.users();
    users.profile().await.unwrap();
    users
        .update(user(), &UserChange { first_name: Some("Olga".to_owned()), ..UserChange::default() })
        .await
        .unwrap();
    users.update_tags(user(), &["a".to_owned()]).await.unwrap();
    users.update_picture(user(), "http://p").await.unwrap();
    users.update_email(user(), "o@example.org", None).await.unwrap();
    users.update_email(user(), "o@example.org", Some(&secret("mine"))).await.unwrap();
    users.update_username(user(), "olga").await.unwrap();
    users.update_role(user(), UserRole::Admin).await.unwrap();
    users.update_password(&secret("old"), &secret("new")).await.unwrap();
    users.enable(user()).await.unwrap();
    users.disable(user()).await.unwrap();
    users.delete(user()).await.unwrap();
    users.send_verification().await.unwrap();
    users.verify_email(&secret("a+b")).await.unwrap();
    users.request_reset("o@example.org").await.unwrap();
    let expected = [
        "GET /users/profile".to_owned(),
        format!(r#"PATCH /users/{USER} {{"first_name":"Olga"}}"#),
        format!(r#"PATCH /users/{USER}/tags {{"tags":["a"]}}"#),
        format!(r#"PATCH /users/{USER}/picture {{"profile_picture":"http://p"}}"#),
        format!(r#"PATCH /users/{USER}/email {{"email":"o@example.org"}}"#),
        format!(r#"PATCH /users/{USER}/email {{"email":"o@example.org","secret":"mine"}}"#),
        format!(r#"PATCH /users/{USER}/username {{"username":"olga"}}"#),
        format!(r#"PATCH /users/{USER}/role {{"role":"admin"}}"#),
        r#"PATCH /users/secret {"new_secret":"new","old_secret":"old"}"#.to_owned(),
        format!("POST /users/{USER}/enable"),
        format!("POST /users/{USER}/disable"),
        format!("DELETE /users/{USER}"),
        "POST /users/send-verification".to_owned(),
        "GET /verify-email?token=a%2Bb".to_owned(),
        r#"POST /password/reset-request {"email":"o@example.org"}"#.to_owned(),
    ];
    assert_eq!(bare(&stub.asked()), expected);
}

#[tokio::test]
async fn a_lost_password_is_replaced_with_the_token_of_the_mail_and_no_other() {
    let stub = Stub::answering(201, "{}").await;
    stub.api().users().reset_password(&secret("mailed"), &secret("pw")).await.unwrap();
    assert_eq!(
        stub.asked(),
        [
            r#"PUT /password/reset | Bearer mailed | application/json | {"confirm_password":"pw","password":"pw"}"#
        ]
    );
}

#[tokio::test]
async fn a_new_user_carries_the_password_only_where_it_belongs() {
    let stub = Stub::answering(403, "").await;
    let new = NewUser {
        first_name: "O".to_owned(),
        last_name: "L".to_owned(),
        email: "o@example.org".to_owned(),
        credentials: NewCredentials { username: "olga".to_owned(), secret: Some(secret("pw")) },
        ..NewUser::default()
    };
    assert!(!format!("{new:?}").contains("pw"));
    let _ = stub.api().users().create(&new).await;
    let body = r#"{"first_name":"O","last_name":"L","email":"o@example.org","credentials":{"username":"olga","secret":"pw"},"role":"user"}"#;
    assert_eq!(bare(&stub.asked()), [format!("POST /users {body}")]);
}

#[tokio::test]
async fn groups_are_nested_with_the_words_of_their_service() {
    let answer = r#"{"total":1,"groups":[{"id":"0f5e7a51-7d3c-4d0e-8a51-6f2f7c1a9d44","name":"Hall","level":2,
        "description":null,"created_at":"2026-01-01T00:00:00Z","children":[]}]}"#;
    let stub = Stub::answering(200, answer).await;
    let api = stub.api();
    let groups = api.groups(domain());
    let page =
        groups.children(group(), &ChildrenQuery { end_level: Some(-1), ..ChildrenQuery::default() }).await;
    assert_eq!(page.unwrap().items[0].level, Some(2));
    let query = HierarchyQuery { dir: Some(-1), tree: Some(true), level: None };
    assert_eq!(groups.hierarchy(group(), &query).await.unwrap().groups[0].name, "Hall");
    groups.set_parent(group(), group()).await.unwrap();
    api.clients(domain()).set_parent(CLIENT.parse().unwrap(), group()).await.unwrap();
    groups.remove_parent(group()).await.unwrap();
    groups.add_children(group(), &[group()]).await.unwrap();
    groups.remove_children(group(), &[group()]).await.unwrap();
    groups.remove_all_children(group()).await.unwrap();
    let change = GroupChange { description: Some(String::new()), ..GroupChange::default() };
    let _ = groups.update(group(), &change).await;
    let at = format!("/{DOMAIN}/groups/{GROUP}");
    let expected = [
        format!("GET {at}/children?end_level=-1"),
        format!("GET {at}/hierarchy?dir=-1&tree=true"),
        format!(r#"POST {at}/parent {{"parent_id":"{GROUP}"}}"#),
        format!(r#"POST /{DOMAIN}/clients/{CLIENT}/parent {{"parent_group_id":"{GROUP}"}}"#),
        format!("DELETE {at}/parent"),
        format!(r#"POST {at}/children {{"children_ids":["{GROUP}"]}}"#),
        format!(r#"DELETE {at}/children {{"children_ids":["{GROUP}"]}}"#),
        format!("DELETE {at}/children/all"),
        format!(r#"PUT {at} {{"description":""}}"#),
    ];
    assert_eq!(bare(&stub.asked()), expected);
}

#[tokio::test]
async fn roles_hang_on_what_they_are_roles_on() {
    let stub = Stub::answering(200, r#"{"id":"client_5tnAiqf0dOr5kpACYz5IsI","actions":["read"]}"#).await;
    let api = stub.api();
    let roles = api.clients(domain()).roles(CLIENT.parse().unwrap());
    let (role, read) = (role(), ["read".to_owned()]);
    roles.create(&NewRole { role_name: "r".to_owned(), ..NewRole::default() }).await.unwrap();
    roles.list(Span { offset: None, limit: Some(5) }).await.unwrap();
    roles.rename(&role, "s").await.unwrap();
    assert_eq!(roles.actions(&role).await.unwrap(), read);
    roles.add_actions(&role, &read).await.unwrap();
    roles.remove_actions(&role, &read).await.unwrap();
    roles.remove_all_actions(&role).await.unwrap();
    roles.add_members(&role, &[user()]).await.unwrap();
    roles.remove_members(&role, &[user()]).await.unwrap();
    roles.remove_all_members(&role).await.unwrap();
    roles.members(&MemberQuery { role_name: Some("r".to_owned()), ..MemberQuery::default() }).await.unwrap();
    roles.expel(&[user()]).await.unwrap();
    roles.delete(&role).await.unwrap();
    api.domains().roles(domain()).view(&role).await.unwrap();
    api.domains().available_actions().await.unwrap();
    api.channels(domain()).available_actions().await.unwrap();
    let at = format!("/{DOMAIN}/clients/{CLIENT}/roles");
    let expected = [
        format!(r#"POST {at} {{"role_name":"r"}}"#),
        format!("GET {at}?limit=5"),
        format!(r#"PUT {at}/{ROLE} {{"name":"s"}}"#),
        format!("GET {at}/{ROLE}/actions"),
        format!(r#"POST {at}/{ROLE}/actions {{"actions":["read"]}}"#),
        format!(r#"POST {at}/{ROLE}/actions/delete {{"actions":["read"]}}"#),
        format!("POST {at}/{ROLE}/actions/delete-all"),
        format!(r#"POST {at}/{ROLE}/members {{"members":["{USER}"]}}"#),
        format!(r#"POST {at}/{ROLE}/members/delete {{"members":["{USER}"]}}"#),
        format!("POST {at}/{ROLE}/members/delete-all"),
        format!("GET {at}/members?role_name=r"),
        format!(r#"DELETE {at} {{"member_ids":["{USER}"]}}"#),
        format!("DELETE {at}/{ROLE}"),
        format!("GET /domains/{DOMAIN}/roles/{ROLE}"),
        "GET /domains/roles/available-actions".to_owned(),
        format!("GET /{DOMAIN}/channels/roles/available-actions"),
    ];
    assert_eq!(bare(&stub.asked()), expected);
}

#[tokio::test]
async fn who_reaches_a_thing_is_read_with_all_ways_there() {
    let answer = format!(
        r#"{{"total":1,"members":[{{"member_id":"{USER}","roles":[{{"role_id":"{ROLE}","role_name":"admin",
        "access_type":"domain","access_provider_id":"{DOMAIN}","something_new":1}}]}}]}}"#
    );
    let stub = Stub::answering(200, Box::leak(answer.into_boxed_str())).await;
    let api = stub.api();
    let page =
        api.clients(domain()).roles(CLIENT.parse().unwrap()).members(&MemberQuery::default()).await.unwrap();
    let way = &page.items[0].roles[0];
    assert_eq!((page.items[0].member_id, way.access_type.as_deref()), (user(), Some("domain")));
    assert_eq!(way.access_provider_id.as_deref(), Some(DOMAIN));
}

#[tokio::test]
async fn invitations_are_sent_by_a_domain_and_answered_by_the_invited() {
    let stub = Stub::answering(200, r#"{"total":0,"invitations":[]}"#).await;
    let api = stub.api();
    let invitations = api.invitations();
    let new = NewInvitation { invitee_user_id: user(), role_id: role(), resend: false };
    invitations.send(domain(), &new).await.unwrap();
    invitations.send(domain(), &NewInvitation { resend: true, ..new }).await.unwrap();
    let pending = InvitationQuery { state: Some("pending".to_owned()), ..InvitationQuery::default() };
    invitations.list_of(domain(), &pending).await.unwrap();
    invitations.list(&InvitationQuery::default()).await.unwrap();
    invitations.accept(domain()).await.unwrap();
    invitations.reject(domain()).await.unwrap();
    invitations.delete(domain(), user()).await.unwrap();
    let of = format!("/domains/{DOMAIN}/invitations");
    let expected = [
        format!(r#"POST {of} {{"invitee_user_id":"{USER}","role_id":"{ROLE}"}}"#),
        format!(r#"POST {of} {{"invitee_user_id":"{USER}","role_id":"{ROLE}","resend":true}}"#),
        format!("GET {of}?state=pending"),
        "GET /invitations".to_owned(),
        format!(r#"POST /invitations/accept {{"domain_id":"{DOMAIN}"}}"#),
        format!(r#"POST /invitations/reject {{"domain_id":"{DOMAIN}"}}"#),
        format!(r#"DELETE {of} {{"user_id":"{USER}"}}"#),
    ];
    assert_eq!(bare(&stub.asked()), expected);
}

#[tokio::test]
async fn personal_access_tokens_and_keys_are_asked_for_as_the_contract_says() {
    let answer = r#"{"id":"7b2c0e0e-0a5d-4a51-8b0f-6f2f7c1a9d66","secret":"pat_x_y","status":"unheard_of","value":"jwt"}"#;
    let stub = Stub::answering(200, answer).await;
    let api = stub.api();
    let (pats, id) = (api.pats(), PAT.parse::<PatId>().unwrap());
    let new = NewPat { name: "ci".to_owned(), description: String::new(), duration: "30d".to_owned() };
    let made = pats.create(&new).await.unwrap();
    assert_eq!((made.secret, made.status), (Some(secret("pat_x_y")), PatStatus::Other));
    pats.rename(id, "cd").await.unwrap();
    pats.describe(id, "d").await.unwrap();
    pats.reset(id, "1h").await.unwrap();
    pats.revoke(id).await.unwrap();
    let scope = NewScope {
        domain_id: "*".to_owned(),
        entity_type: "domains".to_owned(),
        entity_id: "*".to_owned(),
        operation: "list".to_owned(),
    };
    pats.add_scopes(id, &[scope]).await.unwrap();
    pats.scopes(id, Span::default()).await.unwrap();
    pats.remove_scopes(id, &["s".to_owned()]).await.unwrap();
    pats.remove_all_scopes(id).await.unwrap();
    pats.delete(id).await.unwrap();
    pats.delete_all().await.unwrap();
    assert_eq!(api.keys().issue(60).await.unwrap().value, secret("jwt"));
    api.keys().revoke("k").await.unwrap();
    api.tokens().sessions().await.unwrap();
    api.tokens().revoke("s").await.unwrap();
    let at = format!("/pats/{PAT}");
    let expected = [
        r#"POST /pats {"name":"ci","duration":"30d"}"#.to_owned(),
        format!(r#"PATCH {at}/name {{"name":"cd"}}"#),
        format!(r#"PATCH {at}/description {{"description":"d"}}"#),
        format!(r#"PATCH {at}/secret/reset {{"duration":"1h"}}"#),
        format!("PATCH {at}/secret/revoke"),
        format!(
            r#"PATCH {at}/scope/add {{"scopes":[{{"domain_id":"*","entity_id":"*","entity_type":"domains","operation":"list"}}]}}"#
        ),
        format!("GET {at}/scope"),
        format!(r#"PATCH {at}/scope/remove {{"scopes_id":["s"]}}"#),
        format!("DELETE {at}/scope"),
        format!("DELETE {at}"),
        "DELETE /pats".to_owned(),
        r#"POST /keys {"duration":60,"type":3}"#.to_owned(),
        "DELETE /keys/k".to_owned(),
        "GET /users/tokens/refresh-tokens".to_owned(),
        r#"POST /users/tokens/revoke {"token_id":"s"}"#.to_owned(),
    ];
    assert_eq!(bare(&stub.asked()), expected);
}

#[tokio::test]
async fn the_last_answer_is_kept_word_for_word_and_given_once() {
    let stub = Stub::answering(200, r#"{"total":0,"domains":[],"something_new":{"a":1}}"#).await;
    let answers = Answers::default();
    let api = stub.api().kept_in(&answers);
    api.domains().list(&Query::default()).await.unwrap();
    let kept = answers.take().unwrap();
    assert_eq!(kept["something_new"]["a"], 1);
    assert_eq!(answers.take(), None);
    assert_eq!(format!("{answers:?}"), "Answers(…)");
}
