//! Who belongs to a domain, as far as invitations must know it.

use std::collections::HashMap;

use db::{Filter, Tx, Val, params};
use kernel::{DomainId, Result, RoleId, UserId};

use crate::{Object, roles};

/// Whether there is such a user, who then stays until the transaction ends.
pub async fn is_registered(tx: &mut Tx, user: UserId) -> Result<bool> {
    Ok(roles::store::registered(tx, &[user]).await? == 1)
}

/// Keeps who belongs to a domain, and its roles, as they are until the transaction ends. NotFound where it is gone.
///
/// Whoever also holds rows that go with a membership, as invitations do, calls this first: a departure takes the two in
/// this order, and another order lets the two wait for each other.
pub async fn hold(tx: &mut Tx, domain: DomainId) -> Result<()> {
    roles::members::held(tx, Object::domain(domain)).await
}

/// Whether a user holds a role on a thing.
pub async fn holds_role(tx: &mut Tx, object: Object, user: UserId) -> Result<bool> {
    let row = tx
        .one_or_none(
            "SELECT 1 AS held FROM role_members WHERE member_id = $1 AND entity_kind = $2 AND entity_id = $3",
            params![user, object.kind(), object.id_text()],
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
