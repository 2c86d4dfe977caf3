//! The users table.

use access::crypto::PasswordHash;
use db::{Filter, List, Row, Tx, params};
use kernel::{Error, Page, Result, Status, UserId};

use crate::model::{Email, Query, Role, User, Username, WithPassword};

const COLUMNS: &str = "id, username, email, first_name, last_name, tags, metadata, private_metadata, role, status, \
                       verified_at, created_at, updated_by, updated_at";

fn read(row: &Row) -> Result<User> {
    let id: UserId = row.get("id")?;
    let role = row.get("role")?;
    Ok(User {
        username: row.get::<String>("username")?.parse()?,
        email: row.get::<String>("email")?.parse()?,
        first_name: row.get::<String>("first_name")?.parse()?,
        last_name: row.get::<String>("last_name")?.parse()?,
        tags: row.get("tags")?,
        metadata: row.get("metadata")?,
        private_metadata: row.get("private_metadata")?,
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

/// Conflict where the user name or the address is taken.
pub(crate) async fn insert(tx: &mut Tx, user: &User, hash: &PasswordHash) -> Result<()> {
    tx.execute(
        "INSERT INTO users (id, username, email, email_key, first_name, last_name, password_hash, tags, metadata,
                            private_metadata, role, status, verified_at, created_at, changed_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14)",
        params![
            user.id,
            user.username.as_str(),
            user.email.as_str(),
            user.email.key(),
            user.first_name.as_str(),
            user.last_name.as_str(),
            hash.0.as_str(),
            &user.tags,
            &user.metadata,
            &user.private_metadata,
            user.role.code(),
            user.status,
            user.verified_at,
            user.created_at
        ],
    )
    .await
    .map_err(|error| match db::violated(&error) {
        Some("users_username") => Error::conflict("username not available").cause(error),
        Some("users_email") => Error::conflict("email id already registered").cause(error),
        Some(_) => Error::conflict("entity already exists").cause(error),
        None => error,
    })?;
    Ok(())
}

pub(crate) async fn is_taken(tx: &mut Tx, username: &Username, email: &Email) -> Result<bool> {
    let row = tx
        .one_or_none(
            "SELECT 1 AS taken FROM users WHERE username = $1 OR email_key = $2 LIMIT 1",
            params![username.as_str(), email.key()],
        )
        .await?;
    Ok(row.is_some())
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

/// By user name, or by address without regard to case. A user name never contains an `@`, so it is one or the other.
pub(crate) async fn id_by_login(tx: &mut Tx, login: &str) -> Result<Option<UserId>> {
    let (column, key) = if login.contains('@') {
        ("email_key", login.to_lowercase())
    } else {
        ("username", login.to_owned())
    };
    let row = tx.one_or_none(&format!("SELECT id FROM users WHERE {column} = $1"), params![key]).await?;
    row.map(|row| row.get("id")).transpose()
}

/// How many enabled administrators there are, held against being disabled until the transaction ends.
pub(crate) async fn enabled_admins(tx: &mut Tx) -> Result<usize> {
    let sql = format!("SELECT id FROM users WHERE role = $1 AND status = $2 ORDER BY id{}", tx.for_update());
    Ok(tx.all(&sql, params![Role::Admin.code(), Status::Enabled]).await?.len())
}

pub(crate) async fn update_status(tx: &mut Tx, user: &User) -> Result<()> {
    tx.execute(
        "UPDATE users SET status = $2, updated_by = $3, updated_at = $4, changed_at = $4 WHERE id = $1",
        params![user.id, user.status, user.updated_by, user.updated_at],
    )
    .await?;
    Ok(())
}

pub(crate) async fn update_password(tx: &mut Tx, user: &User, hash: &PasswordHash) -> Result<()> {
    tx.execute(
        "UPDATE users SET password_hash = $2, updated_by = $3, updated_at = $4, changed_at = $4 WHERE id = $1",
        params![user.id, hash.0.as_str(), user.updated_by, user.updated_at],
    )
    .await?;
    Ok(())
}

/// A page of the users that match.
pub(crate) async fn list(tx: &mut Tx, query: &Query) -> Result<Page<User>> {
    let filter = Filter::new()
        .and_opt("status = ?", query.status.code())
        .and_opt("name_contains(username, ?)", query.username.as_deref())
        .and_opt("name_contains(email, ?)", query.email.as_deref());
    let list = List { table: "users", columns: COLUMNS, order: "changed_at", direction: query.direction };
    list.page(tx, filter, query.page, None, read).await
}
