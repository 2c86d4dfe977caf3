//! The tables of tokens and their scopes. Every row is looked up together with its owner.

use db::{Filter, List, Row, Tx, Val, params};
use kernel::{Direction, Page, PageRequest, PatId, Result, Timestamp, UserId};

use super::{
    Scope,
    model::{Description, Pat, PatName, PatStatus, StatusFilter, StoredScope},
};
use crate::crypto::Digest;

const COLUMNS: &str = "id, user_id, name, description, credential_generation, issued_at, expires_at, updated_at, \
                       revoked_at, last_used_at";

fn read(row: &Row) -> Result<Pat> {
    Ok(Pat {
        id: row.get("id")?,
        user: row.get("user_id")?,
        name: PatName::bounded(row.get("name")?)?,
        description: Description::bounded(row.get("description")?)?,
        generation: row.get("credential_generation")?,
        issued_at: row.get("issued_at")?,
        expires_at: row.get("expires_at")?,
        updated_at: row.get("updated_at")?,
        revoked_at: row.get("revoked_at")?,
        last_used_at: row.get("last_used_at")?,
    })
}

fn read_scope(row: &Row) -> Result<StoredScope> {
    let text = |column| row.get::<String>(column);
    let scope =
        Scope::new(&text("domain_id")?, &text("entity_type")?, &text("entity_id")?, &text("operation")?)?;
    Ok(StoredScope { id: text("id")?, scope })
}

/// Stores a new token.
pub async fn insert(tx: &mut Tx, pat: &Pat, digest: Digest) -> Result<()> {
    tx.execute(
        "INSERT INTO pats (id, user_id, name, description, digest, credential_generation, issued_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        params![
            pat.id,
            pat.user,
            pat.name.as_str(),
            pat.description.as_str(),
            digest.to_vec(),
            pat.generation,
            pat.issued_at,
            pat.expires_at
        ],
    )
    .await?;
    Ok(())
}

/// How many tokens a user has.
pub async fn count(tx: &mut Tx, user: UserId) -> Result<u64> {
    tx.one("SELECT count(*) AS n FROM pats WHERE user_id = $1", params![user]).await?.get("n")
}

/// A user's token.
pub async fn get(tx: &mut Tx, user: UserId, pat: PatId) -> Result<Option<Pat>> {
    let sql = format!("SELECT {COLUMNS} FROM pats WHERE id = $1 AND user_id = $2");
    tx.one_or_none(&sql, params![pat, user]).await?.as_ref().map(read).transpose()
}

/// A user's token, held against other writers until the transaction ends.
pub async fn get_for_update(tx: &mut Tx, user: UserId, pat: PatId) -> Result<Option<Pat>> {
    let sql = format!("SELECT {COLUMNS} FROM pats WHERE id = $1 AND user_id = $2{}", tx.for_update());
    tx.one_or_none(&sql, params![pat, user]).await?.as_ref().map(read).transpose()
}

/// Stores everything of a token that can change, except its secret.
pub async fn update(tx: &mut Tx, pat: &Pat) -> Result<()> {
    tx.execute(
        "UPDATE pats SET name = $3, description = $4, expires_at = $5, updated_at = $6, revoked_at = $7,
                         credential_generation = $8
          WHERE id = $1 AND user_id = $2",
        params![
            pat.id,
            pat.user,
            pat.name.as_str(),
            pat.description.as_str(),
            pat.expires_at,
            pat.updated_at,
            pat.revoked_at,
            pat.generation
        ],
    )
    .await?;
    Ok(())
}

/// Replaces a token's secret.
pub async fn update_secret(tx: &mut Tx, pat: PatId, digest: Digest) -> Result<()> {
    tx.execute("UPDATE pats SET digest = $2 WHERE id = $1", params![pat, digest.to_vec()]).await?;
    Ok(())
}

/// Notes that a token was used.
pub async fn note_use(tx: &mut Tx, pat: PatId, at: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE pats SET last_used_at = $2 WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $2)",
        params![pat, at],
    )
    .await?;
    Ok(())
}

/// Removes a token and its scopes; whether it was there.
pub async fn delete(tx: &mut Tx, user: UserId, pat: PatId) -> Result<bool> {
    let deleted = tx.execute("DELETE FROM pats WHERE id = $1 AND user_id = $2", params![pat, user]).await?;
    if deleted == 1 {
        delete_scopes(tx, pat).await?;
    }
    Ok(deleted == 1)
}

/// Removes every token of a user; their ids.
pub async fn delete_all(tx: &mut Tx, user: UserId) -> Result<Vec<PatId>> {
    tx.execute(
        "DELETE FROM pat_scopes WHERE pat_id IN (SELECT id FROM pats WHERE user_id = $1)",
        params![user],
    )
    .await?;
    let rows = tx.all("DELETE FROM pats WHERE user_id = $1 RETURNING id", params![user]).await?;
    rows.iter().map(|row| row.get("id")).collect()
}

/// Which of a user's tokens to list.
#[derive(Debug, Clone)]
pub struct Query {
    /// The page; the newest tokens first.
    pub page: PageRequest,
    /// Part of the name, whatever the case.
    pub name: Option<String>,
    /// The id.
    pub id: Option<PatId>,
    /// The status.
    pub status: StatusFilter,
}

/// A page of a user's tokens, for credentials of this `generation`.
pub async fn list(
    tx: &mut Tx,
    user: UserId,
    generation: i64,
    query: &Query,
    now: Timestamp,
) -> Result<Page<Pat>> {
    const REVOKED: &str = "(revoked_at IS NOT NULL OR credential_generation <> ?)";
    let filter = Filter::new()
        .and("user_id = ?", user)
        .and_opt("id = ?", query.id)
        .and_opt("name_contains(name, ?)", query.name.as_deref());
    let filter = match query.status {
        StatusFilter::All => filter,
        StatusFilter::Only(PatStatus::Revoked) => filter.and(REVOKED, generation),
        StatusFilter::Only(PatStatus::Expired) => {
            filter.and(&format!("NOT {REVOKED}"), generation).and("expires_at <= ?", now)
        }
        StatusFilter::Only(PatStatus::Active) => {
            filter.and(&format!("NOT {REVOKED}"), generation).and("expires_at > ?", now)
        }
    };
    let list = List { table: "pats", columns: COLUMNS, order: "issued_at", direction: Direction::Descending };
    list.page(tx, filter, query.page, None, read).await
}

/// All scopes of a token.
pub async fn scopes(tx: &mut Tx, pat: PatId) -> Result<Vec<StoredScope>> {
    let rows = tx
        .all(
            "SELECT id, entity_type, domain_id, operation, entity_id FROM pat_scopes WHERE pat_id = $1",
            params![pat],
        )
        .await?;
    rows.iter().map(read_scope).collect()
}

/// A page of a token's scopes, ordered by what they say.
pub async fn list_scopes(tx: &mut Tx, pat: PatId, page: PageRequest) -> Result<Page<StoredScope>> {
    let row = tx.one("SELECT count(*) AS n FROM pat_scopes WHERE pat_id = $1", params![pat]).await?;
    let mut filter = Filter::new().and("pat_id = ?", pat);
    let condition = filter.sql().to_owned();
    let limits = filter.page(&page);
    let sql = format!(
        "SELECT id, entity_type, domain_id, operation, entity_id FROM pat_scopes{condition}
          ORDER BY entity_type, domain_id, operation, entity_id{limits}"
    );
    let rows = tx.all(&sql, filter.params()).await?;
    let items = rows.iter().map(read_scope).collect::<Result<_>>()?;
    Ok(Page { total: row.get("n")?, request: page, items })
}

/// Adds scopes; the token's row must be held.
pub async fn insert_scopes(tx: &mut Tx, pat: PatId, scopes: &[StoredScope]) -> Result<()> {
    let row = |StoredScope { id, scope }: &StoredScope| -> Vec<Val> {
        vec![
            id.into(),
            pat.into(),
            scope.entity_type().word().into(),
            scope.domain().into(),
            scope.operation().into(),
            scope.entity().into(),
        ]
    };
    tx.insert_many(
        "INSERT INTO pat_scopes (id, pat_id, entity_type, domain_id, operation, entity_id) VALUES",
        scopes.iter().map(row).collect(),
    )
    .await?;
    Ok(())
}

/// Removes the scopes with these ids from a token; how many there were.
pub async fn remove_scopes(tx: &mut Tx, pat: PatId, ids: &[String]) -> Result<u64> {
    let filter = Filter::new().and("pat_id = ?", pat).and_in("id", ids.iter().map(Val::from));
    tx.execute(&format!("DELETE FROM pat_scopes{}", filter.sql()), filter.params()).await
}

/// Removes all scopes of a token.
pub async fn delete_scopes(tx: &mut Tx, pat: PatId) -> Result<()> {
    tx.execute("DELETE FROM pat_scopes WHERE pat_id = $1", params![pat]).await?;
    Ok(())
}

/// A token as verification needs it: the row, and the digest of its secret.
pub(super) async fn get_with_digest(tx: &mut Tx, pat: PatId) -> Result<Option<(Pat, Vec<u8>)>> {
    let sql = format!("SELECT {COLUMNS}, digest FROM pats WHERE id = $1");
    let row = tx.one_or_none(&sql, params![pat]).await?;
    row.map(|row| Ok((read(&row)?, row.get("digest")?))).transpose()
}
