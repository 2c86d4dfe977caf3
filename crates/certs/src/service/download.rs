//! A certificate with its key in one file, by a token that is good for five minutes.
//!
//! Upstream signs such a token with the serial number, which everybody knows. Here it is a message under a key of the
//! installation: what it is for, until when, and their keyed digest.

use std::time::Duration;

use access::{Context, Object};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use kernel::{DomainId, Error, Kind, Result, Timestamp};

use super::{Certs, recording::seal_context};
use crate::{archive::archive, model::Serial, operations, store};

/// How long a token is good.
const LIFE: Duration = Duration::from_secs(300);
/// What is asked for its digest.
const SCOPE: &str = "certificate download";

impl Certs {
    /// A token with which the certificate can be downloaded. Denied without the right to change its client.
    pub async fn download_token(&self, cx: &Context, domain: DomainId, serial: Serial) -> Result<String> {
        let (permit, found) = self.permitted(cx, operations::DOWNLOAD, domain, &serial).await?;
        // Nobody downloads the key of a client that is no more.
        cx.authorize(operations::DOWNLOAD, Object::client(domain, found.client)).await?;
        let until = permit.at().after(LIFE).seconds();
        let said = format!("{}.{until}", found.serial.digits());
        let digest = self.access.digester().digest(SCOPE, &said);
        Ok(format!("{said}.{}", BASE64_URL_SAFE_NO_PAD.encode(digest.bytes())))
    }

    /// A zip archive of `ca.pem`, `cert.pem` and, if the key was made here, `key.pem`.
    ///
    /// Unauthenticated where the token does not hold, or is for another certificate.
    pub async fn download(&self, serial: Serial, token: &str) -> Result<Vec<u8>> {
        self.good(&serial, token)?;
        let wanted = serial.clone();
        let read = self.access.db().read(move |tx| {
            Box::pin(async move {
                let found = store::certificates::find(tx, &wanted).await?;
                Ok(found.zip(Some(store::certificates::sealed_key(tx, &wanted).await?)))
            })
        });
        let (found, key) = read.await?.ok_or_else(Error::not_found)?;
        let chain = self.authority.chain()?;
        let key = key.map(|key| self.access.sealer().open_text(&seal_context(&serial), &key)).transpose()?;
        let mut files = vec![("ca.pem", chain.as_bytes()), ("cert.pem", found.pem.as_bytes())];
        files.extend(key.as_ref().map(|key| ("key.pem", key.expose().as_bytes())));
        archive(&files)
    }

    fn good(&self, serial: &Serial, token: &str) -> Result<()> {
        let refused = || {
            Error::new(
                Kind::Unauthenticated,
                "the download token does not hold, ask for another: they last 5 minutes",
            )
        };
        let (said, digest) = token.rsplit_once('.').ok_or_else(refused)?;
        let digest = BASE64_URL_SAFE_NO_PAD.decode(digest).map_err(|_| refused())?;
        if !self.access.digester().digest(SCOPE, said).matches(&digest) {
            return Err(refused());
        }
        let (of, until) = said.split_once('.').ok_or_else(refused)?;
        let until = until.parse::<i64>().map_err(|_| refused())?;
        let now: Timestamp = self.access.clock().now();
        if of == serial.digits() && now.seconds() < until { Ok(()) } else { Err(refused()) }
    }

    /// A zip archive with the chain of the authority as `ca.crt`.
    pub fn authority_archive(&self) -> Result<Vec<u8>> {
        archive(&[("ca.crt", self.authority.chain()?.as_bytes())])
    }
}
