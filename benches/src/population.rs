//! A domain with very many clients, written straight into the database of a platform that does not run meanwhile.
//!
//! Made over HTTP they would take a quarter of an hour. Each has what a creation writes: its row, its place in the
//! domain and in a group of a hundred, its role and the member of that role. Groups hang below a hundred others.

use anyhow::{Context as _, Result};
use db::{Db, Val, params};
use kernel::{Rng, RoleId};
use serde_json::json;

/// Clients in a group.
const GROUP: usize = 100;
/// Every so many clients one is disabled.
const DISABLED_EACH: usize = 100;
/// Groups that the viewer may read in.
const SEEN_GROUPS: usize = 3;
/// Clients on which the viewer holds a role of its own.
const SEEN_CLIENTS: usize = 200;
/// Clients in one transaction.
const CHUNK: usize = 2_000;
/// 2026-01-02T03:04:05Z in microseconds.
const BEGIN: i64 = 1_767_323_045_000_000;

/// Who is in the domain, by id.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The domain.
    pub(crate) domain: String,
    /// Who has made everything.
    pub(crate) owner: String,
    /// Who sees a few.
    pub(crate) viewer: String,
}

/// Rows for each table.
#[derive(Default)]
struct Rows {
    groups: Vec<Vec<Val>>,
    clients: Vec<Vec<Val>>,
    relations: Vec<Vec<Val>>,
    roles: Vec<Vec<Val>>,
    members: Vec<Vec<Val>>,
}

/// What all rows have in common.
#[derive(Clone)]
struct Writer {
    place: Place,
    rng: Rng,
    /// The actions of the role that comes with a client, and with a group.
    actions: (String, String),
}

/// Adds `clients` clients and their groups to a domain that has a client and a group already.
///
/// # Errors
/// When the database refuses, or has not these tables.
pub(crate) async fn fill(db: &Db, place: Place, clients: usize) -> Result<()> {
    let actions = (actions(db, &place, "client").await?, actions(db, &place, "group").await?);
    let writer = Writer { place, rng: Rng::seeded(1), actions };
    let groups: Vec<String> = (0..clients.div_ceil(GROUP)).map(|_| writer.id()).collect();
    let mut rows = Rows::default();
    for (number, id) in groups.iter().enumerate() {
        writer.group(&mut rows, number, id, groups.get(number % GROUP).filter(|_| number >= GROUP));
    }
    write(db, rows).await?;
    for first in (0..clients).step_by(CHUNK) {
        let mut rows = Rows::default();
        for number in first..(first + CHUNK).min(clients) {
            let group = groups.get(number / GROUP).context("a client without a group")?;
            writer.client(&mut rows, number, group, clients);
        }
        write(db, rows).await?;
    }
    tally(db, writer.place.domain, clients, groups.len()).await
}

async fn actions(db: &Db, place: &Place, kind: &'static str) -> Result<String> {
    let domain = place.domain.clone();
    let row = db.read(move |tx| {
        Box::pin(async move {
            let sql = "SELECT actions FROM roles WHERE domain_id = $1 AND entity_kind = $2 AND built_in = 1 LIMIT 1";
            tx.one(sql, params![domain, kind]).await?.get("actions")
        })
    });
    Ok(row.await?)
}

impl Writer {
    fn id(&self) -> String {
        self.rng.uuid().to_string()
    }

    fn group(&self, rows: &mut Rows, number: usize, id: &str, parent: Option<&String>) {
        let at = BEGIN + number as i64;
        rows.groups.push(vec![
            id.into(),
            self.domain(),
            format!("line {number}").into(),
            Val::Json("[]".into()),
            Val::Json("{}".into()),
            Val::Int(0),
            at.into(),
            at.into(),
        ]);
        self.provision(rows, "group", id, &self.actions.1, at);
        if let Some(parent) = parent {
            rows.relations.push(related("group", id, "parent_group", "group", parent));
        }
        if (GROUP..GROUP + SEEN_GROUPS).contains(&number) {
            let actions = json!(["client_read", "read"]).to_string();
            self.role(rows, ("group", id), ("viewers", &self.place.viewer), &actions, at);
        }
    }

    fn client(&self, rows: &mut Rows, number: usize, group: &str, of: usize) {
        let (id, at) = (self.id(), BEGIN + 1_000_000 + 150 * number as i64);
        let mut digest = vec![0xff; 24];
        digest.extend_from_slice(&(number as u64).to_be_bytes());
        let metadata = json!({"model": format!("m{}", number % 20), "serial": format!("SN-{number}")});
        rows.clients.push(vec![
            id.as_str().into(),
            self.domain(),
            format!("sensor-{number:07}").into(),
            format!("sn-{number}").into(),
            Val::Json(json!([format!("line-{}", number % 50), "bench"]).to_string()),
            Val::Json(metadata.to_string()),
            Val::Json("{}".into()),
            digest.into(),
            vec![0; 60].into(),
            Val::Int(number.is_multiple_of(DISABLED_EACH).into()),
            self.place.owner.as_str().into(),
            at.into(),
            at.into(),
        ]);
        self.provision(rows, "client", &id, &self.actions.0, at);
        rows.relations.push(related("client", &id, "parent_group", "group", group));
        // Spread over all of them; one more than a whole step, so that not all seen ones are disabled.
        if number % (of / SEEN_CLIENTS).max(1) == 1 {
            let actions = json!(["read", "update"]).to_string();
            self.role(rows, ("client", &id), ("viewers", &self.place.viewer), &actions, at);
        }
    }

    fn domain(&self) -> Val {
        self.place.domain.as_str().into()
    }

    fn provision(&self, rows: &mut Rows, kind: &str, id: &str, actions: &str, at: i64) {
        rows.relations.push(related(kind, id, "domain", "domain", &self.place.domain));
        self.role(rows, (kind, id), ("admin", &self.place.owner), actions, at);
    }

    fn role(&self, rows: &mut Rows, thing: (&str, &str), held: (&str, &str), actions: &str, at: i64) {
        let ((kind, id), (name, member)) = (thing, held);
        let role = RoleId::generate(kind, &self.rng).as_str().to_owned();
        rows.members.push(vec![role.as_str().into(), member.into(), id.into(), self.domain(), kind.into()]);
        rows.roles.push(vec![
            role.into(),
            name.into(),
            kind.into(),
            id.into(),
            self.domain(),
            Val::Json(actions.to_owned()),
            Val::Int((name == "admin").into()),
            self.place.owner.as_str().into(),
            at.into(),
        ]);
    }
}

fn related(kind: &str, id: &str, relation: &str, subject_kind: &str, subject: &str) -> Vec<Val> {
    [kind, id, relation, subject_kind, subject].map(Val::from).into()
}

async fn write(db: &Db, rows: Rows) -> Result<()> {
    let job = db.write(move |tx| {
        Box::pin(async move {
            for (insert, rows) in [
                (
                    "INSERT INTO groups (id, domain_id, name, tags, metadata, status, created_at, changed_at) VALUES",
                    rows.groups,
                ),
                (
                    "INSERT INTO clients (id, domain_id, name, identity, tags, metadata, private_metadata,
                        secret_digest, secret_sealed, status, created_by, created_at, changed_at) VALUES",
                    rows.clients,
                ),
                (
                    "INSERT INTO relations (object_kind, object_id, relation, subject_kind, subject_id) VALUES",
                    rows.relations,
                ),
                (
                    "INSERT INTO roles (id, name, entity_kind, entity_id, domain_id, actions, built_in, created_by,
                        created_at) VALUES",
                    rows.roles,
                ),
                (
                    "INSERT INTO role_members (role_id, member_id, entity_id, domain_id, entity_kind) VALUES",
                    rows.members,
                ),
            ] {
                tx.insert_many(insert, rows).await?;
            }
            Ok(())
        })
    });
    Ok(job.await?)
}

/// Lists take their totals from here.
async fn tally(db: &Db, domain: String, clients: usize, groups: usize) -> Result<()> {
    const STRIPE: i64 = 1000;
    let disabled = clients.div_ceil(DISABLED_EACH);
    let job = db.write(move |tx| {
        Box::pin(async move {
            for (kind, status, count) in
                [("client", 0, clients - disabled), ("client", 1, disabled), ("group", 0, groups)]
            {
                let sql =
                    "INSERT INTO tallies (kind, domain_id, status, stripe, n) VALUES ($1, $2, $3, $4, $5)";
                tx.execute(sql, params![kind, domain.as_str(), status, STRIPE, count]).await?;
            }
            Ok(())
        })
    });
    Ok(job.await?)
}
