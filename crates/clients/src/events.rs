//! What others learn of clients (reference 03 §8). Never the secret.

use events::Event;
use registry::Words;

use crate::model::Client;

pub(crate) const UPDATE_SECRET: &str = "client.update_secret";

pub(crate) const WORDS: Words = Words {
    create: "client.create",
    update: "client.update",
    update_tags: "client.update_tags",
    enable: "client.enable",
    disable: "client.disable",
    remove: "client.remove",
    set_parent: "client.set_parent",
    remove_parent: "client.remove_parent",
};

/// What is known of clients alone.
pub(crate) fn describe(client: &Client, event: Event) -> Event {
    let private = Some(&client.private_metadata).filter(|metadata| !metadata.is_empty());
    event
        .with_some("identity", Some(&client.identity).filter(|identity| !identity.is_empty()))
        .with_some("private_metadata", private)
}
