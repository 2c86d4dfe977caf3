//! Roles: named sets of actions on one thing, and the users who hold them (reference 02 §4).
//!
//! A role row is at the same time the tuples `<thing>#<action>@role:<id>#member`, a member row the tuple
//! `role:<id>#member@user:<domain>_<user>`; see [`crate::graph`]. Rules that hold:
//!
//! - A user holds at most one role on a thing.
//! - The built-in role `admin` that comes with every thing keeps its name, an action and a member.
//! - Whoever loses the role on a domain loses every role on what is in it ([`members::leave_domain`]).
//! - All changes of one thing's roles follow each other, and its removal is one of them.
//!
//! What a right is worth: `manage_role` on a thing is the right to give any action on it to those who hold one of its
//! roles, oneself included; `add_role_users` is the right to let anybody into any of its roles, `admin` too. Both are
//! as good as `admin` in the end, which is what the contract means by them; neither does the other's work.
//!
//! Start reading at [`service`]; the kinds of things are rows of [`entity`], the routes in [`http`].

pub mod entity;
pub mod events;
pub mod http;
pub mod members;
pub mod model;
pub mod service;
pub(crate) mod store;

use db::Tx;
use kernel::{Error, Result, RoleId};

pub use entity::{CHANNELS, CLIENTS, DOMAINS, ENTITIES, Entity, GROUPS};
pub use model::{ADMIN, Actions, Members, NewRole, Provision, Role, RoleName};
pub use service::Roles;

use crate::{Access, Object, Permit};

/// Up to so many things that were related to a removed one, caches forget each; beyond it they forget everything.
const FORGOTTEN_ONE_BY_ONE: usize = 1000;

/// Gives a new thing its place in the domain and its `admin` role, which the caller holds.
///
/// Asks for the permit, so that only a use case that was allowed can call it.
pub async fn provision(tx: &mut Tx, access: &Access, permit: &Permit, object: Object) -> Result<Provision> {
    let actions: Vec<String> = relation::actions(object.kind()).iter().map(|&action| action.into()).collect();
    let role = Role {
        id: RoleId::generate(object.kind(), access.rng()),
        name: ADMIN.to_owned(),
        entity_id: object.id_text(),
        created_by: permit.actor(),
        created_at: permit.at(),
        updated_by: None,
        updated_at: None,
        actions: actions.clone(),
        built_in: true,
    };
    store::put_in_place(tx, object).await?;
    store::insert(tx, object, &role).await?;
    store::insert_members(tx, object, &role.id, &[permit.actor()]).await?;
    access.graph().changed(tx, object, &[(role.id.clone(), permit.actor())])?;
    Ok(Provision { role, optional_actions: Some(actions), optional_members: Some(vec![permit.actor()]) })
}

/// Removes every right that anybody has on a thing, and every right that the thing has elsewhere.
pub async fn remove_all(tx: &mut Tx, access: &Access, _permit: &Permit, object: Object) -> Result<()> {
    store::hold(tx, object).await?;
    let members = store::delete_all_members(tx, object).await?;
    store::delete_all(tx, object).await?;
    let related = store::cut_off(tx, object).await?;
    access.graph().changed(tx, object, &members)?;
    if related.len() > FORGOTTEN_ONE_BY_ONE {
        access.graph().everything_changed(tx);
        return Ok(());
    }
    for (kind, id) in related {
        let entity = Entity::of(&kind)
            .ok_or_else(|| Error::internal(format!("things of kind `{kind}` are related to {object}")))?;
        access.graph().changed(tx, Object::of(entity.kind, object.in_domain(), id.uuid()), &[])?;
    }
    Ok(())
}

/// The role with this id, if it is on this thing.
pub async fn get(tx: &mut Tx, object: Object, role: &RoleId) -> Result<Option<Role>> {
    store::get(tx, object, role).await
}
