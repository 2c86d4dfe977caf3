//! Random worlds of groups, things and roles, on which what is computed for many at once must agree with what single
//! checks say, and what is remembered with what is stored.

mod changes;
mod lists;
mod nodes;

use db::{BoxFuture, Db, Tx};
use events::Outbox;
use kernel::{Clock, DomainId, Result, Rng, RoleId, Secret, Timestamp, UserId};

use crate::{
    Access, Ground, Object, Permit, Settings,
    crypto::MasterKey,
    graph::Subject,
    hierarchy,
    identity::Role as PlatformRole,
    platform,
    roles::{self, Role, store},
};

/// 2026-01-02T03:04:05Z.
const NOW: Timestamp = Timestamp::from_micros(1_767_323_045_000_000);

/// Access over a database of its own, and two users in a domain: an owner, and one with whatever a test gives.
pub(super) struct World {
    pub(super) access: Access,
    pub(super) rng: Rng,
    pub(super) owner: Permit,
    pub(super) user: UserId,
}

impl World {
    pub(super) async fn new(db: &Db) -> Self {
        db.migrate(&[events::MIGRATIONS, crate::MIGRATIONS].concat()).await.unwrap();
        let rng = Rng::seeded(7);
        let access = Self::access(db, rng.clone()).await;
        let [owner, user] = [UserId::generate(&rng), UserId::generate(&rng)];
        let owner = Permit::of_oneself(owner, NOW);
        let (admitted, by) = (access.clone(), owner.clone());
        db.write(move |tx| {
            Box::pin(async move {
                for one in [by.actor(), user] {
                    platform::admit(tx, &admitted, &by, one, PlatformRole::User).await?;
                }
                Ok(())
            })
        })
        .await
        .unwrap();
        Self { access, rng, owner, user }
    }

    /// Access as a node has it; all of them have the same master key.
    pub(super) async fn access(db: &Db, rng: Rng) -> Access {
        let master = MasterKey::from_bytes(Secret::new([7; 32]));
        let ground = Ground { db: db.clone(), outbox: Outbox::new(), master, clock: Clock::manual(NOW), rng };
        Access::open(ground, Settings::default(), &[]).await.unwrap()
    }

    /// A new domain with the owner as administrator.
    pub(super) async fn domain(&self) -> DomainId {
        let domain = DomainId::generate(&self.rng);
        self.provision(Object::domain(domain)).await;
        domain
    }

    /// A new thing with the owner as administrator.
    pub(super) async fn provision(&self, object: Object) {
        let (access, owner) = (self.access.clone(), self.owner.clone());
        self.write(move |tx| {
            Box::pin(async move { roles::provision(tx, &access, &owner, object).await.map(drop) })
        })
        .await;
    }

    /// A new thing of a kind in a domain.
    pub(super) async fn thing(&self, kind: &'static str, domain: DomainId) -> Object {
        let object = Object::of(kind, domain, self.rng.uuid());
        self.provision(object).await;
        object
    }

    pub(super) async fn put_into(&self, object: Object, group: Object) {
        let (access, owner) = (self.access.clone(), self.owner.clone());
        let group = kernel::GroupId::from_uuid(group.id());
        self.write(move |tx| {
            Box::pin(async move { hierarchy::set_parent(tx, &access, &owner, object, group).await })
        })
        .await;
    }

    /// Gives the user a new role with these actions on a thing.
    pub(super) async fn grant(&self, object: Object, actions: &[&str]) -> RoleId {
        let role = Role {
            id: RoleId::generate(object.kind(), &self.rng),
            name: self.rng.uuid().to_string(),
            entity_id: object.id_text(),
            created_by: self.owner.actor(),
            created_at: NOW,
            updated_by: None,
            updated_at: None,
            actions: actions.iter().map(|&action| action.to_owned()).collect(),
            built_in: false,
        };
        let (access, user, id) = (self.access.clone(), self.user, role.id.clone());
        self.write(move |tx| {
            Box::pin(async move {
                store::insert(tx, object, &role).await?;
                store::insert_members(tx, object, &role.id, &[user]).await?;
                access.graph().changed(tx, object, &[(role.id.clone(), user)])
            })
        })
        .await;
        id
    }

    /// Whether the user has a permission on a thing, by a check of its own.
    pub(super) async fn may(&self, permission: &str, object: Object) -> bool {
        let subject = Subject::Member(object.in_domain(), self.user);
        self.access.graph().check(subject, permission, object).await.unwrap()
    }

    pub(super) async fn write(
        &self,
        job: impl for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<()>> + Send + 'static,
    ) {
        self.access.db().write(job).await.unwrap();
    }
}
