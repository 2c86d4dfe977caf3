//! Bindings.

use db::{Tx, Val, params};
use kernel::{ConfigId, Result, Timestamp};

use crate::model::{Binding, NewBinding, Resource};

/// What stands in the slots of a configuration, in the order of the slots.
pub(crate) async fn of(tx: &mut Tx, config: ConfigId) -> Result<Vec<Binding>> {
    let rows = tx
        .all(
            "SELECT slot, type, resource_id, updated_at
               FROM bootstrap_bindings
              WHERE config_id = $1
              ORDER BY slot",
            params![config],
        )
        .await?;
    rows.iter()
        .map(|row| {
            let kind = row.get::<String>("type")?.parse()?;
            Ok(Binding {
                slot: row.get("slot")?,
                resource: Resource::parse(kind, &row.get::<String>("resource_id")?)?,
                updated_at: row.get("updated_at")?,
            })
        })
        .collect()
}

/// Puts things into slots, in place of what stood there.
pub(crate) async fn put(tx: &mut Tx, config: ConfigId, new: &[NewBinding], at: Timestamp) -> Result<()> {
    let row = |binding: &NewBinding| -> Vec<Val> {
        let resource = &binding.resource;
        vec![
            config.into(),
            binding.slot.as_str().into(),
            resource.kind().word().into(),
            resource.id().into(),
            at.into(),
        ]
    };
    tx.insert_many(
        "INSERT INTO bootstrap_bindings (config_id, slot, type, resource_id, updated_at) VALUES
         ON CONFLICT (config_id, slot) DO UPDATE
            SET type = excluded.type, resource_id = excluded.resource_id, updated_at = excluded.updated_at",
        new.iter().map(row).collect(),
    )
    .await
    .map(drop)
}
