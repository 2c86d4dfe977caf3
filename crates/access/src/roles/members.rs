//! Who holds a role: coming, going, and what goes along.
//!
//! The races to win: two removals at once must not take the last two members of a built-in role, and nobody may be let
//! into something in a domain while leaving the domain. All changes on one thing follow each other (`store::hold`), and
//! whoever lets a user in holds the user's membership of the domain, which a departure removes first.

use db::{BoxFuture, Filter, Tx, Val};
use kernel::{DomainId, Error, Result, RoleId, UserId};

use super::{
    model::Role,
    store::{self, Removed, is_domain},
};
use crate::{Access, Object, Permit};

/// What else must be done when users leave a domain, in the same transaction; see [`Access::on_leave`].
pub type OnLeave = for<'t> fn(&'t mut Tx, DomainId, &'t [UserId]) -> BoxFuture<'t, Result<()>>;

/// Gives users a role on a thing.
///
/// NotFound where the thing has no such role. Denied where a user may not be let in: into a domain's role only who is
/// registered, into any other only who belongs to the domain. Conflict where a user holds a role on the thing already.
pub async fn add(
    tx: &mut Tx,
    access: &Access,
    permit: &Permit,
    object: Object,
    role: &RoleId,
    users: &[UserId],
) -> Result<()> {
    held(tx, object).await?;
    let mut role = store::get(tx, object, role).await?.ok_or_else(Error::not_found)?;
    touch(&mut role, permit);
    store::update(tx, &role).await?;
    let_in(tx, access, object, &role.id, users).await
}

/// Takes from users whatever role they hold on a thing; from a domain they leave. Returns those who held one, which the
/// caller announces.
///
/// NotFound where the thing is gone; Invalid where its built-in role would have no member.
pub async fn remove_from_all(
    tx: &mut Tx,
    access: &Access,
    _permit: &Permit,
    object: Object,
    users: &[UserId],
) -> Result<Vec<UserId>> {
    held(tx, object).await?;
    let named = store::on(object).and_in("member_id", users.iter().map(Val::from));
    let removed = take_out(tx, access, object, named).await?;
    keep_a_member(tx, object, &removed).await?;
    Ok(users_of(&removed))
}

/// Removes a user from a domain: from its roles and from those on everything in it. The caller announces it.
///
/// Invalid where the domain's `admin` role would have no member.
pub async fn leave_domain(
    tx: &mut Tx,
    access: &Access,
    _permit: &Permit,
    domain: DomainId,
    user: UserId,
) -> Result<()> {
    held(tx, Object::domain(domain)).await?;
    let removed = leave(tx, access, domain, &[user]).await?;
    keep_a_member(tx, Object::domain(domain), &removed).await
}

/// Removes a user from all domains and all roles; the caller announces it. Returns the domains. One whose only
/// administrator this was is left to the administrators of the platform.
pub async fn leave_everywhere(
    tx: &mut Tx,
    access: &Access,
    _permit: &Permit,
    user: UserId,
) -> Result<Vec<DomainId>> {
    // In one order for all, so that two who leave at once do not wait for each other in a circle.
    let rows = tx
        .all(
            "SELECT DISTINCT domain_id FROM role_members WHERE member_id = $1 ORDER BY domain_id",
            &[user.into()],
        )
        .await?;
    let domains = rows.iter().map(|row| row.get("domain_id")).collect::<Result<Vec<DomainId>>>()?;
    for domain in &domains {
        store::hold(tx, Object::domain(*domain)).await?;
        leave(tx, access, *domain, &[user]).await?;
    }
    Ok(domains)
}

/// Holds a thing's roles. NotFound where the thing is gone by now.
pub(crate) async fn held(tx: &mut Tx, object: Object) -> Result<()> {
    if store::hold(tx, object).await? { Ok(()) } else { Err(Error::not_found()) }
}

/// Notes who changed a role, and when.
pub(super) fn touch(role: &mut Role, permit: &Permit) {
    role.updated_by = Some(permit.actor());
    role.updated_at = Some(permit.at());
}

/// Lets users into a role of a thing that is held.
pub(super) async fn let_in(
    tx: &mut Tx,
    access: &Access,
    object: Object,
    role: &RoleId,
    users: &[UserId],
) -> Result<()> {
    let admissible = if is_domain(object) {
        store::registered(tx, users).await?
    } else {
        store::belonging(tx, object.in_domain(), users).await?
    };
    if admissible != users.len() {
        return Err(Error::denied());
    }
    if let Some((held, user)) = store::held_by(tx, object, users).await?.first() {
        return Err(Error::conflict(match held == role {
            true => format!("failed to add policies: the user {user} holds this role already"),
            false => format!(
                "failed to create entity: the user {user} holds the role {held} here, remove it first"
            ),
        }));
    }
    store::insert_members(tx, object, role, users).await?;
    access.graph().changed(tx, object, &pairs(role, users))
}

/// Takes members out of roles of a thing that is held; whoever loses a role on a domain leaves the domain.
pub(crate) async fn take_out(
    tx: &mut Tx,
    access: &Access,
    object: Object,
    filter: Filter,
) -> Result<Removed> {
    let removed = store::delete_members(tx, filter).await?;
    access.graph().changed(tx, object, &removed)?;
    if is_domain(object) {
        leave(tx, access, object.in_domain(), &users_of(&removed)).await?;
    }
    Ok(removed)
}

/// Fails where what was removed is the last member of the thing's built-in role. One that was bare before, as after its
/// members have left the domain, keeps nobody in the other roles.
pub(super) async fn keep_a_member(tx: &mut Tx, object: Object, removed: &Removed) -> Result<()> {
    let bare = store::bare_built_in(tx, object).await?;
    if removed.iter().any(|(role, _)| Some(role) == bare.as_ref()) {
        return Err(Error::invalid("must retain at least one member"));
    }
    Ok(())
}

/// The users who lost a role.
pub(super) fn users_of(removed: &Removed) -> Vec<UserId> {
    removed.iter().map(|(_, user)| *user).collect()
}

/// Removes users from all roles on a domain, which is held, and on everything in it.
async fn leave(tx: &mut Tx, access: &Access, domain: DomainId, users: &[UserId]) -> Result<Removed> {
    if users.is_empty() {
        return Ok(Removed::new());
    }
    // The membership of the domain itself comes first: who is being let in somewhere at this moment holds it.
    let own = store::on(Object::domain(domain)).and_in("member_id", users.iter().map(Val::from));
    let mut removed = store::delete_members(tx, own).await?;
    let all = Filter::new().and("domain_id = ?", domain).and_in("member_id", users.iter().map(Val::from));
    removed.extend(store::delete_members(tx, all).await?);
    access.graph().members_changed(tx, domain, &removed)?;
    if let Some(on_leave) = access.left() {
        on_leave(tx, domain, users).await?;
    }
    Ok(removed)
}

fn pairs(role: &RoleId, users: &[UserId]) -> Vec<(RoleId, UserId)> {
    users.iter().map(|user| (role.clone(), *user)).collect()
}
