//! Keys and personal access tokens: what users make so that programs can act for them, and the keys that verify it all.
//!
//! The rules of tokens (formats, purposes, scopes, what voids them) are in `access`, which verifies them at every
//! request; here are the use cases by which users manage them. The rules that hold here: everybody manages only what is
//! their own, a program with a personal access token manages none, and a secret is shown once, when it is made.
//!
//! Start reading at [`pats`]; why a request is allowed or refused is shown by [`explain`]; the promises are in reference 01 §2–4.

pub mod explain;
pub mod keys;
pub mod pats;

use access::{
    Access, Context, Permit,
    identity::{Credential, tokens::Purpose},
};
use kernel::{Error, Kind, Result};
use web::Routes;

/// The service for keys and tokens.
#[derive(Clone)]
pub struct Auth {
    access: Access,
}

impl Auth {
    /// The service on top of `access`.
    pub const fn new(access: Access) -> Self {
        Self { access }
    }
}

impl axum::extract::FromRef<Auth> for Access {
    fn from_ref(auth: &Auth) -> Self {
        auth.access.clone()
    }
}

/// Lets a user that has logged in manage what acts for it, and nothing else: what acts for a user makes no more of its
/// kind, and the fixed user of stand-alone mode has no account for which anything could act.
fn logged_in(cx: &Context) -> Result<Permit> {
    match cx.caller().credential {
        Credential::Standalone => {
            Err(Error::unprocessable("there are no keys and personal access tokens in stand-alone mode"))
        }
        Credential::Session if cx.verified().token_type() == Purpose::Access.claim() => cx.authorize_self(),
        _ => Err(Error::new(
            Kind::Unauthenticated,
            "log in for this, keys and tokens are managed by users only",
        )),
    }
}

/// All routes of the service.
pub fn routes(auth: Auth) -> Routes {
    keys::http::routes().merge(pats::http::routes()).with(auth)
}
