//! The invitations table.

use access::membership;
use db::{Filter, List, Row, Tx, Val, params};
use kernel::{Direction, DomainId, Error, Page, Result, UserId};

use super::model::{Invitation, Named, Query, State};

const COLUMNS: &str =
    "id, invitee_id, domain_id, role_id, invited_by, created_at, updated_at, confirmed_at, rejected_at,
     (SELECT d.name FROM domains d WHERE d.id = domain_id) AS domain_name";

fn read(row: &Row) -> Result<Named> {
    Ok(Named {
        invitation: Invitation {
            id: row.get::<String>("id")?.parse().map_err(Error::internal)?,
            invitee: row.get("invitee_id")?,
            domain: row.get("domain_id")?,
            role: row.get::<String>("role_id")?.parse()?,
            invited_by: row.get("invited_by")?,
            created_at: row.get("created_at")?,
            updated_at: row.get("updated_at")?,
            confirmed_at: row.get("confirmed_at")?,
            rejected_at: row.get("rejected_at")?,
        },
        domain_name: row.get::<Option<String>>("domain_name")?.unwrap_or_default(),
        role_name: None,
    })
}

/// Conflict where the user has an invitation to the domain already.
pub(crate) async fn insert(tx: &mut Tx, invitation: &Invitation) -> Result<()> {
    tx.execute(
        "INSERT INTO invitations (id, invitee_id, domain_id, role_id, invited_by, created_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
        params![
            invitation.id.to_string(),
            invitation.invitee,
            invitation.domain,
            &invitation.role,
            invitation.invited_by,
            invitation.created_at
        ],
    )
    .await
    .map_err(|error| match db::violated(&error) {
        Some(_) => Error::conflict(
            "failed to create entity: the user has an invitation to the domain, send `resend` to repeat it",
        )
        .cause(error),
        None => error,
    })?;
    Ok(())
}

pub(crate) async fn get(tx: &mut Tx, domain: DomainId, invitee: UserId) -> Result<Option<Named>> {
    let sql = format!("SELECT {COLUMNS} FROM invitations WHERE domain_id = $1 AND invitee_id = $2");
    let row = tx.one_or_none(&sql, params![domain, invitee]).await?;
    let mut found: Vec<Named> = row.as_ref().map(read).transpose()?.into_iter().collect();
    name_roles(tx, &mut found).await?;
    Ok(found.pop())
}

/// As [`get`], held against other writers until the transaction ends.
pub(crate) async fn held(tx: &mut Tx, domain: DomainId, invitee: UserId) -> Result<Option<Named>> {
    let sql =
        format!("SELECT id FROM invitations WHERE domain_id = $1 AND invitee_id = $2{}", tx.for_update());
    match tx.one_or_none(&sql, params![domain, invitee]).await? {
        Some(_) => get(tx, domain, invitee).await,
        None => Ok(None),
    }
}

pub(crate) async fn update(tx: &mut Tx, invitation: &Invitation) -> Result<()> {
    tx.execute(
        "UPDATE invitations
            SET role_id = $2, invited_by = $3, updated_at = $4, confirmed_at = $5, rejected_at = $6
          WHERE id = $1",
        params![
            invitation.id.to_string(),
            &invitation.role,
            invitation.invited_by,
            invitation.updated_at,
            invitation.confirmed_at,
            invitation.rejected_at
        ],
    )
    .await?;
    Ok(())
}

/// Removes the invitations of these users to a domain.
pub(crate) async fn delete(tx: &mut Tx, domain: DomainId, invitees: &[UserId]) -> Result<()> {
    let filter =
        Filter::new().and("domain_id = ?", domain).and_in("invitee_id", invitees.iter().map(Val::from));
    tx.execute_later(&format!("DELETE FROM invitations{}", filter.sql()), filter.params()).await
}

/// Removes the invitations to a domain that these users sent and that are still to be answered.
pub(crate) async fn delete_pending_by(tx: &mut Tx, domain: DomainId, inviters: &[UserId]) -> Result<()> {
    let filter = Filter::new()
        .and("domain_id = ? AND confirmed_at IS NULL AND rejected_at IS NULL", domain)
        .and_in("invited_by", inviters.iter().map(Val::from));
    tx.execute_later(&format!("DELETE FROM invitations{}", filter.sql()), filter.params()).await
}

/// Removes all invitations of a user.
pub(crate) async fn delete_of(tx: &mut Tx, invitee: UserId) -> Result<()> {
    tx.execute_later("DELETE FROM invitations WHERE invitee_id = $1", params![invitee]).await
}

/// A page of the invitations that match, newest first.
pub(crate) async fn list(tx: &mut Tx, query: &Query) -> Result<Page<Named>> {
    let state = match query.state.0 {
        None => None,
        Some(State::Pending) => Some("confirmed_at IS NULL AND rejected_at IS NULL"),
        Some(State::Accepted) => Some("confirmed_at IS NOT NULL"),
        Some(State::Rejected) => Some("confirmed_at IS NULL AND rejected_at IS NOT NULL"),
    };
    let filter = Filter::new()
        .and_opt("invitee_id = ?", query.invitee)
        .and_opt("domain_id = ?", query.domain)
        .and_opt("invited_by = ?", query.invited_by)
        .and_opt("role_id = ?", query.role.as_ref());
    let filter = match state {
        Some(condition) => filter.and_all(condition, []),
        None => filter,
    };
    let list = List {
        table: "invitations",
        columns: COLUMNS,
        order: "created_at",
        direction: Direction::Descending,
    };
    let mut page = list.page(tx, filter, query.page, None, read).await?;
    name_roles(tx, &mut page.items).await?;
    Ok(page)
}

/// Fills the names of the roles in, which are access's.
async fn name_roles(tx: &mut Tx, invitations: &mut [Named]) -> Result<()> {
    let roles: Vec<_> = invitations.iter().map(|named| &named.invitation.role).collect();
    let names = membership::role_names(tx, &roles).await?;
    for named in invitations {
        named.role_name = names.get(&named.invitation.role).cloned();
    }
    Ok(())
}
