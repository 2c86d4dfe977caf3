//! The table of certificates.

use access::Sight;
use db::{Filter, List, Row, Tx, Val, params};
use kernel::{ClientId, Direction, DomainId, Page, Result, Timestamp, UserId};

use crate::model::{Certificate, Issued, Query, Reason, Revocation, Serial};

const COLUMNS: &str = "id, domain_id, entity_id, common_name, fingerprint, certificate, not_before, not_after, \
                       created_by, created_at, revoked_at, reason";

fn read(row: &Row) -> Result<Certificate> {
    Ok(Certificate {
        serial: row.get("id")?,
        domain: row.get("domain_id")?,
        client: row.get("entity_id")?,
        common_name: row.get("common_name")?,
        fingerprint: row.get("fingerprint")?,
        pem: row.get("certificate")?,
        not_before: row.get("not_before")?,
        not_after: row.get("not_after")?,
        created_by: row.get("created_by")?,
        created_at: row.get("created_at")?,
        revoked: revocation(row)?,
    })
}

fn revocation(row: &Row) -> Result<Option<Revocation>> {
    let at: Option<Timestamp> = row.get("revoked_at")?;
    let reason: Option<i64> = row.get("reason")?;
    Ok(at.map(|at| Revocation { at, reason: Reason::from_code(reason.unwrap_or_default()) }))
}

/// Adds a certificate.
pub(crate) async fn insert(
    tx: &mut Tx,
    domain: DomainId,
    issued: &Issued,
    key: Option<Vec<u8>>,
    created: (UserId, Timestamp),
) -> Result<()> {
    tx.execute(
        "INSERT INTO certificates
                (id, domain_id, entity_id, issuer_id, common_name, fingerprint, certificate, key_sealed,
                 not_before, not_after, created_by, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        &[
            (&issued.serial).into(),
            domain.into(),
            issued.client.into(),
            issued.issuer.as_str().into(),
            issued.common_name.as_str().into(),
            issued.fingerprint.as_str().into(),
            issued.certificate.as_str().into(),
            key.into(),
            issued.not_before.into(),
            issued.not_after.into(),
            created.0.into(),
            created.1.into(),
        ],
    )
    .await?;
    Ok(())
}

/// One certificate, in whatever domain it is.
pub(crate) async fn find(tx: &mut Tx, serial: &Serial) -> Result<Option<Certificate>> {
    let sql = format!("SELECT {COLUMNS} FROM certificates WHERE id = $1");
    tx.one_or_none(&sql, &[serial.into()]).await?.as_ref().map(read).transpose()
}

/// The sealed private key of a certificate, if it is here.
pub(crate) async fn sealed_key(tx: &mut Tx, serial: &Serial) -> Result<Option<Vec<u8>>> {
    let row = tx.one_or_none("SELECT key_sealed FROM certificates WHERE id = $1", &[serial.into()]).await?;
    Ok(row.map(|row| row.get::<Option<Vec<u8>>>("key_sealed")).transpose()?.flatten())
}

/// A page of the certificates of a domain, or of all, whose clients are visible, the newest first.
pub(crate) async fn list(
    tx: &mut Tx,
    domain: Option<DomainId>,
    query: &Query,
    sight: Option<&Sight>,
) -> Result<Page<Certificate>> {
    let mut filter = match domain {
        Some(domain) => Filter::of_domain(domain),
        None => Filter::new(),
    };
    if let Some(sight) = sight {
        filter = sight.visible.restrict(filter, "entity_id");
    }
    filter = filter.and_opt("entity_id = ?", query.client);
    filter = match query.revoked {
        Some(true) => filter.and_all("revoked_at IS NOT NULL", []),
        Some(false) => filter.and_all("revoked_at IS NULL", []),
        None => filter,
    };
    let list = List {
        table: "certificates",
        columns: COLUMNS,
        order: "created_at",
        direction: Direction::Descending,
    };
    list.page(tx, filter, query.page, None, read).await
}

/// Revokes one certificate; whether it was not revoked before.
pub(crate) async fn revoke(tx: &mut Tx, serial: &Serial, revocation: Revocation) -> Result<bool> {
    let changed = tx
        .execute(
            "UPDATE certificates SET revoked_at = $2, reason = $3 WHERE id = $1 AND revoked_at IS NULL",
            &[serial.into(), revocation.at.into(), Val::Int(revocation.reason.code())],
        )
        .await?;
    Ok(changed > 0)
}

/// The certificates of a client that were not revoked, in the order of their serials, held until the transaction ends.
pub(crate) async fn standing_of(tx: &mut Tx, client: ClientId) -> Result<Vec<Certificate>> {
    let hold = tx.for_update();
    let sql = format!(
        "SELECT {COLUMNS} FROM certificates WHERE entity_id = $1 AND revoked_at IS NULL ORDER BY id{hold}"
    );
    tx.all(&sql, params![client]).await?.iter().map(read).collect()
}

/// Whether a client ever had a certificate.
pub(crate) async fn has_any(tx: &mut Tx, client: ClientId) -> Result<bool> {
    let row =
        tx.one_or_none("SELECT id FROM certificates WHERE entity_id = $1 LIMIT 1", params![client]).await?;
    Ok(row.is_some())
}

/// What was revoked of the certificates of an authority that would be valid at `now`.
pub(crate) async fn revoked_by(
    tx: &mut Tx,
    issuer: &str,
    now: Timestamp,
) -> Result<Vec<(Serial, Revocation)>> {
    let rows = tx
        .all(
            "SELECT id, revoked_at, reason FROM certificates
              WHERE issuer_id = $1 AND not_after > $2 AND revoked_at IS NOT NULL
              ORDER BY id",
            params![issuer, now],
        )
        .await?;
    let mut revoked = Vec::with_capacity(rows.len());
    for row in &rows {
        if let Some(revocation) = revocation(row)? {
            revoked.push((row.get("id")?, revocation));
        }
    }
    Ok(revoked)
}

/// Serials and ends of what was revoked and would be valid at `now`, whoever has signed it.
pub(crate) async fn all_revoked(tx: &mut Tx, now: Timestamp) -> Result<Vec<(Serial, Timestamp)>> {
    let rows = tx
        .all(
            "SELECT id, not_after FROM certificates WHERE revoked_at IS NOT NULL AND not_after > $1",
            params![now],
        )
        .await?;
    rows.iter().map(|row| Ok((row.get("id")?, row.get("not_after")?))).collect()
}

/// Of these serials, those that are known, and whether they were revoked.
pub(crate) async fn standings(
    tx: &mut Tx,
    serials: Vec<Serial>,
) -> Result<Vec<(Serial, Option<Revocation>)>> {
    let filter = Filter::new().and_in("id", serials.iter().map(Val::from));
    let sql = format!("SELECT id, revoked_at, reason FROM certificates{}", filter.sql());
    let rows = tx.all(&sql, filter.params()).await?;
    rows.iter().map(|row| Ok((row.get("id")?, revocation(row)?))).collect()
}

/// Which authority has signed a certificate.
pub(crate) async fn issuer_of(tx: &mut Tx, serial: &Serial) -> Result<Option<String>> {
    let row = tx.one_or_none("SELECT issuer_id FROM certificates WHERE id = $1", &[serial.into()]).await?;
    row.map(|row| row.get("issuer_id")).transpose()
}

/// A certificate whose end is near: its serial, its client, its domain and its end.
pub(crate) type Ending = (Serial, ClientId, DomainId, Timestamp);

/// Certificates that end before `until` and were not announced, the first to end first, at most `most`.
pub(crate) async fn ending(tx: &mut Tx, until: Timestamp, most: i64) -> Result<Vec<Ending>> {
    let rows = tx
        .all(
            "SELECT id, entity_id, domain_id, not_after FROM certificates
              WHERE not_after < $1 AND revoked_at IS NULL AND warned_at IS NULL
              ORDER BY not_after, id LIMIT $2",
            params![until, most],
        )
        .await?;
    let read =
        |row: &Row| Ok((row.get("id")?, row.get("entity_id")?, row.get("domain_id")?, row.get("not_after")?));
    rows.iter().map(read).collect()
}

/// Notes that its end was announced; whether it was not before.
pub(crate) async fn warned(tx: &mut Tx, serial: &Serial, at: Timestamp) -> Result<bool> {
    let sql = "UPDATE certificates SET warned_at = $2 WHERE id = $1 AND warned_at IS NULL";
    Ok(tx.execute(sql, &[serial.into(), at.into()]).await? > 0)
}

/// How many certificates there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    /// That hold at `now`.
    pub(crate) valid: u64,
    /// Of those, that end before `until`.
    pub(crate) ending: u64,
    /// That were revoked and would hold at `now`.
    pub(crate) revoked: u64,
}

/// Counts them.
pub(crate) async fn counts(tx: &mut Tx, now: Timestamp, until: Timestamp) -> Result<Counts> {
    let row = tx
        .one(
            "SELECT sum(CASE WHEN revoked_at IS NULL THEN 1 ELSE 0 END) AS valid,
                    sum(CASE WHEN revoked_at IS NULL AND not_after < $2 THEN 1 ELSE 0 END) AS ending,
                    sum(CASE WHEN revoked_at IS NULL THEN 0 ELSE 1 END) AS revoked
               FROM certificates WHERE not_after > $1",
            params![now, until],
        )
        .await?;
    let number = |column| Ok::<_, kernel::Error>(row.get::<Option<u64>>(column)?.unwrap_or_default());
    Ok(Counts { valid: number("valid")?, ending: number("ending")?, revoked: number("revoked")? })
}

/// Revoked certificates of the authority outside that it has not been told of, the first to be revoked first.
pub(crate) async fn untold(tx: &mut Tx, most: i64) -> Result<Vec<Serial>> {
    let rows = tx
        .all(
            "SELECT id FROM certificates
              WHERE issuer_id = 'openbao' AND revoked_at IS NOT NULL AND told_at IS NULL
              ORDER BY revoked_at, id LIMIT $1",
            params![most],
        )
        .await?;
    rows.iter().map(|row| row.get("id")).collect()
}

/// Notes that it was told.
pub(crate) async fn told(tx: &mut Tx, serial: &Serial, at: Timestamp) -> Result<()> {
    tx.execute("UPDATE certificates SET told_at = $2 WHERE id = $1", &[serial.into(), at.into()]).await?;
    Ok(())
}
