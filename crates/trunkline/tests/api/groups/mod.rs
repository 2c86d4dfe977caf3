//! Groups: one group at a time, lists, and where groups are.

mod children;
mod forest;
mod hierarchy;
mod members;
mod moves;
mod one;
mod sight;

use serde_json::Value;

use crate::plant::{Caller, Plant};

/// An id that names nothing.
const UNKNOWN: &str = "00000000-0000-4000-8000-000000000000";

/// A domain of the administrator's with a chain of groups: a root, one in it, one in that.
async fn chain(plant: &Plant) -> (String, [String; 3]) {
    let domain = plant.admin.domain("one").await;
    let root = plant.admin.group(&domain, "root", None).await;
    let middle = plant.admin.group(&domain, "middle", Some(&root)).await;
    let leaf = plant.admin.group(&domain, "leaf", Some(&middle)).await;
    plant.events().await;
    (domain, [root, middle, leaf])
}

/// The names in the list under `groups`, in order.
fn names(answer: &Value) -> Vec<&str> {
    answer["groups"].as_array().unwrap().iter().map(|group| group["name"].as_str().unwrap()).collect()
}

/// Where a group is: its parent, level and path.
async fn place(caller: &Caller, domain: &str, group: &str) -> (Value, Value, Value) {
    let group = caller.get(&format!("/{domain}/groups/{group}")).await.expect(200);
    (group["parent_id"].clone(), group["level"].clone(), group["path"].clone())
}
