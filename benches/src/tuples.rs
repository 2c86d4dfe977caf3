//! A million tuples in memory, and what a check over them costs.
//!
//! 84 domains with three groups inside each other and 1,000 clients in the innermost, every client with its own admin
//! role. Every question is asked once, so that all nodes are in memory; then it is measured. "One client" asks the same
//! question again and again, "all clients" a different client of a different domain each time, so that hardly anything
//! is in the processor's caches.

use std::{hint::black_box, sync::Arc};

use anyhow::{Context as _, Result, ensure};

use relation::{
    Ask, Graph, Id, Loaded, NameError, Object, Outcome, Schema, Subject, actions, memory::Tuples,
};

const DOMAINS: u128 = 84;
const CLIENTS_PER_DOMAIN: u128 = 1000;
const CHECKS: usize = 250_000;
const ROUNDS: usize = 8;

/// Who asks; each a user of the client's domain.
#[derive(Clone, Copy)]
enum Who {
    /// Made the client: the client's own admin role.
    Creator = 1,
    /// `subgroup_client_read` on the outermost group.
    Gardener = 2,
    /// `client_read` on the domain.
    Operator = 3,
    /// A role on the domain that has nothing to do with clients.
    Reporter = 4,
}

struct World {
    schema: Arc<Schema>,
    tuples: Tuples,
    count: usize,
}

impl World {
    fn object(&self, kind: &str, id: u128) -> std::result::Result<Object, NameError> {
        let kind = self.schema.kind(kind).ok_or_else(|| NameError::UnknownKind(kind.to_owned()))?;
        // Spread like random UUIDs.
        Ok(Object::new(kind, Id::uuid(id.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))))
    }

    fn user(&self, domain: u128, who: Who) -> std::result::Result<Object, NameError> {
        let kind = self.schema.kind("user").ok_or_else(|| NameError::UnknownKind("user".to_owned()))?;
        Ok(Object::new(kind, Id::pair(domain, who as u128)))
    }

    fn relate(
        &mut self,
        object: Object,
        relation: &str,
        subject: impl Into<Subject>,
    ) -> std::result::Result<(), NameError> {
        let relation =
            self.schema.relation(object.kind(), relation).ok_or_else(|| NameError::UnknownItem {
                kind: self.schema.kind_name(object.kind()).to_owned(),
                name: relation.to_owned(),
            })?;
        self.count +=
            usize::from(self.tuples.insert(&self.schema.tuple(object, relation, subject.into())?));
        Ok(())
    }

    fn role(
        &mut self,
        id: u128,
        on: Object,
        held: &[&str],
        member: Object,
    ) -> std::result::Result<(), NameError> {
        let role = self.object("role", id)?;
        let members = self.schema.parse_subject("role:x#member")?.members;
        for action in held {
            self.relate(on, action, Subject { object: role, members })?;
        }
        self.relate(role, "member", member)
    }

    fn build() -> Result<Self> {
        let schema = Arc::new(Schema::platform()?);
        let mut world = Self { tuples: Tuples::new(Arc::clone(&schema)), schema, count: 0 };
        let platform = world.schema.parse_object("platform:magistrala")?;
        for d in 0..DOMAINS {
            let domain = world.object("domain", d)?;
            world.relate(domain, "organization", platform)?;
            let mut above = None;
            for level in 0..3 {
                let group = world.object("group", d * 3 + level)?;
                world.relate(group, "domain", domain)?;
                if let Some(above) = above {
                    world.relate(group, "parent_group", above)?;
                } else {
                    let gardener = world.user(d, Who::Gardener)?;
                    world.role(1_000_000 + d, group, &["subgroup_client_read"], gardener)?;
                }
                let creator = world.user(d, Who::Creator)?;
                world.role(2_000_000 + d * 3 + level, group, &["update", "delete"], creator)?;
                above = Some(group);
            }
            let (operator, reporter) = (world.user(d, Who::Operator)?, world.user(d, Who::Reporter)?);
            world.role(3_000_000 + d, domain, &["client_read", "client_update", "channel_read"], operator)?;
            world.role(4_000_000 + d, domain, &["report_read", "report_create"], reporter)?;
            for c in 0..CLIENTS_PER_DOMAIN {
                let number = d * CLIENTS_PER_DOMAIN + c;
                let client = world.object("client", number)?;
                world.relate(client, "domain", domain)?;
                if let Some(group) = above {
                    world.relate(client, "parent_group", group)?;
                }
                let creator = world.user(d, Who::Creator)?;
                world.role(5_000_000 + number, client, actions("client"), creator)?;
            }
        }
        Ok(world)
    }

    /// One question per client, each from another domain than the one before.
    fn questions(&self, who: Who) -> Result<Vec<Ask>> {
        let permission = self.schema.ask("user:x", "read_permission", "client:x")?.permission;
        let mut asks = Vec::new();
        for c in 0..CLIENTS_PER_DOMAIN {
            for d in 0..DOMAINS {
                let object = self.object("client", d * CLIENTS_PER_DOMAIN + c)?;
                asks.push(Ask { subject: self.user(d, who)?.into(), permission, object });
            }
        }
        Ok(asks)
    }
}

/// The processor time of this thread so far, so that a busy machine does not count.
fn processor_nanoseconds() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(text.split_whitespace().next().context("no processor time")?.parse()?)
}

/// Per check, the best of some rounds.
fn nanoseconds(graph: &Graph, asks: &[Ask], expected: bool) -> Result<f64> {
    let loaded = Loaded::default();
    let mut asks = asks.iter().cycle();
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let started = processor_nanoseconds()?;
        for ask in asks.by_ref().take(CHECKS) {
            ensure!(
                graph.check(black_box(ask), &loaded)? == Outcome::Decided(expected),
                "an unexpected answer"
            );
        }
        best = best.min((processor_nanoseconds()? - started) as f64 / CHECKS as f64);
    }
    Ok(best)
}

/// The processor time of one check in ns for each kind of question, and how many tuples there are.
pub(crate) fn check_costs() -> Result<(Vec<(String, f64)>, usize)> {
    let world = World::build()?;
    let graph = Graph::new(Arc::clone(&world.schema), 1 << 30);
    let mut costs = Vec::new();
    for (kind, who, expected) in [
        ("own role on the client", Who::Creator, true),
        ("role on the group three above", Who::Gardener, true),
        ("role on the domain", Who::Operator, true),
        ("denied", Who::Reporter, false),
    ] {
        let asks = world.questions(who)?;
        for ask in &asks {
            world.tuples.answer(&graph, |loaded| graph.check(ask, loaded))?;
        }
        let one = nanoseconds(&graph, asks.get(..1).unwrap_or_default(), expected)?;
        costs.push((format!("{kind}, one client"), one));
        costs.push((format!("{kind}, all clients"), nanoseconds(&graph, &asks, expected)?));
    }
    Ok((costs, world.count))
}
