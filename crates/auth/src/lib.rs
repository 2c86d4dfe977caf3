//! Keys and personal access tokens: what users make so that programs can act for them, and the keys that verify it all.
//!
//! The rules of tokens (formats, purposes, scopes, what voids them) are in `access`, which verifies them at every
//! request; here are the use cases by which users manage them. The rules that hold here: everybody manages only what is
//! their own, a program with a personal access token manages none, and a secret is shown once, when it is made.
//!
//! Start reading at [`pats`]; the promises are in reference 01 §2–4.

pub mod pats;

use access::Access;
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

/// All routes of the service.
pub fn routes(auth: Auth) -> Routes {
    pats::http::routes().with(auth)
}
