//! Which permission each operation takes: data that a user can read and replace (reference 02 §5.6).

use std::{collections::HashMap, path::Path};

use kernel::{Error, Operation, Result};
use relation::Schema;
use serde::Deserialize;

/// The table that comes with the program.
pub const DEFAULT: &str = include_str!("../permission.yaml");

/// The largest table that is read.
const MAX_LEN: u64 = 1 << 20;

/// Operation → permission.
#[derive(Debug)]
pub struct Permissions {
    table: HashMap<(String, String), String>,
    required: Vec<Operation>,
}

#[derive(Deserialize)]
struct Entity {
    #[serde(default)]
    operations: Vec<HashMap<String, String>>,
    #[serde(default)]
    roles_operations: Vec<HashMap<String, String>>,
}

impl Permissions {
    /// The table in `file`, or the one that comes with the program; checked against `schema` for what we ask.
    pub fn load(file: Option<&Path>, schema: &Schema, required: &[Operation]) -> Result<Self> {
        let Some(file) = file else { return Self::parse(DEFAULT, schema, required) };
        let shown = file.display();
        let unreadable =
            |e: std::io::Error| Error::invalid(format!("the permissions file `{shown}` cannot be read: {e}"));
        if std::fs::metadata(file).map_err(unreadable)?.len() > MAX_LEN {
            return Err(Error::invalid(format!("the permissions file `{shown}` is larger than 1 MiB")));
        }
        let text = std::fs::read_to_string(file).map_err(unreadable)?;
        Self::parse(&text, schema, required)
            .map_err(|e| Error::invalid(format!("the permissions file `{shown}`: {e}")))
    }

    /// Reads a table and checks that each required operation has a permission that the schema knows.
    pub fn parse(text: &str, schema: &Schema, required: &[Operation]) -> Result<Self> {
        let entities: HashMap<String, Entity> =
            yaml_serde::from_str(text).map_err(|e| Error::invalid(format!("not a permission table: {e}")))?;
        let mut table = HashMap::new();
        for (entity, lists) in entities {
            for (operation, permission) in lists.operations.into_iter().flatten() {
                table.insert((entity.clone(), operation), permission);
            }
            for (operation, permission) in lists.roles_operations.into_iter().flatten() {
                table.insert((entity.clone(), format!("role_{operation}")), permission);
            }
        }
        let table = Self { table, required: required.to_vec() };
        for operation in required {
            let permission = table.get(*operation).ok_or_else(|| {
                Error::invalid(format!("the operation `{operation}` has no permission, add it"))
            })?;
            let kind = kind_of(operation.entity);
            if !schema.has_permission(kind, permission) {
                return Err(Error::invalid(format!(
                    "the operation `{operation}` takes `{permission}`, which the schema does not define for `{kind}`"
                )));
            }
        }
        Ok(table)
    }

    /// The operation that is written like this, `clients.view`, if it takes a permission.
    pub fn operation(&self, text: &str) -> Option<Operation> {
        let (entity, name) = text.split_once('.')?;
        self.required.iter().find(|known| known.entity == entity && known.name == name).copied()
    }

    /// The permission that `operation` takes.
    pub fn get(&self, operation: Operation) -> Option<&str> {
        // Two short allocations would be saved by a nested map; a check costs less than reading the request.
        self.table.get(&(operation.entity.to_owned(), operation.name.to_owned())).map(String::as_str)
    }
}

/// Whether an operation takes an administrator of the domain besides its permission (reference 02 §2.2).
pub(crate) fn takes_domain_admin(operation: Operation) -> bool {
    matches!((operation.entity, operation.name), ("domains", "send_invitation"))
}

/// Whether an operation lists the things of a domain: that takes no permission, for each row is shown to those who may
/// view it (reference 02 §5.6).
pub(crate) fn is_list(operation: Operation) -> bool {
    matches!(
        (operation.entity, operation.name),
        ("domains", "list_clients" | "list_channels" | "list_groups" | "list_certs")
    )
}

/// The schema's word for what the table names in the plural.
pub(crate) const fn kind_of(entity: &str) -> &str {
    match entity.as_bytes() {
        b"domains" => "domain",
        b"groups" => "group",
        b"clients" => "client",
        b"channels" => "channel",
        // What devices fetch has no relations of its own: the domain decides.
        b"bootstrap" => "domain",
        _ => entity,
    }
}
