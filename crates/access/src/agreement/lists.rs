//! What a list shows is what single checks allow, and each row says truly how the user comes to it.

use std::collections::{BTreeMap, BTreeSet};

use db::{Filter, both_databases, params, testing::TestDb};
use kernel::DomainId;
use proptest::{prelude::*, test_runner::TestRunner};
use tokio::{runtime::Handle, task::block_in_place};
use uuid::Uuid;

use super::World;
use crate::{
    Object, Visible,
    graph::Subject,
    standing::{self, AccessType, RoleFilter},
};

const KINDS: [&str; 3] = ["group", "client", "channel"];

/// Groups above things, and the actions of the user's role on each; an empty list of actions is no role, or one without any.
#[derive(Debug, Clone)]
struct Plan {
    /// For each group, which earlier one it is in.
    groups: Vec<(Option<usize>, Vec<&'static str>)>,
    /// Clients and channels.
    things: Vec<(&'static str, Option<usize>, Vec<&'static str>)>,
    domain: Vec<&'static str>,
}

fn some(actions: &'static [&'static str]) -> impl Strategy<Value = Vec<&'static str>> {
    prop_oneof![2 => Just(Vec::new()), 3 => prop::sample::subsequence(actions, 1..=2)]
}

fn plan() -> impl Strategy<Value = Plan> {
    const ON_GROUPS: &[&str] = &[
        "update",
        "read",
        "client_read",
        "client_update",
        "channel_read",
        "subgroup_read",
        "subgroup_update",
        "subgroup_client_read",
        "subgroup_channel_read",
        "subgroup_channel_publish",
    ];
    let place = || prop::option::weighted(0.8, 0_usize..100);
    let groups = prop::collection::vec((place(), some(ON_GROUPS)), 1..7);
    let kind = prop_oneof![Just("client"), Just("channel")];
    let things = prop::collection::vec((kind, place(), some(&["read", "update"])), 1..8);
    let domain = prop_oneof![
        2 => Just(vec!["read"]),
        1 => prop::sample::subsequence(&["update", "client_read", "channel_read", "group_read"][..], 1..=2)
    ];
    (groups, things, domain).prop_map(|(groups, things, domain)| {
        let earlier = |n: usize, place: Option<usize>| place.filter(|_| n > 0).map(|place| place % n.max(1));
        let count = groups.len();
        Plan {
            groups: groups
                .into_iter()
                .enumerate()
                .map(|(n, (place, actions))| (earlier(n, place), actions))
                .collect(),
            things: things
                .into_iter()
                .map(|(kind, place, actions)| (kind, earlier(count, place), actions))
                .collect(),
            domain,
        }
    })
}

/// Makes what the plan says, in a new domain.
async fn build(world: &World, plan: &Plan) -> (DomainId, Vec<Object>) {
    let domain = world.domain().await;
    world.grant(Object::domain(domain), &plan.domain).await;
    let mut groups: Vec<Object> = Vec::new();
    let mut all = Vec::new();
    let planned = plan.groups.iter().map(|(place, actions)| ("group", *place, actions));
    for (kind, place, actions) in
        planned.chain(plan.things.iter().map(|(kind, place, actions)| (*kind, *place, actions)))
    {
        let object = world.thing(kind, domain).await;
        if let Some(place) = place {
            world.put_into(object, groups[place]).await;
        }
        // Without actions: now and then a role that allows nothing, which must not matter.
        if !actions.is_empty() || all.len() % 2 == 0 {
            world.grant(object, actions).await;
        }
        if kind == "group" {
            groups.push(object);
        }
        all.push(object);
    }
    (domain, all)
}

/// The ids of the things of a kind that a list with this filter holds.
async fn listed(
    world: &World,
    domain: DomainId,
    kind: &'static str,
    filter: impl FnOnce(Filter) -> Filter,
) -> BTreeSet<Uuid> {
    let things = Filter::new()
        .and("object_kind = ?", kind)
        .and("relation = 'domain' AND subject_kind = 'domain' AND subject_id = ?", domain);
    let filter = filter(things);
    let rows = world
        .access
        .db()
        .read(move |tx| {
            Box::pin(async move {
                tx.all(&format!("SELECT object_id FROM relations{}", filter.sql()), filter.params()).await
            })
        })
        .await
        .unwrap();
    rows.iter().map(|row| row.get::<String>("object_id").unwrap().parse().unwrap()).collect()
}

/// Whether the user holds a role on the thing that allows anything.
async fn holds_a_role(world: &World, object: Object) -> bool {
    let user = world.user;
    let row = world
        .access
        .db()
        .read(move |tx| {
            Box::pin(async move {
                tx.one_or_none(
                    "SELECT m.role_id FROM role_members m JOIN roles o ON o.id = m.role_id
                      WHERE m.member_id = $1 AND m.entity_kind = $2 AND m.entity_id = $3
                        AND CAST(o.actions AS text) <> '[]'",
                    params![user, object.kind(), object.id_text()],
                )
                .await
            })
        })
        .await
        .unwrap();
    row.is_some()
}

async fn agree(world: &World, plan: &Plan) {
    let (domain, all) = build(world, plan).await;
    let (user, subject) = (world.user, Subject::Member(domain, world.user));
    for kind in KINDS {
        let sees_all = world.access.graph().sees_all(subject, domain, kind).await.unwrap();
        let visible = if sees_all { Visible::All } else { Visible::To { user, domain, kind } };
        let shown = listed(world, domain, kind, |filter| visible.restrict(filter, "object_id")).await;

        let mut allowed = BTreeSet::new();
        for object in all.iter().copied().filter(|object| object.kind() == kind) {
            if world.may("read_permission", object).await || holds_a_role(world, object).await {
                allowed.insert(object.id());
            }
        }
        assert_eq!(shown, allowed, "{kind}s of {plan:?}");

        let ids: Vec<Uuid> =
            all.iter().filter(|object| object.kind() == kind).map(|object| object.id()).collect();
        let asked = ids.clone();
        let standings = world
            .access
            .db()
            .read(move |tx| Box::pin(async move { standing::of_page(tx, user, domain, kind, &asked).await }))
            .await
            .unwrap();
        assert_eq!(standings.keys().copied().collect::<BTreeSet<_>>(), shown, "{kind}s of {plan:?}");

        let mut by_type: BTreeMap<&str, BTreeSet<Uuid>> = BTreeMap::new();
        for (id, standing) in &standings {
            by_type.entry(standing.access_type.unwrap().word()).or_default().insert(*id);
        }
        for access_type in [
            AccessType::Direct,
            AccessType::DirectGroup,
            AccessType::IndirectGroup,
            AccessType::Indirect,
            AccessType::Domain,
        ] {
            let asked = RoleFilter { access_type: Some(access_type), ..RoleFilter::default() };
            let found = listed(world, domain, kind, |filter| {
                asked.restrict(visible.restrict(filter, "object_id"), "object_id", user, domain, kind)
            })
            .await;
            let told = by_type.remove(access_type.word()).unwrap_or_default();
            assert_eq!(found, told, "{access_type} {kind}s of {plan:?}");
        }
    }
}

both_databases! {
    async fn a_list_shows_what_single_checks_allow(db: TestDb) {
        let world = World::new(&db).await;
        let runtime = Handle::current();
        block_in_place(|| {
            let config = ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() };
            TestRunner::new(config)
                .run(&plan(), |plan| {
                    runtime.block_on(agree(&world, &plan));
                    Ok(())
                })
                .unwrap();
        });
    }

    async fn a_row_tells_the_nearest_role_and_one_thing_all_of_them(db: TestDb) {
        let world = World::new(&db).await;
        let (domain, user) = (world.domain().await, world.user);
        let on_domain = world.grant(Object::domain(domain), &["read", "client_read", "client_update"]).await;
        let top = world.thing("group", domain).await;
        let parent = world.thing("group", domain).await;
        let client = world.thing("client", domain).await;
        world.put_into(parent, top).await;
        world.put_into(client, parent).await;
        let on_top = world.grant(top, &["subgroup_client_read", "read"]).await;
        let expected = async || {
            let ids = [client.id()];
            let mut page = world
                .access
                .db()
                .read(move |tx| Box::pin(async move { standing::of_page(tx, user, domain, "client", &ids).await }))
                .await
                .unwrap();
            serde_json::to_value(page.remove(&client.id()).unwrap()).unwrap()
        };
        let named = |value: &serde_json::Value, field: &str| value[field].as_str().map(str::to_owned);

        let far = expected().await;
        assert_eq!(far["access_type"], "indirect_group");
        assert_eq!(named(&far, "access_provider_id"), Some(top.id_text()));
        assert_eq!(named(&far, "access_provider_role_id").as_deref(), Some(on_top.as_str()));
        assert_eq!(far["access_provider_role_actions"], serde_json::json!(["subgroup_client_read", "read"]));
        assert!(far.get("role_id").is_none() && far.get("actions").is_none(), "{far}");

        let on_parent = world.grant(parent, &["client_read"]).await;
        let near = expected().await;
        assert_eq!(near["access_type"], "direct_group");
        assert_eq!(named(&near, "access_provider_id"), Some(parent.id_text()));

        let own = world.grant(client, &["update"]).await;
        let direct = expected().await;
        assert_eq!(direct["access_type"], "direct");
        assert_eq!(named(&direct, "role_id").as_deref(), Some(own.as_str()));
        assert_eq!(direct["actions"], serde_json::json!(["update"]));
        assert!(direct.get("access_provider_id").is_none(), "{direct}");

        let roles = world
            .access
            .db()
            .read(move |tx| Box::pin(async move { standing::roles_of(tx, user, client).await }))
            .await
            .unwrap();
        let path = format!("{}.{}", top.id_text(), parent.id_text());
        let told: Vec<_> = roles
            .iter()
            .map(|role| (role.role_id.as_str(), role.access_type.word(), role.access_provider_id.clone(), role.access_provider_path.clone()))
            .collect();
        assert_eq!(
            told,
            [
                (own.as_str(), "direct", None, None),
                (on_parent.as_str(), "direct_group", Some(parent.id_text()), Some(path)),
                (on_top.as_str(), "indirect_group", Some(top.id_text()), Some(top.id_text())),
                (on_domain.as_str(), "domain", Some(domain.to_string()), None),
            ]
        );
    }

    async fn a_domain_that_reaches_a_thing_shows_its_actions_on_such_things(db: TestDb) {
        let world = World::new(&db).await;
        let (domain, user) = (world.domain().await, world.user);
        world.grant(Object::domain(domain), &["read", "client_read", "client_update", "channel_read"]).await;
        let client = world.thing("client", domain).await;
        let page = world
            .access
            .db()
            .read(move |tx| Box::pin(async move { standing::of_page(tx, user, domain, "client", &[client.id()]).await }))
            .await
            .unwrap();
        let standing = &page[&client.id()];
        assert_eq!(standing.access_type, Some(AccessType::Domain));
        assert_eq!(standing.access_provider_role_actions, ["client_read", "client_update"]);
    }

    async fn a_filter_by_role_finds_what_the_user_holds_it_on(db: TestDb) {
        let world = World::new(&db).await;
        let (domain, user) = (world.domain().await, world.user);
        let (one, two) = (world.thing("client", domain).await, world.thing("client", domain).await);
        let role = world.grant(one, &["read", "update"]).await;
        world.grant(two, &["read"]).await;
        for (asked, expected) in [
            (RoleFilter { role_id: Some(role), ..RoleFilter::default() }, vec![one]),
            (RoleFilter { role_name: Some("nothing".into()), ..RoleFilter::default() }, vec![]),
            (RoleFilter { actions: Some("read".into()), ..RoleFilter::default() }, vec![one, two]),
            (RoleFilter { actions: Some("update, read".into()), ..RoleFilter::default() }, vec![one]),
            (RoleFilter { actions: Some("\"".into()), ..RoleFilter::default() }, vec![]),
            (RoleFilter::default(), vec![one, two]),
        ] {
            let found = listed(&world, domain, "client", |filter| {
                asked.restrict(filter, "object_id", user, domain, "client")
            })
            .await;
            assert_eq!(found, expected.iter().map(|object| object.id()).collect(), "{asked:?}");
        }
    }
}
