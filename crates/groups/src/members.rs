//! Clients and users that a group lets go in one request, as older documents do it (reference 02 §12).
//!
//! Clients are taken out of the group, users lose whatever role they hold on it; what an id names is looked up. Each is
//! asked for as if it had come alone.

use std::sync::Arc;

use access::{Context, Object, hierarchy, roles};
use db::{Filter, Tx, Val};
use kernel::{ClientId, DomainId, Error, GroupId, Result, UserId};
use serde_json::json;

use crate::{Groups, events, operations, store};

/// The most members that one request names.
pub const MEMBERS_MAX: usize = 1000;

/// Ids of clients and of users: at least one, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members(Vec<ClientId>);

impl Members {
    /// Takes all for clients until they are looked up. Fails where there is none, or too many.
    pub fn new(mut ids: Vec<ClientId>) -> Result<Self> {
        ids.sort_unstable();
        ids.dedup();
        match ids.len() {
            0 => Err(Error::invalid("missing members")),
            1..=MEMBERS_MAX => Ok(Self(ids)),
            _ => Err(Error::invalid(format!("too many members in one request, at most {MEMBERS_MAX}"))),
        }
    }
}

impl Groups {
    /// Takes clients out of a group, and from users whatever role they hold on it, all or none. Emits
    /// `client.remove_parent` for each client that was in it, and `group.members.remove` for the users.
    ///
    /// Without a domain it is the one that the group is in. Invalid where the group's built-in role would have no member.
    pub async fn remove_members(
        &self,
        cx: &Context,
        domain: Option<DomainId>,
        id: GroupId,
        Members(ids): Members,
    ) -> Result<()> {
        let (domain, clients, users) = looked_up(cx, domain, id, ids).await?;
        let group = Object::group(domain, id);
        let permit = cx
            .authorize_all(
                &asked(group, &clients, &users),
                || json!({ "entity_id": id, "members": users, "client_ids": clients }),
            )
            .await?;
        let (access, request) = (self.access.clone(), Arc::clone(&cx.request().id));
        cx.write(move |tx| {
            Box::pin(async move {
                if !users.is_empty() {
                    let users = roles::members::remove_from_all(tx, &access, &permit, group, &users).await?;
                    if !users.is_empty() {
                        let event =
                            roles::events::members_removed(roles::GROUPS, group, &users, &permit, &request);
                        access.emit(tx, event).await?;
                    }
                }
                for client in hierarchy::take_out(tx, &access, &permit, domain, id, &clients).await? {
                    access.emit(tx, events::client_taken_out(domain, client, &permit, &request)).await?;
                }
                Ok(())
            })
        })
        .await
    }
}

/// What must be asked for is only known when it is known what the ids name; nothing else is done with the answer.
/// Denied where no domain is named and there is no such group.
async fn looked_up(
    cx: &Context,
    domain: Option<DomainId>,
    id: GroupId,
    ids: Vec<ClientId>,
) -> Result<(DomainId, Vec<ClientId>, Vec<UserId>)> {
    cx.read(move |tx| {
        Box::pin(async move {
            let domain = match domain {
                Some(domain) => domain,
                None => store::domain_of(tx, id).await?.ok_or_else(Error::denied)?,
            };
            let known = clients_in(tx, domain, &ids).await?;
            let (clients, others): (Vec<_>, Vec<_>) =
                ids.into_iter().partition(|id| known.binary_search(id).is_ok());
            Ok((domain, clients, others.into_iter().map(|id| UserId::from_uuid(id.uuid())).collect()))
        })
    })
    .await
}

/// Those of these that are clients of the domain, in order.
async fn clients_in(tx: &mut Tx, domain: DomainId, ids: &[ClientId]) -> Result<Vec<ClientId>> {
    let filter = Filter::new()
        .and_all("object_kind = 'client' AND relation = 'domain' AND subject_kind = 'domain'", [])
        .and("subject_id = ?", domain)
        .and_in("object_id", ids.iter().map(Val::from));
    let sql = format!("SELECT object_id FROM relations{} ORDER BY object_id", filter.sql());
    tx.all(&sql, filter.params()).await?.iter().map(|row| row.get("object_id")).collect()
}

/// Each client and the group must agree that the client goes; users' roles are the group's alone.
fn asked(group: Object, clients: &[ClientId], users: &[UserId]) -> Vec<(kernel::Operation, Object)> {
    let domain = group.in_domain();
    let mut asked: Vec<_> =
        clients.iter().map(|client| (operations::REMOVE_CLIENT, Object::client(domain, *client))).collect();
    if !clients.is_empty() {
        asked.push((operations::REMOVE_CHILD_CLIENT, group));
    }
    if !users.is_empty() {
        asked.push((operations::REMOVE_MEMBERS, group));
    }
    asked
}
