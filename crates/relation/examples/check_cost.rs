//! What a check costs when a million tuples are in memory.
//!
//! `cargo run --release -p trunkline-relation --example check_cost`
//!
//! Builds 84 domains with three groups inside each other and 1,000 clients in the innermost, every client with its own
//! admin role; asks every question once, so that all nodes are in memory; then measures. "One client" asks the same
//! question again and again, "all clients" a different client of a different domain each time, so that hardly anything
//! is in the processor's caches.
#![expect(clippy::print_stdout, reason = "prints its measurements")]

use std::{error::Error, hint::black_box, sync::Arc};

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
    fn object(&self, kind: &str, id: u128) -> Result<Object, NameError> {
        let kind = self.schema.kind(kind).ok_or_else(|| NameError::UnknownKind(kind.to_owned()))?;
        // Spread like random UUIDs.
        Ok(Object::new(kind, Id::uuid(id.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))))
    }

    fn user(&self, domain: u128, who: Who) -> Result<Object, NameError> {
        let kind = self.schema.kind("user").ok_or_else(|| NameError::UnknownKind("user".to_owned()))?;
        Ok(Object::new(kind, Id::pair(domain, who as u128)))
    }

    fn relate(
        &mut self,
        object: Object,
        relation: &str,
        subject: impl Into<Subject>,
    ) -> Result<(), NameError> {
        let relation =
            self.schema.relation(object.kind(), relation).ok_or_else(|| NameError::UnknownItem {
                kind: self.schema.kind_name(object.kind()).to_owned(),
                name: relation.to_owned(),
            })?;
        self.count +=
            usize::from(self.tuples.insert(&self.schema.tuple(object, relation, subject.into())?));
        Ok(())
    }

    fn role(&mut self, id: u128, on: Object, held: &[&str], member: Object) -> Result<(), NameError> {
        let role = self.object("role", id)?;
        let members = self.schema.parse_subject("role:x#member")?.members;
        for action in held {
            self.relate(on, action, Subject { object: role, members })?;
        }
        self.relate(role, "member", member)
    }

    fn build() -> Result<Self, Box<dyn Error>> {
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
    fn questions(&self, who: Who) -> Result<Vec<Ask>, Box<dyn Error>> {
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

/// The memory of this process in bytes.
fn resident() -> Result<u64, Box<dyn Error>> {
    let pages: u64 = std::fs::read_to_string("/proc/self/statm")?
        .split_whitespace()
        .nth(1)
        .ok_or("no resident pages")?
        .parse()?;
    Ok(pages * 4096)
}

/// The processor time of this thread so far, so that a busy machine does not count.
fn processor_nanoseconds() -> Result<u64, Box<dyn Error>> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(text.split_whitespace().next().ok_or("no processor time")?.parse()?)
}

/// Per check, the best of some rounds.
fn nanoseconds(graph: &Graph, asks: &[Ask], expected: bool) -> Result<f64, Box<dyn Error>> {
    let loaded = Loaded::default();
    let mut asks = asks.iter().cycle();
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let started = processor_nanoseconds()?;
        for ask in asks.by_ref().take(CHECKS) {
            if graph.check(black_box(ask), &loaded)? != Outcome::Decided(expected) {
                return Err("an unexpected answer".into());
            }
        }
        best = best.min((processor_nanoseconds()? - started) as f64 / CHECKS as f64);
    }
    Ok(best)
}

fn main() -> Result<(), Box<dyn Error>> {
    let world = World::build()?;
    let graph = Graph::new(Arc::clone(&world.schema), 1 << 30);
    let cases = [
        ("own role on the client", Who::Creator, true),
        ("role on the group three above", Who::Gardener, true),
        ("role on the domain", Who::Operator, true),
        ("denied", Who::Reporter, false),
    ];
    println!("{} tuples", world.count);
    let before = resident()?;
    for (number, (name, who, _)) in cases.into_iter().enumerate() {
        for ask in world.questions(who)? {
            world.tuples.answer(&graph, |loaded| graph.check(&ask, loaded))?;
        }
        let (counted, resident) = (graph.bytes(), resident()?.saturating_sub(before));
        if number == 0 {
            let per_tuple = counted as f64 / world.count as f64;
            println!(
                "in memory: {counted} bytes by our account, {per_tuple:.0} per tuple; {resident} resident"
            );
        } else {
            println!("and all that is asked for \"{name}\": {counted} bytes; {resident} resident");
        }
    }
    println!("processor time of a check, everything in memory:");
    for (name, who, expected) in cases {
        let asks = world.questions(who)?;
        let one = nanoseconds(&graph, asks.get(..1).unwrap_or_default(), expected)?;
        println!("{name}, one client: {one:.0} ns");
        println!("{name}, all clients: {:.0} ns", nanoseconds(&graph, &asks, expected)?);
    }
    Ok(())
}
