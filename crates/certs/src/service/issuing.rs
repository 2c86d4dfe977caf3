//! A certificate is made, signed for a key, or made anew.

use std::sync::Arc;

use access::{Context, Object, Permit, RequestInfo};
use clients::Clients;
use kernel::{ClientId, DomainId, Error, Kind, Result, Secret, Timestamp};
use rcgen::KeyPair;

use super::Certs;
use crate::{
    authority::{Request, making},
    model::{Issued, KeyType, NewCertificate, Serial, Ttl},
    operations,
};

impl Certs {
    /// Makes a key and a certificate for a client. Emits `certificate.issue`.
    ///
    /// Denied without the right to change the client; Unprocessable where the authority cannot do as asked.
    pub async fn issue(&self, cx: &Context, domain: DomainId, new: NewCertificate) -> Result<Issued> {
        let permit = cx.authorize(operations::ISSUE, Object::client(domain, new.client)).await?;
        let issued = self.make(new, permit.at()).await?;
        self.keep(&permit, &cx.request().id, domain, issued).await
    }

    /// Certifies the key of a request; its common name is the one that the request asks for, else the client's id. Emits
    /// `certificate.issue`.
    pub async fn issue_for(
        &self,
        cx: &Context,
        domain: DomainId,
        client: ClientId,
        (request, ttl): (Request, Option<Ttl>),
    ) -> Result<Issued> {
        let permit = cx.authorize(operations::ISSUE, Object::client(domain, client)).await?;
        let issued = self.certify(&request, asked(client, &request, ttl), permit.at()).await?;
        self.keep(&permit, &cx.request().id, domain, issued).await
    }

    /// The same for a program of the operator that [`Certs::let_agent_in`] has let in. NotFound for a client that is not
    /// there.
    pub async fn issue_for_agent(
        &self,
        info: &RequestInfo,
        client: ClientId,
        (request, ttl): (Request, Option<Ttl>),
    ) -> Result<Issued> {
        let known = self.clients.credentials(client).await?.ok_or_else(Error::not_found)?;
        let permit = Permit::of_service(info.at);
        let issued = self.certify(&request, asked(client, &request, ttl), info.at).await?;
        self.keep(&permit, &info.id, known.domain, issued).await
    }

    /// Lets a program of the operator in that shows the operator's secret in place of a user's token. Attempts are limited
    /// per address.
    ///
    /// Unauthenticated for a wrong secret, and where the operator has set none.
    pub async fn let_agent_in(&self, info: &RequestInfo, shown: Option<&Secret<String>>) -> Result<()> {
        let refused = || Error::new(Kind::Unauthenticated, "missing or invalid bearer agent secret");
        let (Some(secret), Some(shown)) = (self.settings.agent_secret.as_ref(), shown) else {
            return Err(refused());
        };
        let attempt = self.access.failures().attempt(None, info.peer, info.at).await?;
        // Digests, so that the comparison takes the same time for every length.
        let digest = |text: &Secret<String>| self.access.digester().digest("certs.secret", text.expose());
        match digest(shown).matches(&digest(secret).to_vec()) {
            true => {
                attempt.succeeded();
                Ok(())
            }
            false => Err(refused()),
        }
    }

    /// Makes another certificate with a new key and the names of an existing one, which stays valid. Emits
    /// `certificate.issue`.
    ///
    /// Unprocessable for one that was revoked.
    pub async fn renew(&self, cx: &Context, domain: DomainId, serial: Serial) -> Result<Issued> {
        let (permit, found) = self.permitted(cx, operations::RENEW, domain, &serial).await?;
        if found.revoked.is_some() {
            return Err(Error::unprocessable("certificate has been revoked and cannot be renewed"));
        }
        let new = crate::authority::like(found.client, &found.pem)?;
        let issued = self.make(new, permit.at()).await?;
        self.keep(&permit, &cx.request().id, domain, issued).await
    }

    /// Makes a certificate and stores nothing; a slow key on a thread of its own, in its turn. What is not recorded after
    /// all is to be given to [`Certs::abandon`].
    ///
    /// `Invalid` and `Unprocessable` for a name that may not stand there; `Unprocessable` for a time to live above the
    /// limit, an authority that has expired, and a clock that is before its beginning; `Unavailable` where an authority
    /// outside cannot be asked.
    pub async fn make(&self, new: NewCertificate, now: Timestamp) -> Result<Issued> {
        if let Some(outside) = &self.outside {
            let key = self.key(new.key).await?;
            return outside.issue(new, key, self.authority.limits(), now).await;
        }
        if !new.key.is_slow() {
            return self.authority.issue(new, now);
        }
        let turn = Arc::clone(&self.slow).acquire_owned().await.map_err(Error::internal)?;
        let authority = self.authority.clone();
        let made = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            authority.issue(new, now)
        });
        made.await.map_err(Error::internal)?
    }

    async fn certify(&self, request: &Request, new: NewCertificate, now: Timestamp) -> Result<Issued> {
        let Some(outside) = &self.outside else { return self.authority.issue_for(request, new, now) };
        let key = rcgen::PublicKeyData::subject_public_key_info(request.key());
        outside.sign(request.pem(), key, new, self.authority.limits(), now).await
    }

    /// A new key.
    async fn key(&self, kind: KeyType) -> Result<KeyPair> {
        if !kind.is_slow() {
            return making::key(kind);
        }
        let turn = Arc::clone(&self.slow).acquire_owned().await.map_err(Error::internal)?;
        let made = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            making::key(kind)
        });
        made.await.map_err(Error::internal)?
    }

    /// Takes back what was made and is not kept, where somebody else may believe it.
    pub async fn abandon(&self, made: &[Issued]) {
        if let Some(outside) = &self.outside {
            for issued in made {
                outside.take_back(&issued.serial).await;
            }
        }
    }

    /// Keeps what was signed, if its client is still there.
    async fn keep(
        &self,
        permit: &Permit,
        request: &Arc<str>,
        domain: DomainId,
        issued: Issued,
    ) -> Result<Issued> {
        let (certs, permit, request) = (self.clone(), permit.clone(), Arc::clone(request));
        let made = issued.clone();
        let write = self.access.db().write(move |tx| {
            Box::pin(async move {
                if Clients::statuses(tx, domain, &[issued.client]).await?.is_empty() {
                    return Err(Error::not_found());
                }
                certs.record(tx, &permit, &request, domain, &issued).await?;
                Ok(issued)
            })
        });
        let kept = write.await;
        if kept.is_err() {
            self.abandon(&[made]).await;
        }
        kept
    }
}

/// What a request asks for, as far as it may.
fn asked(client: ClientId, request: &Request, ttl: Option<Ttl>) -> NewCertificate {
    let mut new = NewCertificate::of_client(client, ttl);
    if let Some(subject) = request.subject() {
        new.subject = subject;
    }
    new.hosts = request.hosts().to_vec();
    new
}
