//! Roles: named sets of actions on one thing, and the users who hold them (reference 02 §4).
//!
//! A role row is at the same time the tuples `<thing>#<action>@role:<id>#member`, a member row the tuple
//! `role:<id>#member@user:<domain>_<user>`; see [`crate::graph`].

use db::{Tx, params};
use kernel::{DomainId, Error, Result, RoleId, Timestamp, UserId};
use serde::Serialize;

use crate::{Access, Object, Permit};

/// The name of the role that comes with every thing and holds all of its actions.
pub const ADMIN: &str = "admin";

/// A role as it was made together with its thing: the shape that events carry (reference 02 §4.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Provision {
    /// The role's id.
    pub id: RoleId,
    /// Its name.
    pub name: String,
    /// The thing it is on.
    pub entity_id: String,
    /// Who made it.
    pub created_by: UserId,
    /// When.
    pub created_at: Timestamp,
    /// The actions it holds.
    pub optional_actions: Vec<String>,
    /// The users who hold it.
    pub optional_members: Vec<UserId>,
}

/// Gives a new thing its place in the domain and its `admin` role, which the caller holds.
///
/// Asks for the permit, so that only a use case that was allowed can call it.
pub async fn provision(tx: &mut Tx, access: &Access, permit: &Permit, object: Object) -> Result<Provision> {
    let actions = relation::actions(object.kind());
    let provision = Provision {
        id: RoleId::generate(object.kind(), access.rng()),
        name: ADMIN.to_owned(),
        entity_id: object.id_text(),
        created_by: permit.actor(),
        created_at: permit.at(),
        optional_actions: actions.iter().map(|action| (*action).to_owned()).collect(),
        optional_members: vec![permit.actor()],
    };
    place(tx, object).await?;
    insert(tx, &provision, object).await?;
    let members: Vec<_> =
        provision.optional_members.iter().map(|user| (provision.id.clone(), *user)).collect();
    access.graph().changed(tx, object, &members)?;
    Ok(provision)
}

/// Ties a thing to what it belongs to: a domain to the platform, anything else to its domain.
async fn place(tx: &mut Tx, object: Object) -> Result<()> {
    let (relation, kind, id) = if object.kind() == DomainId::KIND {
        ("organization", "platform", crate::graph::PLATFORM_ID.to_owned())
    } else {
        ("domain", DomainId::KIND, object.in_domain().to_string())
    };
    tx.execute_later(
        "INSERT INTO relations (object_kind, object_id, relation, subject_kind, subject_id)
         VALUES ($1, $2, $3, $4, $5)",
        params![object.kind(), object.id_text(), relation, kind, id],
    )
    .await?;
    Ok(())
}

async fn insert(tx: &mut Tx, role: &Provision, object: Object) -> Result<()> {
    let actions = db::Val::Json(serde_json::to_string(&role.optional_actions).map_err(Error::internal)?);
    tx.execute_later(
        "INSERT INTO roles (id, name, entity_kind, entity_id, domain_id, actions, built_in, created_by, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, 1, $7, $8)",
        params![
            role.id.as_str(),
            role.name.as_str(),
            object.kind(),
            object.id_text(),
            object.in_domain(),
            actions,
            role.created_by,
            role.created_at
        ],
    )
    .await?;
    for member in &role.optional_members {
        tx.execute_later(
            "INSERT INTO role_members (role_id, member_id, entity_id, domain_id) VALUES ($1, $2, $3, $4)",
            params![role.id.as_str(), *member, object.id_text(), object.in_domain()],
        )
        .await?;
    }
    Ok(())
}

/// Removes every right that anybody has on a thing, and every right that the thing has elsewhere.
pub async fn remove_all(tx: &mut Tx, access: &Access, _permit: &Permit, object: Object) -> Result<()> {
    let rows = tx
        .all("SELECT role_id, member_id FROM role_members WHERE entity_id = $1", params![object.id_text()])
        .await?;
    let members = rows
        .iter()
        .map(|row| Ok((row.get::<String>("role_id")?.parse()?, row.get("member_id")?)))
        .collect::<Result<Vec<(RoleId, UserId)>>>()?;
    tx.execute_later("DELETE FROM role_members WHERE entity_id = $1", params![object.id_text()]).await?;
    tx.execute_later(
        "DELETE FROM roles WHERE entity_kind = $1 AND entity_id = $2",
        params![object.kind(), object.id_text()],
    )
    .await?;
    for side in [
        "DELETE FROM relations WHERE object_kind = $1 AND object_id = $2",
        "DELETE FROM relations WHERE subject_kind = $1 AND subject_id = $2",
    ] {
        tx.execute_later(side, params![object.kind(), object.id_text()]).await?;
    }
    access.graph().changed(tx, object, &members)
}
