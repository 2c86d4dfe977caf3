//! Logging in by way of another provider: redirects and cookies.

use access::RequestInfo;
use axum::{
    body::Bytes,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use kernel::{Error, Kind, Result, Secret};
use serde::Deserialize;
use utoipa::IntoParams;
use web::{Query, Route, Routes, Rule};

use crate::{
    Users,
    oauth::{ProviderAnswer, challenge},
};

const BROWSERS: Rule = Rule::Public("how a browser logs in; the provider says who it is");

/// The cookie of a login on its way.
const CHALLENGE: &str = "trunkline_oauth";

pub(super) fn routes() -> Routes<Users> {
    Routes::new("users")
        .add(
            Route::get("/oauth/authorize/google", start)
                .named("oauth_authorize")
                .rule(BROWSERS)
                .summary("Send the browser to Google to log in")
                .answers_empty(303),
        )
        .add(
            Route::get("/oauth/callback/google", finish)
                .named("oauth_callback")
                .rule(BROWSERS)
                .summary("Where Google sends the browser back to")
                .queries::<Callback>()
                .answers_empty(302),
        )
        .add(
            Route::post("/oauth/callback/google", finish_form)
                .named("oauth_callback_post")
                .rule(BROWSERS)
                .summary("Where Google sends the browser back to")
                .queries::<Callback>()
                .answers_empty(302),
        )
}

/// What the provider sends the browser back with.
#[derive(Debug, Default, Deserialize, IntoParams)]
struct Callback {
    /// What the login was started with.
    state: Option<String>,
    /// What is exchanged for a profile.
    #[param(value_type = Option<String>)]
    code: Option<Secret<String>>,
    /// Why the provider lets nobody in.
    error: Option<String>,
}

impl Callback {
    /// What is in the address and, where it is not there, in the form of the body.
    fn or(self, form: Self) -> Self {
        Self {
            state: self.state.or(form.state),
            code: self.code.or(form.code),
            error: self.error.or(form.error),
        }
    }
}

async fn start(State(users): State<Users>, request: RequestInfo) -> Response {
    match users.start_oauth(request.at) {
        Ok((url, cookie)) => {
            let cookie =
                set_cookie(CHALLENGE, &cookie, &format!("/oauth; Max-Age={}", challenge::LIFE.as_secs()));
            redirect(StatusCode::SEE_OTHER, &url, &[cookie])
        }
        Err(error) => failed(&users, &error),
    }
}

async fn finish(
    State(users): State<Users>,
    request: RequestInfo,
    headers: HeaderMap,
    Query(callback): Query<Callback>,
) -> Response {
    finish_with(&users, &request, &headers, callback).await
}

/// As [`finish`], from a provider that has the browser post a form (`response_mode=form_post`). Browsers send no cookie
/// with that, so it leads to a login only where an operator has set a state for all.
async fn finish_form(
    State(users): State<Users>,
    request: RequestInfo,
    headers: HeaderMap,
    Query(callback): Query<Callback>,
    body: Bytes,
) -> Response {
    let form = match form(&headers, &body) {
        Ok(form) => form,
        Err(error) => return error.into_response(),
    };
    finish_with(&users, &request, &headers, callback.or(form)).await
}

/// The fields of a form; none where the body is something else.
fn form(headers: &HeaderMap, body: &[u8]) -> web::Result<Callback> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("application/x-www-form-urlencoded") {
        return Ok(Callback::default());
    }
    let text = std::str::from_utf8(body).map_err(|error| Error::invalid("invalid form").cause(error))?;
    Query::of(text).map(|Query(callback)| callback)
}

async fn finish_with(
    users: &Users,
    request: &RequestInfo,
    headers: &HeaderMap,
    callback: Callback,
) -> Response {
    let answer = ProviderAnswer {
        state: callback.state,
        code: callback.code,
        error: callback.error,
        cookie: cookie(headers, CHALLENGE).map(str::to_owned),
    };
    let pair = match users.finish_oauth(request, answer).await {
        Ok(pair) => pair,
        Err(error) => return failed(users, &error),
    };
    let Some(oauth) = &users.settings.oauth else { return StatusCode::NOT_FOUND.into_response() };
    let cookies = [
        set_cookie("access_token", pair.access.expose(), "/"),
        set_cookie("refresh_token", pair.refresh.expose(), "/"),
        set_cookie(CHALLENGE, "", "/oauth; Max-Age=0"),
    ];
    redirect(StatusCode::FOUND, &oauth.redirect_url, &cookies)
}

/// To the page of the user interface that shows errors. What went wrong on our side stays in the log.
fn failed(users: &Users, error: &Error) -> Response {
    let cause = error.chain();
    let text = match error.kind() {
        Kind::Internal | Kind::Unavailable => {
            tracing::error!(%error, cause, "a login by way of another provider failed");
            "something went wrong, please try again"
        }
        _ => {
            tracing::info!(%error, cause, "a login by way of another provider was refused");
            error.public()
        }
    };
    let url = users.settings.oauth.as_ref().map_or("/", |oauth| oauth.error_url.as_str());
    let separator = if url.contains('?') { '&' } else { '?' };
    redirect(StatusCode::SEE_OTHER, &format!("{url}{separator}error={}", escape(text)), &[])
}

fn redirect(status: StatusCode, url: &str, cookies: &[String]) -> Response {
    let headers = || -> Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        headers.insert(header::LOCATION, HeaderValue::try_from(url).map_err(Error::internal)?);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        for cookie in cookies {
            let mut value = HeaderValue::try_from(cookie).map_err(Error::internal)?;
            value.set_sensitive(true);
            headers.append(header::SET_COOKIE, value);
        }
        Ok(headers)
    };
    match headers() {
        Ok(headers) => (status, headers).into_response(),
        Err(error) => web::Error::from(error).into_response(),
    }
}

/// A cookie that no script reads. The provider's redirect is a navigation from another site, which `Lax` lets through.
fn set_cookie(name: &str, value: &str, path: &str) -> String {
    format!("{name}={value}; Path={path}; HttpOnly; Secure; SameSite=Lax")
}

fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// Percent-encodes everything but letters, digits and `-_.~` (RFC 3986 §2.3).
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_word_of_a_url() {
        assert_eq!(escape("oauth provider is disabled"), "oauth%20provider%20is%20disabled");
        assert_eq!(escape("a&b=<ä>"), "a%26b%3D%3C%C3%A4%3E");
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("a=1; trunkline_oauth=x=y; b=2"));
        assert_eq!(cookie(&headers, "trunkline_oauth"), Some("x=y"));
        assert_eq!(cookie(&headers, "oauth"), None);
    }
}
