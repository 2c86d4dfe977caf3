//! Who belongs to a domain, as far as invitations must know it.

use std::collections::HashMap;

use db::{Filter, Tx, Val, params};
use kernel::{Error, Result, RoleId, UserId};

use crate::{Access, Object, Permit};

/// Whether a user holds a role on a thing.
pub async fn holds_role(tx: &mut Tx, object: Object, user: UserId) -> Result<bool> {
    let row = tx
        .one_or_none(
            "SELECT 1 AS held FROM role_members WHERE member_id = $1 AND entity_id = $2",
            params![user, object.id_text()],
        )
        .await?;
    Ok(row.is_some())
}

/// The names of those of these roles that are there.
pub async fn role_names(tx: &mut Tx, roles: &[&RoleId]) -> Result<HashMap<RoleId, String>> {
    if roles.is_empty() {
        return Ok(HashMap::new());
    }
    let filter = Filter::new().and_in("id", roles.iter().map(|role| Val::from(*role)));
    let rows = tx.all(&format!("SELECT id, name FROM roles{}", filter.sql()), filter.params()).await?;
    rows.iter().map(|row| Ok((row.get::<String>("id")?.parse()?, row.get("name")?))).collect()
}

/// Whether there is such a role on the thing.
pub async fn is_role_of(tx: &mut Tx, object: Object, role: &RoleId) -> Result<bool> {
    let row = tx
        .one_or_none(
            "SELECT 1 AS known FROM roles WHERE id = $1 AND entity_kind = $2 AND entity_id = $3",
            params![role, object.kind(), object.id_text()],
        )
        .await?;
    Ok(row.is_some())
}

/// Gives a user a role on a thing. The caller announces it.
///
/// Conflict where the user holds a role on it already.
pub async fn join(
    tx: &mut Tx,
    access: &Access,
    _permit: &Permit,
    object: Object,
    role: &RoleId,
    user: UserId,
) -> Result<()> {
    tx.execute(
        "INSERT INTO role_members (role_id, member_id, entity_id, domain_id) VALUES ($1, $2, $3, $4)",
        params![role, user, object.id_text(), object.in_domain()],
    )
    .await
    .map_err(|error| match db::violated(&error) {
        Some(_) => Error::conflict("the user holds a role here already").cause(error),
        None => error,
    })?;
    access.graph().changed(tx, object, &[(role.clone(), user)])
}
