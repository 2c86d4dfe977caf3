//! The table of authorities.

use db::{Tx, Val, params};
use kernel::{Result, Timestamp};

/// What an authority signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Intermediates.
    Root,
    /// Devices.
    Intermediate,
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Intermediate => "intermediate",
        }
    }
}

/// An authority as it is kept.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) kind: Kind,
    pub(crate) generation: i64,
    pub(crate) parent: Option<String>,
    pub(crate) certificate: String,
    /// Sealed.
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) not_after: Timestamp,
    pub(crate) created_at: Timestamp,
}

impl Row {
    /// An intermediate that no root of ours has signed.
    pub(crate) fn imported(&self) -> bool {
        self.kind == Kind::Intermediate && self.parent.is_none()
    }
}

/// All of them.
pub(crate) async fn all(tx: &mut Tx) -> Result<Vec<Row>> {
    let rows = tx
        .all(
            "SELECT id, kind, generation, parent_id, certificate, key_sealed, not_after, created_at
               FROM certificate_authorities
              ORDER BY generation, id",
            params![],
        )
        .await?;
    let read = |row: &db::Row| {
        let kind: String = row.get("kind")?;
        Ok(Row {
            id: row.get("id")?,
            kind: if kind == Kind::Root.word() { Kind::Root } else { Kind::Intermediate },
            generation: row.get("generation")?,
            parent: row.get("parent_id")?,
            certificate: row.get("certificate")?,
            key: row.get("key_sealed")?,
            not_after: row.get("not_after")?,
            created_at: row.get("created_at")?,
        })
    };
    rows.iter().map(read).collect()
}

/// Adds authorities, all or none: none where another node has added the same generation first.
pub(crate) async fn add(tx: &mut Tx, rows: Vec<Row>) -> Result<()> {
    for row in rows {
        let added = tx
            .execute(
                "INSERT INTO certificate_authorities
                        (id, kind, generation, parent_id, certificate, key_sealed, not_after, created_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
                 ON CONFLICT DO NOTHING",
                &[
                    row.id.into(),
                    row.kind.word().into(),
                    Val::Int(row.generation),
                    row.parent.into(),
                    row.certificate.into(),
                    row.key.into(),
                    row.not_after.into(),
                    row.created_at.into(),
                ],
            )
            .await?;
        if added == 0 {
            // What would follow hangs on this one.
            return Ok(());
        }
    }
    Ok(())
}
