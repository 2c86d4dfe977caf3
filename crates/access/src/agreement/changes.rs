//! After any sequence of changes nothing is left over in the tables, and what is remembered is what is stored.

use db::{Filter, both_databases, params, testing::TestDb};
use kernel::DomainId;
use proptest::{prelude::*, test_runner::TestRunner};
use tokio::{runtime::Handle, task::block_in_place};

use super::World;
use crate::{
    Object,
    graph::{Graph, Subject},
    hierarchy, roles,
    roles::{members, store},
};

/// One change; numbers choose among what there is.
#[derive(Debug, Clone)]
enum Change {
    Make(usize),
    Move(usize, usize),
    TakeOut(usize),
    Grant(usize, usize),
    Withdraw(usize),
    Actions(usize, usize),
    Remove(usize),
    Leave,
    Join,
}

const KINDS: [&str; 3] = ["group", "client", "channel"];
const ACTIONS: [&str; 6] =
    ["read", "client_read", "channel_read", "subgroup_read", "subgroup_client_read", "subgroup_channel_read"];

fn change() -> impl Strategy<Value = Change> {
    let number = || 0_usize..1000;
    prop_oneof![
        4 => number().prop_map(Change::Make),
        4 => (number(), number()).prop_map(|(thing, group)| Change::Move(thing, group)),
        1 => number().prop_map(Change::TakeOut),
        4 => (number(), number()).prop_map(|(thing, actions)| Change::Grant(thing, actions)),
        2 => number().prop_map(Change::Withdraw),
        2 => (number(), number()).prop_map(|(thing, actions)| Change::Actions(thing, actions)),
        2 => number().prop_map(Change::Remove),
        1 => Just(Change::Leave),
        1 => Just(Change::Join),
    ]
}

struct Run<'w> {
    world: &'w World,
    domain: DomainId,
    things: Vec<Object>,
}

impl Run<'_> {
    fn thing(&self, number: usize) -> Option<Object> {
        self.things.get(number.checked_rem(self.things.len())?).copied()
    }

    fn group(&self, number: usize) -> Option<Object> {
        let groups: Vec<_> = self.things.iter().filter(|thing| thing.kind() == "group").collect();
        groups.get(number.checked_rem(groups.len())?).map(|group| **group)
    }

    async fn apply(&mut self, change: &Change) {
        match *change {
            Change::Make(kind) => {
                let made = self.world.thing(KINDS[kind % KINDS.len()], self.domain).await;
                self.things.push(made);
            }
            Change::Move(thing, group) => {
                if let (Some(thing), Some(group)) = (self.thing(thing), self.group(group)) {
                    self.move_into(thing, group).await;
                }
            }
            Change::TakeOut(thing) => {
                if let Some(thing) = self.thing(thing) {
                    self.take_out(thing).await;
                }
            }
            Change::Grant(thing, actions) => {
                if let Some(thing) = self.thing(thing) {
                    self.withdraw(thing).await;
                    self.world.grant(thing, &[ACTIONS[actions % ACTIONS.len()]]).await;
                }
            }
            Change::Withdraw(thing) => {
                if let Some(thing) = self.thing(thing) {
                    self.withdraw(thing).await;
                }
            }
            Change::Actions(thing, actions) => {
                if let Some(thing) = self.thing(thing) {
                    self.set_actions(thing, ACTIONS[actions % ACTIONS.len()]).await;
                }
            }
            Change::Remove(thing) => {
                if let Some(thing) = self.thing(thing) {
                    self.remove(thing).await;
                }
            }
            Change::Leave => self.leave().await,
            Change::Join => {
                self.withdraw(Object::domain(self.domain)).await;
                self.world.grant(Object::domain(self.domain), &["read"]).await;
            }
        }
    }

    async fn move_into(&self, thing: Object, group: Object) {
        let (access, owner) = (self.world.access.clone(), self.world.owner.clone());
        self.world
            .write(move |tx| {
                Box::pin(async move {
                    let group = kernel::GroupId::from_uuid(group.id());
                    let above = hierarchy::ancestors(tx, group).await?;
                    if thing.id() == group.uuid() || above.iter().any(|above| above.uuid() == thing.id()) {
                        return Ok(());
                    }
                    hierarchy::clear_parent(tx, &access, &owner, thing).await?;
                    hierarchy::set_parent(tx, &access, &owner, thing, group).await
                })
            })
            .await;
    }

    async fn take_out(&self, thing: Object) {
        let (access, owner) = (self.world.access.clone(), self.world.owner.clone());
        self.world
            .write(move |tx| {
                Box::pin(async move { hierarchy::clear_parent(tx, &access, &owner, thing).await.map(drop) })
            })
            .await;
    }

    /// Takes the user's role on a thing away, if there is one.
    async fn withdraw(&self, thing: Object) {
        let (access, user) = (self.world.access.clone(), self.world.user);
        self.world
            .write(move |tx| {
                Box::pin(async move {
                    let users = [db::Val::from(user)];
                    let named = store::on(thing).and_in("member_id", users);
                    members::take_out(tx, &access, thing, named).await.map(drop)
                })
            })
            .await;
    }

    async fn set_actions(&self, thing: Object, action: &'static str) {
        let (access, user) = (self.world.access.clone(), self.world.user);
        self.world
            .write(move |tx| {
                Box::pin(async move {
                    let held = store::held_by(tx, thing, &[user]).await?;
                    let Some((role, _)) = held.first() else { return Ok(()) };
                    let Some(mut role) = store::get(tx, thing, role).await? else { return Ok(()) };
                    role.actions = vec![action.to_owned()];
                    store::update(tx, &role).await?;
                    access.graph().changed(tx, thing, &[])
                })
            })
            .await;
    }

    async fn remove(&mut self, thing: Object) {
        self.things.retain(|kept| *kept != thing);
        let (access, owner) = (self.world.access.clone(), self.world.owner.clone());
        self.world
            .write(move |tx| Box::pin(async move { roles::remove_all(tx, &access, &owner, thing).await }))
            .await;
    }

    async fn leave(&self) {
        let (access, owner) = (self.world.access.clone(), self.world.owner.clone());
        let (domain, user) = (self.domain, self.world.user);
        self.world
            .write(move |tx| {
                Box::pin(async move {
                    members::leave_domain(tx, &access, &owner, domain, user).await?;
                    let held =
                        "SELECT count(*) AS n FROM role_members WHERE member_id = $1 AND domain_id = $2";
                    assert_eq!(tx.one(held, params![user, domain]).await?.get::<i64>("n")?, 0);
                    Ok(())
                })
            })
            .await;
    }

    /// The answers of the graph that has seen the changes are those of one that knows nothing yet.
    async fn compare(&self) {
        let fresh = Graph::open(self.world.access.db().clone()).unwrap();
        let subject = Subject::Member(self.domain, self.world.user);
        for thing in &self.things {
            for permission in ["read_permission", "update_permission"] {
                let remembered = self.world.may(permission, *thing).await;
                let stored = fresh.check(subject, permission, *thing).await.unwrap();
                assert_eq!(remembered, stored, "{permission} on {thing}");
            }
        }
    }

    /// Every row belongs to something.
    async fn nothing_is_left_over(&self) {
        let things: Vec<String> = self.things.iter().map(|thing| thing.id_text()).collect();
        let domain = self.domain;
        let counts = self
            .world
            .access
            .db()
            .read(move |tx| {
                Box::pin(async move {
                    let members = "SELECT count(*) AS n FROM role_members m
                        WHERE NOT EXISTS (SELECT 1 FROM roles r WHERE r.id = m.role_id AND r.entity_id = m.entity_id
                                             AND r.entity_kind = m.entity_kind AND r.domain_id = m.domain_id)";
                    let roles = "SELECT count(*) AS n FROM roles r
                        WHERE NOT EXISTS (SELECT 1 FROM relations t WHERE t.object_kind = r.entity_kind
                                             AND t.object_id = r.entity_id)";
                    let relations = "SELECT count(*) AS n FROM relations t WHERE t.relation = 'parent_group'
                        AND NOT EXISTS (SELECT 1 FROM relations g WHERE g.object_kind = t.subject_kind
                                           AND g.object_id = t.subject_id AND g.relation = 'domain')";
                    let mut counts = Vec::new();
                    for sql in [members, roles, relations] {
                        counts.push(tx.one(sql, params![]).await?.get::<i64>("n")?);
                    }
                    let filter = Filter::new()
                        .and("domain_id = ?", domain)
                        .and("entity_kind <> 'domain' AND built_in = ?", 1_i64);
                    let sql = format!("SELECT count(*) AS n FROM roles{}", filter.sql());
                    counts.push(tx.one(&sql, filter.params()).await?.get::<i64>("n")? - i64::try_from(things.len()).unwrap());
                    Ok(counts)
                })
            })
            .await
            .unwrap();
        assert_eq!(
            counts[..3],
            [0, 0, 0],
            "members without a role, roles without a thing, parents that are gone"
        );
        assert_eq!(counts[3], 0, "built-in roles are as many as things");
    }
}

async fn run(world: &World, changes: &[Change]) {
    let mut run = Run { world, domain: world.domain().await, things: Vec::new() };
    world.grant(Object::domain(run.domain), &["read"]).await;
    for change in changes {
        run.apply(change).await;
        run.compare().await;
    }
    run.nothing_is_left_over().await;
}

both_databases! {
    async fn changes_leave_neither_rows_nor_rights_behind(db: TestDb) {
        let world = World::new(&db).await;
        let runtime = Handle::current();
        block_in_place(|| {
            let config = ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() };
            TestRunner::new(config)
                .run(&prop::collection::vec(change(), 4..24), |changes| {
                    runtime.block_on(run(&world, &changes));
                    Ok(())
                })
                .unwrap();
        });
    }
}
