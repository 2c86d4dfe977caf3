//! The users table.

use access::crypto::PasswordHash;
use db::{Filter, List, Row, Tx, Val, params};
use kernel::{
    Error, Page, Result, Status, Timestamp, UserId,
    page::{Direction, PageRequest},
};

use crate::model::{Listing, Order, Provider, Query, Recovery, Role, Search, User, Username, WithPassword};

const COLUMNS: &str = "id, username, email, recovery_email, recovery_due, first_name, last_name, tags, metadata, private_metadata, profile_picture, \
                       auth_provider, role, status, verified_at, created_at, updated_by, updated_at";

fn read(row: &Row) -> Result<User> {
    let id: UserId = row.get("id")?;
    let role = row.get("role")?;
    let provider: Option<String> = row.get("auth_provider")?;
    Ok(User {
        username: row.get::<String>("username")?.parse()?,
        email: row.get::<String>("email")?.parse()?,
        recovery: Recovery {
            email: row.get::<String>("recovery_email")?.parse()?,
            due: row.get("recovery_due")?,
        },
        first_name: row.get::<String>("first_name")?.parse()?,
        last_name: row.get::<String>("last_name")?.parse()?,
        tags: row.get("tags")?,
        metadata: row.get("metadata")?,
        private_metadata: row.get("private_metadata")?,
        picture: row.get::<String>("profile_picture")?.parse()?,
        provider: provider.map(|name| name.parse()).transpose()?,
        role: Role::from_code(role)
            .ok_or_else(|| Error::internal(format!("users.role is {role} for {id}")))?,
        status: row.get("status")?,
        verified_at: row.get("verified_at")?,
        created_at: row.get("created_at")?,
        updated_by: row.get("updated_by")?,
        updated_at: row.get("updated_at")?,
        id,
    })
}

fn read_with_password(row: &Row) -> Result<WithPassword> {
    let hash: Option<String> = row.get("password_hash")?;
    Ok(WithPassword { user: read(row)?, hash: hash.map(PasswordHash) })
}

/// What insert and update have in common, `$1` to `$18`.
fn values(user: &User) -> Vec<Val> {
    vec![
        user.id.into(),
        user.username.as_str().into(),
        user.email.as_str().into(),
        user.email.key().into(),
        user.first_name.as_str().into(),
        user.last_name.as_str().into(),
        Val::from(&user.tags),
        Val::from(&user.metadata),
        Val::from(&user.private_metadata),
        user.picture.as_str().into(),
        user.role.code().into(),
        user.status.into(),
        user.verified_at.into(),
        user.updated_at.unwrap_or(user.created_at).into(),
        user.username.key().into(),
        user.recovery.email.as_str().into(),
        user.recovery.email.key().into(),
        user.recovery.due.into(),
    ]
}

/// Conflict where the user name or the address is taken.
pub(crate) async fn insert(tx: &mut Tx, user: &User, hash: Option<&PasswordHash>) -> Result<()> {
    let mut values = values(user);
    values.extend([
        user.created_at.into(),
        user.provider.as_ref().map(Provider::as_str).into(),
        hash.map(|hash| hash.0.as_str()).into(),
    ]);
    tx.execute(
        "INSERT INTO users (id, username, email, email_key, first_name, last_name, tags, metadata, private_metadata,
                            profile_picture, role, status, verified_at, changed_at, username_key, recovery_email,
                            recovery_key, recovery_due, created_at, auth_provider, password_hash)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)",
        &values,
    )
    .await
    .map_err(taken)?;
    Ok(())
}

/// Everything but the password and what never changes. Conflict where the user name or the address is taken.
///
/// A name that stays keeps its key, which is not always its own ([`id_by_login`]).
pub(crate) async fn update(tx: &mut Tx, user: &User) -> Result<()> {
    let mut values = values(user);
    values.extend([user.updated_by.into(), user.updated_at.into()]);
    tx.execute(
        "UPDATE users
            SET username = $2, email = $3, email_key = $4, first_name = $5, last_name = $6, tags = $7, metadata = $8,
                private_metadata = $9, profile_picture = $10, role = $11, status = $12, verified_at = $13,
                changed_at = $14, username_key = CASE WHEN username = $2 THEN username_key ELSE $15 END,
                recovery_email = $16, recovery_key = $17, recovery_due = $18, updated_by = $19, updated_at = $20
          WHERE id = $1",
        &values,
    )
    .await
    .map_err(taken)?;
    Ok(())
}

fn taken(error: Error) -> Error {
    match db::violated(&error) {
        Some("users_username" | "users_username_key") => {
            Error::conflict("username not available").cause(error)
        }
        Some("users_email" | "users_recovery") => Error::conflict("email id already registered").cause(error),
        Some(_) => Error::conflict("entity already exists").cause(error),
        None => error,
    }
}

pub(crate) async fn get(tx: &mut Tx, id: UserId) -> Result<Option<User>> {
    let sql = format!("SELECT {COLUMNS} FROM users WHERE id = $1");
    tx.one_or_none(&sql, params![id]).await?.as_ref().map(read).transpose()
}

pub(crate) async fn get_with_password(tx: &mut Tx, id: UserId) -> Result<Option<WithPassword>> {
    let sql = format!("SELECT {COLUMNS}, password_hash FROM users WHERE id = $1");
    tx.one_or_none(&sql, params![id]).await?.as_ref().map(read_with_password).transpose()
}

/// The row, held against other writers until the transaction ends.
pub(crate) async fn get_for_update(tx: &mut Tx, id: UserId) -> Result<Option<User>> {
    let sql = format!("SELECT {COLUMNS} FROM users WHERE id = $1{}", tx.for_update());
    tx.one_or_none(&sql, params![id]).await?.as_ref().map(read).transpose()
}

/// As [`get_for_update`], but none where the user is disabled or deleted.
pub(crate) async fn get_enabled(tx: &mut Tx, id: UserId) -> Result<Option<User>> {
    Ok(get_for_update(tx, id).await?.filter(|user| user.status == Status::Enabled))
}

/// Those of these users who are there and not marked as deleted, the oldest first.
pub(crate) async fn present_among(tx: &mut Tx, ids: &[UserId], page: PageRequest) -> Result<Page<User>> {
    let filter = Filter::new().and("status <> ?", Status::Deleted).and_in("id", ids.iter().map(Val::from));
    let list =
        List { table: "users", columns: COLUMNS, order: "created_at", direction: Direction::Ascending };
    list.page(tx, filter, page, None, read).await
}

/// By user name or by address, whatever the case. A user name never contains an `@`, so it is one or the other.
///
/// Names that differ in case alone may come from a time when that was allowed: the exact spelling comes first.
pub(crate) async fn id_by_login(tx: &mut Tx, login: &str) -> Result<Option<UserId>> {
    let row = if login.contains('@') {
        tx.one_or_none("SELECT id FROM users WHERE email_key = $1", params![login.to_lowercase()]).await?
    } else {
        let Ok(name) = login.parse::<Username>() else { return Ok(None) };
        tx.one_or_none(
            "SELECT id FROM users WHERE username = $1 OR username_key = $2
              ORDER BY CASE WHEN username = $1 THEN 0 ELSE 1 END LIMIT 1",
            params![name.as_str(), name.key()],
        )
        .await?
    };
    row.map(|row| row.get("id")).transpose()
}

/// By the address that a lost password is set anew by, in lower case.
pub(crate) async fn id_by_recovery(tx: &mut Tx, email_key: &str) -> Result<Option<UserId>> {
    let row = tx.one_or_none("SELECT id FROM users WHERE recovery_key = $1", params![email_key]).await?;
    row.map(|row| row.get("id")).transpose()
}

/// Lets addresses that are verified and due be those that lost passwords are set anew by.
pub(crate) async fn settle(tx: &mut Tx, now: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE users SET recovery_email = email, recovery_key = email_key, recovery_due = NULL
          WHERE recovery_due <= $1 AND verified_at IS NOT NULL",
        params![now],
    )
    .await?;
    Ok(())
}

/// How many enabled administrators there are: so many stay until the transaction ends, where it has called
/// [`access::platform::hold`] before.
pub(crate) async fn enabled_admins(tx: &mut Tx) -> Result<u64> {
    let sql = "SELECT count(*) AS n FROM users WHERE role = $1 AND status = $2";
    tx.one(sql, params![Role::Admin.code(), Status::Enabled]).await?.get("n")
}

/// Whether anybody is an administrator, and whether there are users at all.
pub(crate) async fn any_admin_or_user(tx: &mut Tx) -> Result<(bool, bool)> {
    let admin = tx
        .one_or_none("SELECT 1 AS there FROM users WHERE role = $1 LIMIT 1", params![Role::Admin.code()])
        .await?;
    let user = tx.one_or_none("SELECT 1 AS there FROM users LIMIT 1", params![]).await?;
    Ok((admin.is_some(), user.is_some()))
}

pub(crate) async fn update_password(tx: &mut Tx, user: &User, hash: &PasswordHash) -> Result<()> {
    tx.execute(
        "UPDATE users SET password_hash = $2, updated_by = $3, updated_at = $4, changed_at = $4 WHERE id = $1",
        params![user.id, hash.0.as_str(), user.updated_by, user.updated_at],
    )
    .await?;
    Ok(())
}

/// Leaves a user without a password.
pub(crate) async fn drop_password(tx: &mut Tx, id: UserId) -> Result<()> {
    tx.execute("UPDATE users SET password_hash = NULL WHERE id = $1", params![id]).await?;
    Ok(())
}

/// Users that were deleted at this instant or earlier, oldest first, after the one with this id and time.
pub(crate) async fn deleted_before(
    tx: &mut Tx,
    latest: Timestamp,
    after: Option<(Timestamp, UserId)>,
    most: u64,
) -> Result<Vec<(Timestamp, UserId)>> {
    let mut filter = Filter::new().and_all("status = 2", []).and("updated_at <= ?", latest);
    if let Some((at, id)) = after {
        filter = filter.and_all("(updated_at, id) > (?, ?)", [at.into(), id.into()]);
    }
    let limit = filter.bind(most);
    let sql =
        format!("SELECT updated_at, id FROM users{} ORDER BY updated_at, id LIMIT {limit}", filter.sql());
    let rows = tx.all(&sql, filter.params()).await?;
    rows.iter().map(|row| Ok((row.get("updated_at")?, row.get("id")?))).collect()
}

pub(crate) async fn delete(tx: &mut Tx, id: UserId) -> Result<()> {
    tx.execute("DELETE FROM users WHERE id = $1", params![id]).await?;
    Ok(())
}

/// A page of the users that match.
pub(crate) async fn list(tx: &mut Tx, query: &Query) -> Result<Page<User>> {
    let filter = Filter::new()
        .and_opt("status = ?", query.status.code())
        .and_opt("name_contains(email, ?)", query.email.as_deref())
        .and_opt("json_contains(metadata, ?)", query.metadata.as_ref())
        .and_opt("created_at >= ?", query.created_from)
        .and_opt("created_at <= ?", query.created_to)
        .and_tags("tags", query.tags.as_ref());
    page(tx, &query.listing, filter).await
}

/// A page of the enabled, ordinary users that match.
pub(crate) async fn search(tx: &mut Tx, search: Search) -> Result<Page<User>> {
    let filter = Filter::new().and("status = ?", Status::Enabled).and("role = ?", Role::User.code());
    page(tx, &search.into_listing(), filter).await
}

async fn page(tx: &mut Tx, listing: &Listing, filter: Filter) -> Result<Page<User>> {
    let filter = filter
        .and_opt("name_contains(username, ?)", listing.username.as_deref())
        .and_opt("name_contains(first_name, ?)", listing.first_name.as_deref())
        .and_opt("name_contains(last_name, ?)", listing.last_name.as_deref())
        .and_opt("name_contains(id, ?)", listing.id.as_deref());
    let order = match listing.order {
        Order::CreatedAt => "created_at",
        Order::UpdatedAt => "changed_at",
        Order::FirstName => "first_name",
        Order::LastName => "last_name",
        Order::Username => "username",
        Order::Email => "email_key",
    };
    let list = List { table: "users", columns: COLUMNS, order, direction: listing.direction };
    let request: PageRequest = listing.page;
    list.page(tx, filter, request, None, read).await
}

#[cfg(test)]
mod tests {
    use db::{both_databases, testing::TestDb};

    use super::*;
    use crate::MIGRATIONS;

    const ROW: &str =
        "INSERT INTO users (id, username, email, email_key, first_name, last_name, tags, metadata,
                                          private_metadata, role, status, created_at, changed_at)
                       VALUES ($1, $2, $1, $1, 'A', 'B', '[]', '{}', '{}', 0, 0, $3, 0)";

    fn id(n: i64) -> UserId {
        format!("00000000-0000-4000-8000-00000000000{n}").parse().unwrap()
    }

    async fn found(db: &TestDb, login: &'static str) -> Option<UserId> {
        db.read(move |tx| Box::pin(id_by_login(tx, login))).await.unwrap()
    }

    both_databases! {
        async fn names_that_differed_in_case_only_stay_and_the_oldest_has_the_others(db: TestDb) {
            let before = MIGRATIONS.iter().position(|step| step.id == "users/0005").unwrap();
            db.migrate(&MIGRATIONS[..before]).await.unwrap();
            for (n, name, created) in [(1, "Ann", 20), (2, "ann", 10), (3, "ANN", 30), (4, "bob", 5)] {
                db.write(move |tx| Box::pin(async move {
                    tx.execute(ROW, params![id(n), name, created]).await?;
                    tx.execute("UPDATE users SET email = id || '@x', email_key = id || '@x'", params![]).await
                }))
                .await
                .unwrap();
            }
            db.migrate(MIGRATIONS).await.unwrap();
            for (login, whose) in [("Ann", 1), ("ann", 2), ("ANN", 3), ("aNN", 2), ("BOB", 4)] {
                assert_eq!(found(&db, login).await, Some(id(whose)), "{login}");
            }
            assert_eq!(found(&db, "ann~00000000-0000-4000-8000-000000000001").await, None, "no name has a tilde");
            // What else is changed of a later one leaves the key alone; a further one of the name is not made.
            let changed = db.write(|tx| Box::pin(async move {
                let mut user = get_for_update(tx, id(1)).await?.unwrap();
                user.first_name = "Anna".parse()?;
                update(tx, &user).await
            }));
            changed.await.unwrap();
            assert_eq!(found(&db, "aNn").await, Some(id(2)));
            let taken = db.write(|tx| Box::pin(async move {
                let mut user = get_for_update(tx, id(4)).await?.unwrap();
                user.username = "aNn".parse()?;
                update(tx, &user).await
            }));
            assert_eq!(taken.await.unwrap_err().to_string(), "username not available");
            assert_eq!(db.read(|tx| Box::pin(id_by_recovery(tx, "00000000-0000-4000-8000-000000000004@x"))).await.unwrap(), Some(id(4)));
        }
    }
}
