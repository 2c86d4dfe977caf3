//! Users who leave every domain at once, as another service of the installation asks for it.

use std::sync::Arc;

use access::{Object, Permit, RequestInfo, roles};
use kernel::{Result, UserId};

use crate::{Domains, invitations};

impl Domains {
    /// Takes a user out of every domain, with all of its roles there and all of its invitations. Emits `domain.members.remove` for
    /// each. A domain whose only administrator this was is left to the administrators of the platform.
    pub async fn let_go(&self, request: &RequestInfo, user: UserId) -> Result<()> {
        let access = self.access.clone();
        let (permit, request) = (Permit::of_service(request.at), Arc::clone(&request.id));
        self.access
            .db()
            .write(move |tx| {
                Box::pin(async move {
                    for domain in roles::members::leave_everywhere(tx, &access, &permit, user).await? {
                        let (entity, object) = (roles::DOMAINS, Object::domain(domain));
                        let event =
                            roles::events::members_removed(entity, object, &[user], &permit, &request);
                        access.emit(tx, event).await?;
                    }
                    invitations::on_purge(tx, user).await
                })
            })
            .await
    }
}
