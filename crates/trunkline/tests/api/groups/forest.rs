//! Groups against a plain forest in memory: whatever is created, moved and removed, everything is where it should be,
//! reaches whom it should, and nothing else.

use std::collections::HashMap;

use access::{Object, Permit, graph::Subject, hierarchy};
use db::{both_databases, params, testing::TestDb};
use http::Method;
use kernel::{ChannelId, DomainId, UserId};
use proptest::{collection::vec, prelude::*, test_runner::TestRunner};
use serde_json::{Value, json};
use tokio::{runtime::Handle, task::block_in_place};

use crate::plant::{Answer, Caller, Plant};

/// What happens; numbers choose among the groups that were ever made.
#[derive(Debug, Clone)]
enum Step {
    Create {
        parent: Option<usize>,
    },
    PutInto {
        group: usize,
        parent: usize,
    },
    TakeOut {
        group: usize,
    },
    PutAll {
        parent: usize,
        groups: Vec<usize>,
    },
    TakeAll {
        parent: usize,
        groups: Vec<usize>,
    },
    Empty {
        parent: usize,
    },
    Remove {
        group: usize,
    },
    /// A channel is put into a group, out of the one that it is in.
    Channel {
        group: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let one = || 0..8usize;
    let some = || vec(one(), 1..4);
    prop_oneof![
        4 => prop::option::of(one()).prop_map(|parent| Step::Create { parent }),
        4 => (one(), one()).prop_map(|(group, parent)| Step::PutInto { group, parent }),
        2 => one().prop_map(|group| Step::TakeOut { group }),
        2 => (one(), some()).prop_map(|(parent, groups)| Step::PutAll { parent, groups }),
        1 => (one(), some()).prop_map(|(parent, groups)| Step::TakeAll { parent, groups }),
        1 => one().prop_map(|parent| Step::Empty { parent }),
        2 => one().prop_map(|group| Step::Remove { group }),
        2 => one().prop_map(|group| Step::Channel { group }),
    ]
}

/// The plain forest: each group with its parent.
#[derive(Default)]
struct Forest {
    made: Vec<String>,
    parents: HashMap<String, Option<String>>,
    channel_in: Option<String>,
}

impl Forest {
    /// The group with this number, also one that was removed. None where none was ever made.
    fn chosen(&self, number: usize) -> Option<String> {
        number.checked_rem(self.made.len()).map(|index| self.made[index].clone())
    }

    fn is_there(&self, group: &str) -> bool {
        self.parents.contains_key(group)
    }

    fn parent(&self, group: &str) -> Option<&String> {
        self.parents[group].as_ref()
    }

    /// The groups from the root down to this one.
    fn path(&self, group: &str) -> Vec<String> {
        let mut path: Vec<String> = self.parent(group).map(|parent| self.path(parent)).unwrap_or_default();
        path.push(group.to_owned());
        path
    }

    /// Whether these may be put into `parent`.
    fn takes(&self, parent: &str, groups: &[String]) -> bool {
        self.is_there(parent)
            && groups.iter().all(|group| self.is_there(group) && self.parent(group).is_none())
            && !self.path(parent).iter().any(|above| groups.contains(above))
    }

    fn set(&mut self, group: &str, parent: Option<&str>) {
        self.parents.insert(group.to_owned(), parent.map(str::to_owned));
    }

    fn empty(&mut self, parent: &str) -> bool {
        let inside = self.parents.values_mut().filter(|of| of.as_deref() == Some(parent));
        inside.map(|of| *of = None).count() > 0
    }
}

/// A domain, its groups, and the user who holds the role of the first group and no other.
struct Scene<'p> {
    plant: &'p Plant,
    admin: &'p Caller,
    domain: String,
    channel: String,
    bob: UserId,
    forest: Forest,
}

impl Scene<'_> {
    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        self.admin.send(method, &format!("/{}/groups{path}", self.domain), body).await
    }

    async fn create(&mut self, parent: Option<String>) -> bool {
        let answer = self.send(Method::POST, "", Some(json!({"name": "g", "parent_id": parent}))).await;
        let expected = parent.as_ref().is_none_or(|parent| self.forest.is_there(parent));
        assert_eq!(answer.status == 201, expected, "{}", answer.status);
        if expected {
            let id = answer.expect(201)["id"].as_str().unwrap().to_owned();
            self.forest.set(&id, parent.as_deref());
            self.forest.made.push(id);
        }
        expected
    }

    /// Does it on the platform and in the forest; both must agree on whether it can be done.
    async fn take(&mut self, step: Step) {
        match step {
            Step::Create { parent } => {
                let parent = parent.and_then(|number| self.forest.chosen(number));
                self.create(parent).await;
            }
            Step::PutInto { group, parent } => {
                let (Some(group), Some(parent)) = (self.forest.chosen(group), self.forest.chosen(parent))
                else {
                    return;
                };
                let body = Some(json!({"parent_id": parent}));
                let answer = self.send(Method::POST, &format!("/{group}/parent"), body).await;
                let expected = group != parent && self.forest.takes(&parent, std::slice::from_ref(&group));
                assert_eq!(answer.status == 200, expected, "{}", answer.status);
                if expected {
                    self.forest.set(&group, Some(&parent));
                }
            }
            Step::TakeOut { group } => {
                let Some(group) = self.forest.chosen(group) else { return };
                let answer = self.send(Method::DELETE, &format!("/{group}/parent"), None).await;
                let expected = self.forest.is_there(&group);
                assert_eq!(answer.status == 204, expected, "{}", answer.status);
                if expected {
                    self.forest.set(&group, None);
                }
            }
            Step::PutAll { parent, groups } => self.move_all(Method::POST, parent, groups).await,
            Step::TakeAll { parent, groups } => self.move_all(Method::DELETE, parent, groups).await,
            Step::Empty { parent } => {
                let Some(parent) = self.forest.chosen(parent) else { return };
                let answer = self.send(Method::DELETE, &format!("/{parent}/children/all"), None).await;
                let expected = self.forest.is_there(&parent) && self.forest.empty(&parent);
                assert_eq!(answer.status == 204, expected, "{}", answer.status);
            }
            Step::Remove { group } => {
                let Some(group) = self.forest.chosen(group) else { return };
                let answer = self.send(Method::DELETE, &format!("/{group}"), None).await;
                let expected = self.forest.parents.remove(&group).is_some();
                assert_eq!(answer.status == 204, expected, "{}", answer.status);
                self.forest.empty(&group);
                self.forest.channel_in = self.forest.channel_in.take().filter(|inside| *inside != group);
            }
            Step::Channel { group } => {
                let Some(group) = self.forest.chosen(group).filter(|group| self.forest.is_there(group))
                else {
                    return;
                };
                self.put_channel(&group).await;
                self.forest.channel_in = Some(group);
            }
        }
    }

    async fn move_all(&mut self, method: Method, parent: usize, numbers: Vec<usize>) {
        let Some(parent) = self.forest.chosen(parent) else { return };
        let groups: Vec<String> =
            numbers.into_iter().filter_map(|number| self.forest.chosen(number)).collect();
        let put = method == Method::POST;
        let body = Some(json!({"children_ids": groups}));
        let answer = self.send(method, &format!("/{parent}/children"), body).await;
        let own = groups.contains(&parent);
        let inside =
            |group: &String| self.forest.is_there(group) && self.forest.parent(group) == Some(&parent);
        let expected = match put {
            true => !own && self.forest.takes(&parent, &groups),
            false => !own && self.forest.is_there(&parent) && groups.iter().all(inside),
        };
        assert_eq!(answer.status.is_success(), expected, "{}", answer.status);
        for group in groups.iter().filter(|_| expected) {
            self.forest.set(group, put.then_some(&parent));
        }
    }

    async fn put_channel(&self, group: &str) {
        let object = Object::channel(self.domain(), self.channel.parse().unwrap());
        let permit = Permit::of_oneself(self.bob, self.plant.clock.now());
        let (access, group) = (self.plant.access().clone(), group.parse().unwrap());
        self.plant
            .write(move |tx| {
                Box::pin(async move {
                    hierarchy::clear_parent(tx, &access, &permit, object).await?;
                    hierarchy::set_parent(tx, &access, &permit, object, group).await
                })
            })
            .await;
    }

    /// Gives bob the admin role of a group, before anything is remembered of it.
    async fn give_bob(&self, group: &str) {
        let (group, bob) = (group.to_owned(), self.bob);
        self.plant
            .write(move |tx| {
                Box::pin(async move {
                    tx.execute(
                        "INSERT INTO role_members (role_id, member_id, entity_id, domain_id)
                         SELECT id, $2, entity_id, domain_id FROM roles WHERE entity_id = $1",
                        params![group, bob],
                    )
                    .await
                    .map(drop)
                })
            })
            .await;
    }

    fn domain(&self) -> DomainId {
        self.domain.parse().unwrap()
    }

    async fn bob_may(&self, permission: &str, object: Object) -> bool {
        let subject = Subject::Member(self.domain(), self.bob);
        self.plant.access().graph().check(subject, permission, object).await.unwrap()
    }

    /// Everything is where it should be, and within reach of whom it should.
    async fn looks_right(&self) {
        let (forest, domain) = (&self.forest, self.domain());
        let list = self.send(Method::GET, "?limit=100", None).await.expect(200);
        assert_eq!(list["total"], forest.parents.len());
        for group in list["groups"].as_array().unwrap() {
            let path = forest.path(group["id"].as_str().unwrap());
            assert_eq!(group["path"], path.join("."));
            assert_eq!(group["level"], path.len());
            assert_eq!(
                group.get("parent_id").and_then(Value::as_str),
                path.iter().rev().nth(1).map(String::as_str)
            );
        }
        let bobs = &forest.made[0];
        for group in &forest.made {
            let reached = forest.is_there(group) && forest.path(group).contains(bobs);
            let object = Object::group(domain, group.parse().unwrap());
            assert_eq!(self.bob_may("read_permission", object).await, reached, "{group}");
        }
        let reached = forest.channel_in.as_ref().is_some_and(|inside| forest.path(inside).contains(bobs));
        let object = Object::channel(domain, self.channel.parse::<ChannelId>().unwrap());
        assert_eq!(self.bob_may("publish_permission", object).await, reached, "the channel");
        let orphans = "relations r WHERE relation = 'parent_group' AND (
            NOT EXISTS (SELECT 1 FROM groups g WHERE g.id = r.subject_id)
            OR object_kind = 'group' AND NOT EXISTS (SELECT 1 FROM groups g WHERE g.id = r.object_id))";
        assert_eq!(self.plant.count(orphans).await, 0);
    }
}

async fn plays_out(plant: &Plant, round: usize, steps: Vec<Step>) {
    let domain = plant.admin.domain(&format!("d-{round}")).await;
    let channel = plant.admin.channel(&domain, "c").await;
    let bob = UserId::generate(plant.access().rng());
    let mut scene = Scene { plant, admin: &plant.admin, domain, channel, bob, forest: Forest::default() };
    scene.create(None).await;
    let first = scene.forest.made[0].clone();
    scene.give_bob(&first).await;
    scene.looks_right().await;
    for step in steps {
        scene.take(step).await;
        scene.looks_right().await;
    }
}

both_databases! {
    async fn groups_are_what_a_plain_forest_is(db: TestDb) {
        let plant = Plant::new(db).await;
        let round = std::cell::Cell::new(0);
        let mut runner = TestRunner::new(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() });
        runner
            .run(&vec(step(), 1..30), |steps| {
                round.set(round.get() + 1);
                block_in_place(|| Handle::current().block_on(plays_out(&plant, round.get(), steps)));
                Ok(())
            })
            .unwrap();
    }
}
