//! Groups that lose all of one kind at once, as another service of the installation asks for it.

use std::sync::Arc;

use access::{Permit, RequestInfo, hierarchy};
use db::{Tx, Val};
use kernel::{DomainId, GroupId, Result};

use crate::{Entries, EntryId, Registered, events, store};

/// How many things leave a group in one transaction.
const AT_ONCE: i64 = 1000;

impl<T: Registered> Entries<T> {
    /// Takes everything of this kind out of a group. Emits `<kind>.remove_parent` for each. Very many leave in several
    /// transactions; one that fails can be repeated.
    pub async fn empty(&self, request: &RequestInfo, group: GroupId) -> Result<()> {
        loop {
            let access = self.access().clone();
            let (permit, request) = (Permit::of_service(request.at), Arc::clone(&request.id));
            let job = self.access().db().write(move |tx| {
                Box::pin(async move {
                    let within = within::<T>(tx, group).await?;
                    for (domain, id) in &within {
                        let Some(thing) = store::get_for_update::<T>(tx, *domain, *id).await? else {
                            continue;
                        };
                        // Somebody may have moved it before it was held.
                        if thing.entry().parent == Some(group) {
                            hierarchy::clear_parent(tx, &access, &permit, id.object(*domain)).await?;
                            access.emit(tx, events::parent_removed(&thing, &permit, &request)).await?;
                        }
                    }
                    Ok(i64::try_from(within.len()).unwrap_or(i64::MAX))
                })
            });
            if job.await? < AT_ONCE {
                return Ok(());
            }
        }
    }
}

/// Some of the things in a group, in the order of their ids.
async fn within<T: Registered>(tx: &mut Tx, group: GroupId) -> Result<Vec<(DomainId, T::Id)>> {
    let sql = format!(
        "SELECT t.id, t.domain_id FROM relations r JOIN {} t ON t.id = r.object_id
          WHERE r.object_kind = $1 AND r.relation = 'parent_group' AND r.subject_kind = 'group' AND r.subject_id = $2
          ORDER BY t.id LIMIT $3",
        T::Id::TABLE
    );
    let rows = tx.all(&sql, &[Val::from(T::Id::KIND), group.into(), Val::Int(AT_ONCE)]).await?;
    rows.iter().map(|row| Ok((row.get("domain_id")?, row.get("id")?))).collect()
}
