//! Who belongs to the platform, and who administers it.

use db::{Engine, Tx, params};
use kernel::{Result, UserId};

use crate::{Access, Permit, graph::PLATFORM_ID, identity::Role};

/// The lock of [`hold`]: `trunka` in ASCII.
const ADMINISTRATION: i64 = 0x7472_756e_6b61;

/// Keeps others from changing who administers the platform, and whether they may act, until the transaction ends.
///
/// The one lock that all of them take before any row: a set of rows that changes while it is being locked would let two
/// of them wait for each other. SQLite has one writer at a time anyway.
pub async fn hold(tx: &mut Tx) -> Result<()> {
    if matches!(tx.engine(), Engine::Sqlite) {
        return Ok(());
    }
    tx.execute("SELECT pg_advisory_xact_lock($1)::text", params![ADMINISTRATION]).await.map(drop)
}

/// Makes a user a member of the platform, and an administrator with [`Role::Admin`].
pub async fn admit(tx: &mut Tx, access: &Access, _permit: &Permit, user: UserId, role: Role) -> Result<()> {
    let relations: &[&str] = match role {
        Role::User => &["member"],
        Role::Admin => &["member", "administrator"],
    };
    for relation in relations {
        tx.execute(
            "INSERT INTO relations (object_kind, object_id, relation, subject_kind, subject_id)
             VALUES ('platform', $1, $2, 'user', $3)
             ON CONFLICT DO NOTHING",
            params![PLATFORM_ID, *relation, user],
        )
        .await?;
    }
    access.graph().platform_changed(tx, user)
}

/// Takes the administration of the platform from a user, who stays a member.
pub async fn demote(tx: &mut Tx, access: &Access, _permit: &Permit, user: UserId) -> Result<()> {
    tx.execute(
        "DELETE FROM relations
          WHERE object_kind = 'platform' AND object_id = $1 AND relation = 'administrator'
            AND subject_kind = 'user' AND subject_id = $2",
        params![PLATFORM_ID, user],
    )
    .await?;
    access.graph().platform_changed(tx, user)
}

/// Takes a user out of the platform, with all of its relations that are no roles.
pub async fn expel(tx: &mut Tx, access: &Access, _permit: &Permit, user: UserId) -> Result<()> {
    tx.execute("DELETE FROM relations WHERE subject_kind = 'user' AND subject_id = $1", params![user])
        .await?;
    access.graph().platform_changed(tx, user)
}
