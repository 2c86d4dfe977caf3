//! Profiles.

use db::{Filter, List, Row, Tx, Val, params};
use kernel::{Direction, DomainId, Error, Page, ProfileId, Result};

use crate::model::{Profile, ProfileQuery, Slot};

const COLUMNS: &str = "id, domain_id, name, description, content_format, content_template, defaults, \
                       binding_slots, version, created_at, updated_at";

fn read(row: &Row) -> Result<Profile> {
    let slots: serde_json::Value = row.get("binding_slots")?;
    Ok(Profile {
        id: row.get("id")?,
        domain: row.get("domain_id")?,
        name: row.get("name")?,
        description: row.get("description")?,
        format: row.get::<String>("content_format")?.parse()?,
        template: row.get("content_template")?,
        defaults: row.get("defaults")?,
        slots: serde_json::from_value(slots).map_err(Error::internal)?,
        version: row.get("version")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}

fn slots(slots: &[Slot]) -> Result<Val> {
    Ok(Val::Json(serde_json::to_string(slots).map_err(Error::internal)?))
}

fn taken(error: Error) -> Error {
    match db::violated(&error) {
        Some(_) => Error::conflict("entity already exists: the name is taken").cause(error),
        None => error,
    }
}

/// Adds a profile. Conflict where the name is taken in the domain.
pub(crate) async fn insert(tx: &mut Tx, profile: &Profile) -> Result<()> {
    tx.execute(
        "INSERT INTO bootstrap_profiles (id, domain_id, name, description, content_format, content_template,
                defaults, binding_slots, version, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        params![
            profile.id,
            profile.domain,
            &profile.name,
            profile.description.as_str(),
            profile.format.word(),
            profile.template.as_str(),
            &profile.defaults,
            slots(&profile.slots)?,
            profile.version,
            profile.created_at,
        ],
    )
    .await
    .map_err(taken)
    .map(drop)
}

/// Writes what may change. Conflict where the name is taken in the domain.
pub(crate) async fn update(tx: &mut Tx, profile: &Profile) -> Result<()> {
    tx.execute(
        "UPDATE bootstrap_profiles
            SET name = $2, description = $3, content_format = $4, content_template = $5, defaults = $6,
                binding_slots = $7, version = $8, updated_at = $9
          WHERE id = $1",
        params![
            profile.id,
            &profile.name,
            profile.description.as_str(),
            profile.format.word(),
            profile.template.as_str(),
            &profile.defaults,
            slots(&profile.slots)?,
            profile.version,
            profile.updated_at,
        ],
    )
    .await
    .map_err(taken)
    .map(drop)
}

/// One profile.
pub(crate) async fn get(tx: &mut Tx, domain: DomainId, id: ProfileId) -> Result<Option<Profile>> {
    select(tx, domain, id, "").await
}

/// The same, as it is until the transaction ends.
pub(crate) async fn get_held(tx: &mut Tx, domain: DomainId, id: ProfileId) -> Result<Option<Profile>> {
    let hold = tx.for_share();
    select(tx, domain, id, hold).await
}

/// The same, held against other writers until the transaction ends.
pub(crate) async fn get_for_update(tx: &mut Tx, domain: DomainId, id: ProfileId) -> Result<Option<Profile>> {
    let hold = tx.for_update();
    select(tx, domain, id, hold).await
}

async fn select(tx: &mut Tx, domain: DomainId, id: ProfileId, hold: &str) -> Result<Option<Profile>> {
    let sql = format!("SELECT {COLUMNS} FROM bootstrap_profiles WHERE id = $1 AND domain_id = $2{hold}");
    tx.one_or_none(&sql, params![id, domain]).await?.as_ref().map(read).transpose()
}

/// A page of a domain's profiles, newest first.
pub(crate) async fn list(tx: &mut Tx, domain: DomainId, query: &ProfileQuery) -> Result<Page<Profile>> {
    let filter = Filter::of_domain(domain).and_opt("name_contains(name, ?)", query.name.as_deref());
    let list = List {
        table: "bootstrap_profiles",
        columns: COLUMNS,
        order: "created_at",
        direction: Direction::Descending,
    };
    list.page(tx, filter, query.page, None, read).await
}

/// Removes a profile; says whether it was there.
pub(crate) async fn delete(tx: &mut Tx, domain: DomainId, id: ProfileId) -> Result<bool> {
    let sql = "DELETE FROM bootstrap_profiles WHERE id = $1 AND domain_id = $2";
    Ok(tx.execute(sql, params![id, domain]).await? > 0)
}
