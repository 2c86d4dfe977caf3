//! What lies above and below a group.

use access::{Context, Object, hierarchy::MAX_DEPTH};
use kernel::{DomainId, Error, GroupId, Page, Result};
use serde_json::json;

use crate::{
    Groups,
    model::{Levels, Listed, Placed, Query, Way},
    operations, store,
};

/// The most groups that a hierarchy shows: it comes in one piece, with up to 64 KiB of metadata each.
pub const HIERARCHY_MAX: usize = 1000;

impl Groups {
    /// A group and the groups above or below it that the caller may see, in the order of their paths. `levels` is how
    /// far; 0 is all the way.
    ///
    /// Unprocessable where there are more than [`HIERARCHY_MAX`].
    pub async fn hierarchy(
        &self,
        cx: &Context,
        domain: DomainId,
        id: GroupId,
        way: Way,
        levels: usize,
    ) -> Result<Vec<Placed>> {
        let payload = || {
            let direction = if way == Way::Up { 1 } else { -1 };
            json!({ "entity_id": id, "hierarchy_pagemeta": { "level": levels, "direction": direction } })
        };
        let permit = cx.authorize_with(operations::HIERARCHY, Object::group(domain, id), payload).await?;
        let visible = cx.shown(&permit, domain, GroupId::KIND).await?.visible;
        let levels = if levels == 0 { MAX_DEPTH } else { levels };
        let mut found = cx
            .scan(move |tx| {
                Box::pin(async move {
                    match way {
                        Way::Up => store::upward(tx, domain, id, levels, visible).await,
                        Way::Down => {
                            store::downward(tx, (domain, id), levels, visible, HIERARCHY_MAX + 1).await
                        }
                    }
                })
            })
            .await?;
        if found.len() > HIERARCHY_MAX {
            return Err(Error::unprocessable(format!(
                "view entity failed, more than {HIERARCHY_MAX} groups: ask for fewer levels, or list the children"
            )));
        }
        found.sort_by_cached_key(Placed::path);
        Ok(found)
    }

    /// The groups so far below a group that the caller may see.
    pub async fn children(
        &self,
        cx: &Context,
        domain: DomainId,
        id: GroupId,
        (start, end): (i64, i64),
        query: Query,
    ) -> Result<Page<Listed>> {
        let payload = || {
            let mut payload = access::callouts::page_meta(&query.listing);
            if let Some(keys) = payload.as_object_mut() {
                let own =
                    [("entity_id", json!(id)), ("start_level", json!(start)), ("end_level", json!(end))];
                keys.extend(own.map(|(key, value)| (key.to_owned(), value)));
            }
            payload
        };
        let permit = cx.authorize_with(operations::LIST_CHILDREN, Object::group(domain, id), payload).await?;
        let levels = Levels::new(start, end)?;
        let sight = cx.shown(&permit, domain, GroupId::KIND).await?;
        cx.scan(move |tx| {
            Box::pin(async move { store::list_below(tx, (domain, id), levels, &query, sight).await })
        })
        .await
    }
}
