//! From the claims of a token to the subject that rules know (reference 08 §4.4).

use serde_json::{Map, Value};

use crate::{Subject, SubjectKind, subject::sorted};

/// How a service is told from a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SubjectRule {
    /// By the claims: a client id of its own, or a user name that begins with `service-account-`.
    #[default]
    Claims,
    /// By what it holds: groups make a user, scopes without groups a service.
    Holdings,
}

/// Which claims count.
#[derive(Debug, Clone)]
pub struct ClaimOptions {
    /// How a service is told from a user.
    pub rule: SubjectRule,
    /// Whether a person's token may name the application as `client_id` (RFC 9068): one with an e-mail address or a user
    /// name that is no service account's is a user.
    pub people_with_client_id: bool,
    /// The claim with the groups.
    pub groups_claim: String,
    /// Whether `realm_access.roles` are groups.
    pub realm_roles: bool,
    /// Whether `organization.<alias>.groups` are groups.
    pub organization_groups: bool,
    /// The claims with scopes; their contents go together.
    pub scope_claims: Vec<String>,
    /// Claims that are kept for policies and row filters.
    pub kept: Vec<String>,
    /// Whether all claims are kept.
    pub keep_all: bool,
}

impl Default for ClaimOptions {
    fn default() -> Self {
        Self {
            rule: SubjectRule::Claims,
            people_with_client_id: false,
            groups_claim: "groups".to_owned(),
            realm_roles: true,
            organization_groups: false,
            scope_claims: vec!["scope".to_owned(), "scp".to_owned()],
            kept: vec!["organization".to_owned()],
            keep_all: false,
        }
    }
}

const SERVICE_ACCOUNT: &str = "service-account-";

impl ClaimOptions {
    /// The subject of verified claims; `None` if they name nobody.
    pub fn subject(&self, claims: &Map<String, Value>) -> Option<Subject> {
        let groups = self.groups(claims);
        let scopes = sorted(self.scope_claims.iter().filter_map(|name| claims.get(name)).flat_map(words));
        let name = text(claims, "preferred_username");
        let kind = match self.rule {
            SubjectRule::Claims if self.is_service(claims) => SubjectKind::Service,
            SubjectRule::Claims => SubjectKind::User,
            SubjectRule::Holdings if !groups.is_empty() => SubjectKind::User,
            SubjectRule::Holdings if !scopes.is_empty() => SubjectKind::Service,
            SubjectRule::Holdings => SubjectKind::Anonymous,
        };
        let id = match (self.rule, kind) {
            (SubjectRule::Claims, SubjectKind::Service) => service_id(claims),
            _ => text(claims, "sub"),
        }?;
        let is_kept = |name: &String| self.keep_all || self.kept.contains(name);
        Some(Subject {
            kind,
            id: id.to_owned(),
            // A service is judged by its scopes; roles in its token are not its own.
            groups: if kind == SubjectKind::Service { Vec::new() } else { groups },
            scopes,
            name: name.filter(|_| kind != SubjectKind::Service).map(str::to_owned),
            claims: claims
                .iter()
                .filter(|(name, _)| is_kept(name))
                .map(|(n, v)| (n.clone(), v.clone()))
                .collect(),
        })
    }

    fn is_service(&self, claims: &Map<String, Value>) -> bool {
        let name = text(claims, "preferred_username");
        if name.is_some_and(|name| name.starts_with(SERVICE_ACCOUNT)) {
            return true;
        }
        if text(claims, "gty") == Some("client-credentials") {
            return true;
        }
        let named = text(claims, "client_id").or(text(claims, "clientId")).is_some();
        named && !(self.people_with_client_id && (name.is_some() || text(claims, "email").is_some()))
    }

    fn groups(&self, claims: &Map<String, Value>) -> Vec<String> {
        let list = |value: Option<&Value>| match value {
            Some(Value::Array(list)) => list.iter().filter_map(plain).collect(),
            _ => Vec::new(),
        };
        let bare = |group: String| group.strip_prefix('/').map(str::to_owned).unwrap_or(group);
        let mut groups: Vec<String> = list(claims.get(&self.groups_claim)).into_iter().map(bare).collect();
        if self.realm_roles {
            groups.extend(list(claims.get("realm_access").and_then(|access| access.get("roles"))));
        }
        if self.organization_groups
            && let Some(Value::Object(organizations)) = claims.get("organization")
        {
            groups.extend(organizations.values().flat_map(|one| list(one.get("groups"))).map(bare));
        }
        sorted(groups.into_iter())
    }
}

fn service_id(claims: &Map<String, Value>) -> Option<&str> {
    ["client_id", "clientId", "azp"]
        .iter()
        .find_map(|name| text(claims, name))
        .or_else(|| text(claims, "preferred_username").and_then(|name| name.strip_prefix(SERVICE_ACCOUNT)))
        .filter(|id| !id.is_empty())
        .or_else(|| text(claims, "sub"))
}

/// A claim that is a text which says something.
fn text<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    claims.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// Texts and numbers of a list; the rest of it says nothing.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Words with spaces between them, or a list.
fn words(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => text.split_ascii_whitespace().map(str::to_owned).collect(),
        Value::Array(list) => list.iter().filter_map(plain).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(options: &ClaimOptions, claims: Value) -> (SubjectKind, String, Vec<String>, Vec<String>) {
        let Value::Object(claims) = claims else { panic!("no claims") };
        let subject = options.subject(&claims).unwrap();
        (subject.kind, subject.id, subject.groups, subject.scopes)
    }

    /// The vectors of reference 08 §7.
    #[test]
    fn claims_make_the_subjects_of_the_reference() {
        use SubjectKind::{Service, User};
        let cases = [
            (
                json!({"sub": "u-1", "preferred_username": "alice", "realm_access": {"roles": ["viewers", "editors"]},
                       "groups": ["/extra-group"], "scope": "dataset.query pipeline.execute", "azp": "frontend"}),
                (
                    User,
                    "u-1",
                    vec!["editors", "extra-group", "viewers"],
                    vec!["dataset.query", "pipeline.execute"],
                ),
            ),
            (
                json!({"sub": "u-1", "groups": ["/admins", "/users"]}),
                (User, "u-1", vec!["admins", "users"], vec![]),
            ),
            (
                json!({"preferred_username": "service-account-svc-forecast", "azp": "svc-forecast",
                       "scope": "dataset.query mqtt.read"}),
                (Service, "svc-forecast", vec![], vec!["dataset.query", "mqtt.read"]),
            ),
            (
                json!({"sub": "0af", "client_id": "svc-1", "scope": "read write"}),
                (Service, "svc-1", vec![], vec!["read", "write"]),
            ),
            (json!({"preferred_username": "service-account-x"}), (Service, "x", vec![], vec![])),
            (
                json!({"sub": "u-2", "groups": "not-a-list", "scope": ["a", 1, null]}),
                (User, "u-2", vec![], vec!["1", "a"]),
            ),
            (
                json!({"sub": "svc", "clientId": "svc-9", "realm_access": {"roles": ["admins"]}}),
                (Service, "svc-9", vec![], vec![]),
            ),
            (
                json!({"sub": "m2m@clients", "gty": "client-credentials"}),
                (Service, "m2m@clients", vec![], vec![]),
            ),
            (json!({"sub": "u", "groups": ["/a/b"]}), (User, "u", vec!["a/b"], vec![])),
        ];
        for (claims, (kind, id, groups, scopes)) in cases {
            let found = read(&ClaimOptions::default(), claims.clone());
            let owned = |texts: Vec<&str>| texts.into_iter().map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(found, (kind, id.to_owned(), owned(groups), owned(scopes)), "{claims}");
        }
    }

    #[test]
    fn a_user_without_a_subject_is_nobody() {
        for claims in
            [json!({"preferred_username": "alice"}), json!({"sub": ""}), json!({"sub": 7}), json!({})]
        {
            assert_eq!(ClaimOptions::default().subject(claims.as_object().unwrap()), None, "{claims}");
        }
    }

    #[test]
    fn a_person_may_come_through_an_application_that_is_named() {
        let options = ClaimOptions { people_with_client_id: true, ..ClaimOptions::default() };
        let person = json!({"sub": "u", "client_id": "app", "email": "a@b.example", "groups": ["viewers"]});
        assert_eq!(read(&options, person.clone()).0, SubjectKind::User);
        assert_eq!(read(&ClaimOptions::default(), person).0, SubjectKind::Service);
        let account = json!({"sub": "u", "client_id": "app", "preferred_username": "service-account-app"});
        assert_eq!(read(&options, account).0, SubjectKind::Service);
    }

    #[test]
    fn holdings_tell_a_service_by_its_scopes() {
        let options = ClaimOptions {
            rule: SubjectRule::Holdings,
            organization_groups: true,
            ..ClaimOptions::default()
        };
        let kind = |claims| read(&options, claims).0;
        assert_eq!(kind(json!({"sub": "s", "scope": "a.b.read"})), SubjectKind::Service);
        assert_eq!(kind(json!({"sub": "s"})), SubjectKind::Anonymous);
        let member =
            json!({"sub": "u", "scope": "openid", "organization": {"acme": {"groups": ["/admins"]}}});
        assert_eq!(
            read(&options, member),
            (SubjectKind::User, "u".into(), vec!["admins".into()], vec!["openid".into()])
        );
    }
}
