//! What a token is good for.

use std::collections::HashSet;

use access::{
    Context,
    pats::{Scope, model::StoredScope, store},
};
use kernel::{Error, Page, PageRequest, PatId, Result, Rng};

use super::{MOST_SCOPES, events, held, owner};
use crate::Auth;

impl Auth {
    /// Adds scopes, all or none. A scope for any thing of a kind takes the place of those for single ones.
    ///
    /// Conflict where the token is good for one of them already; Unprocessable above [`MOST_SCOPES`].
    pub async fn add_scopes(&self, cx: &Context, id: PatId, new: Vec<Scope>) -> Result<()> {
        let permit = owner(cx)?;
        if new.len() > MOST_SCOPES {
            return Err(too_many());
        }
        let access = self.access.clone();
        cx.write(move |tx| {
            Box::pin(async move {
                held(tx, permit.actor(), id).await?;
                let stored = store::scopes(tx, id).await?;
                let change = merge(stored, new, access.rng())?;
                store::remove_scopes(tx, id, &change.removed).await?;
                store::insert_scopes(tx, id, &change.added).await?;
                access.pats().changed(tx, id);
                Ok(())
            })
        })
        .await
    }

    /// A token's scopes, ordered by what they say.
    pub async fn list_scopes(&self, cx: &Context, id: PatId, page: PageRequest) -> Result<Page<StoredScope>> {
        let user = owner(cx)?.actor();
        cx.read(move |tx| {
            Box::pin(async move {
                store::get(tx, user, id).await?.ok_or_else(Error::not_found)?;
                store::list_scopes(tx, id, page).await
            })
        })
        .await
    }

    /// Removes the scopes with these ids. Emits `pat.remove_scopes`. NotFound where the token has none of them.
    pub async fn remove_scopes(&self, cx: &Context, id: PatId, scopes: Vec<String>) -> Result<()> {
        let permit = owner(cx)?;
        let (access, request) = (self.access.clone(), cx.request().id.clone());
        cx.write(move |tx| {
            Box::pin(async move {
                held(tx, permit.actor(), id).await?;
                if store::remove_scopes(tx, id, &scopes).await? == 0 {
                    return Err(Error::not_found());
                }
                access.pats().changed(tx, id);
                access.emit(tx, events::scopes_removed(id, &permit, &request)).await
            })
        })
        .await
    }

    /// Removes all scopes of a token, which is then good for nothing. Emits `pat.remove_scopes`.
    pub async fn clear_scopes(&self, cx: &Context, id: PatId) -> Result<()> {
        let permit = owner(cx)?;
        let (access, request) = (self.access.clone(), cx.request().id.clone());
        cx.write(move |tx| {
            Box::pin(async move {
                held(tx, permit.actor(), id).await?;
                store::delete_scopes(tx, id).await?;
                access.pats().changed(tx, id);
                access.emit(tx, events::scopes_removed(id, &permit, &request)).await
            })
        })
        .await
    }
}

/// How the rows change when scopes are added.
#[derive(Debug, Default)]
struct Change {
    removed: Vec<String>,
    added: Vec<StoredScope>,
}

fn merge(stored: Vec<StoredScope>, new: Vec<Scope>, rng: &Rng) -> Result<Change> {
    let mut scopes: HashSet<Scope> = stored.iter().map(|row| row.scope).collect();
    for scope in new {
        if scopes.contains(&scope) || scopes.contains(&scope.widened()) {
            return Err(Error::conflict("entity already exists"));
        }
        if scope.is_wildcard() {
            scopes.retain(|other| other.widened() != scope);
        }
        scopes.insert(scope);
    }
    if scopes.len() > MOST_SCOPES {
        return Err(too_many());
    }
    let mut change = Change::default();
    for StoredScope { id, scope } in stored {
        if !scopes.remove(&scope) {
            change.removed.push(id);
        }
    }
    // What is left was not there before.
    change.added =
        scopes.into_iter().map(|scope| StoredScope { id: rng.uuid().to_string(), scope }).collect();
    Ok(change)
}

fn too_many() -> Error {
    Error::unprocessable(format!("a token has at most {MOST_SCOPES} scopes, use `*` as entity_id"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOMAIN: &str = "5f0b4e1c-7c3a-4a8e-9d53-0d8b9f3c2a11";

    fn scope(entity: &str) -> Scope {
        Scope::new(DOMAIN, "clients", entity, "view").unwrap()
    }

    fn stored(entities: &[&str]) -> Vec<StoredScope> {
        entities.iter().map(|entity| StoredScope { id: (*entity).to_owned(), scope: scope(entity) }).collect()
    }

    #[test]
    fn a_wildcard_takes_the_place_of_all_single_ones() {
        let (one, two) = (DOMAIN, "5f0b4e1c-7c3a-4a8e-9d53-0d8b9f3c2a12");
        let mut change = merge(stored(&[one, two]), vec![scope("*")], &Rng::seeded(1)).unwrap();
        change.removed.sort();
        assert_eq!(change.removed, [one, two]);
        assert_eq!(change.added.len(), 1);
        assert!(change.added[0].scope.is_wildcard());
    }

    #[test]
    fn what_is_covered_already_is_a_conflict() {
        for (rows, new) in [(vec!["*"], "*"), (vec!["*"], DOMAIN), (vec![DOMAIN], DOMAIN)] {
            assert!(merge(stored(&rows), vec![scope(new)], &Rng::seeded(1)).is_err(), "{rows:?} {new}");
        }
        assert!(merge(Vec::new(), vec![scope("*"), scope(DOMAIN)], &Rng::seeded(1)).is_err());
        let merged = merge(Vec::new(), vec![scope(DOMAIN), scope("*")], &Rng::seeded(1)).unwrap();
        assert_eq!(merged.added.len(), 1);
    }

    #[test]
    fn the_number_of_scopes_is_bounded() {
        let rng = Rng::seeded(1);
        let many = |count| (0..count).map(|_| scope(&rng.uuid().to_string())).collect::<Vec<_>>();
        assert!(merge(Vec::new(), many(MOST_SCOPES), &rng).is_ok());
        assert!(merge(Vec::new(), many(MOST_SCOPES + 1), &rng).is_err());
    }
}
