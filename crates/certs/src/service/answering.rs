//! What anybody may ask: the authority's certificates, revocation lists, and whether a certificate still holds.

use std::{collections::HashMap, sync::Arc, sync::PoisonError};

use kernel::{Error, Result, Timestamp};

use super::Certs;
use crate::{
    authority::{Ca, revocation_list},
    model::Serial,
    ocsp::{Question, Standing},
    openbao::ISSUER,
    store,
};

/// The list of each authority, as it was signed last.
pub(super) type Lists = HashMap<String, Signed>;

pub(super) struct Signed {
    /// How often something had been revoked by then.
    revision: u64,
    at: Timestamp,
    der: Arc<[u8]>,
}

impl Certs {
    /// The revocation list in DER of the authority that signs at present, or of the one with this id. It is signed anew
    /// when something was revoked, and after half of the time for which it may be kept.
    ///
    /// NotFound for an authority that is none of ours.
    pub async fn revocation_list(&self, issuer: Option<&str>) -> Result<Arc<[u8]>> {
        if let (Some(outside), None) = (&self.outside, issuer) {
            return Ok(outside.revocation_list().await?.into());
        }
        let ca = self.issuer(issuer)?;
        let now = self.access.clock().now();
        let revision = self.revoked.revision();
        let known = {
            let lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
            let fresh = |list: &&Signed| {
                list.revision == revision && now.since(list.at) < revocation_list::LIFE / 2 && list.at <= now
            };
            lists.get(&ca.id).filter(fresh).map(|list| Arc::clone(&list.der))
        };
        if let Some(der) = known {
            return Ok(der);
        }
        let id = ca.id.clone();
        let read = self
            .access
            .db()
            .scan(move |tx| Box::pin(async move { store::certificates::revoked_by(tx, &id, now).await }));
        let der: Arc<[u8]> = revocation_list::sign(&ca, &read.await?, now)?.into();
        let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        lists.insert(ca.id.clone(), Signed { revision, at: now, der: Arc::clone(&der) });
        Ok(der)
    }

    /// The certificate in DER of one of our authorities.
    pub fn issuer_certificate(&self, issuer: &str) -> Result<Vec<u8>> {
        Ok(self.issuer(Some(issuer))?.der.clone())
    }

    fn issuer(&self, id: Option<&str>) -> Result<Arc<Ca>> {
        let Some(id) = id else { return self.authority.signing() };
        let tree = self.authority.tree();
        let found = tree.issuers.iter().find(|ca| ca.id == id).cloned();
        found.ok_or_else(Error::not_found)
    }

    /// A signed answer in DER to a question in DER (RFC 6960).
    pub async fn answer(&self, question: &[u8]) -> Result<Vec<u8>> {
        let read = Question::from_der(question)?;
        match &self.outside {
            Some(outside) if !read.is_for(&self.authority.tree()) => outside.answer(question.to_vec()).await,
            _ => self.answer_to(read).await,
        }
    }

    /// The same to a question for one certificate of ours.
    pub async fn answer_about(&self, serial: &Serial) -> Result<Vec<u8>> {
        let wanted = serial.clone();
        let read = self
            .access
            .db()
            .read(move |tx| Box::pin(async move { store::certificates::issuer_of(tx, &wanted).await }));
        let issuer = read.await?;
        if let Some(outside) = &self.outside
            && issuer.as_deref() == Some(ISSUER)
        {
            return outside.answer(self.authority.question_outside(serial)?).await;
        }
        let known = issuer.and_then(|issuer| self.issuer(Some(&issuer)).ok());
        let ca = known.map_or_else(|| self.authority.signing(), Ok)?;
        self.answer_to(Question::about(serial, &ca.responder)?).await
    }

    async fn answer_to(&self, question: Question) -> Result<Vec<u8>> {
        let serials = question.serials();
        let read = self
            .access
            .db()
            .read(move |tx| Box::pin(async move { store::certificates::standings(tx, serials).await }));
        let known: HashMap<_, _> = read.await?.into_iter().collect();
        let standing = |serial: &Serial| {
            known.get(serial).map(|revoked| revoked.map_or(Standing::Good, Standing::Revoked))
        };
        question.answer(&self.authority.tree(), standing, self.access.clock().now())
    }
}
