//! From what people type to ids: routes, names, user names. A name counts only where it names one thing.

use std::str::FromStr;

use anyhow::bail;
use kernel::{DomainId, RoleId, UserId};
use sdk::{Api, Domain, Query, Roles, Span, UserQuery, UserRole, UserSearch};

use super::things::Thing;

/// As many as are looked through for a name, in pages of a hundred.
const MOST: u64 = 10_000;

/// The domain with this id, route or name.
pub(crate) async fn domain(api: &Api, named: &str) -> anyhow::Result<DomainId> {
    match DomainId::from_str(named) {
        Ok(id) => Ok(id),
        Err(_) => Ok(domain_named(api, named).await?.id),
    }
}

/// The domain with this route or name.
pub(crate) async fn domain_named(api: &Api, named: &str) -> anyhow::Result<Domain> {
    let mut domains = domains(api).await?;
    if let Some(at) = domains.iter().position(|domain| domain.route.as_deref() == Some(named)) {
        return Ok(domains.swap_remove(at));
    }
    domains.retain(|domain| domain.name == named);
    let ids: Vec<_> = domains.iter().map(|domain| domain.id.to_string()).collect();
    one("domain", "trunkline domains list", named, domains, &ids)
}

/// The caller's domain, if they have just one.
pub(crate) async fn only_domain(api: &Api) -> anyhow::Result<DomainId> {
    let page = api.domains().list(&Query { limit: Some(2), ..Query::default() }).await?;
    match page.items.as_slice() {
        [domain] => Ok(domain.id),
        [] => bail!("you have no domain yet; `trunkline domains create NAME` makes one"),
        _ => bail!(
            "you have more than one domain; choose with --domain, or for good with `trunkline domains use DOMAIN` \
             (`trunkline domains list` shows them)"
        ),
    }
}

async fn domains(api: &Api) -> anyhow::Result<Vec<Domain>> {
    let mut all = Vec::new();
    loop {
        let query = Query {
            offset: Some(all.len() as u64),
            limit: Some(100),
            status: Some("all".to_owned()),
            ..Query::default()
        };
        let page = api.domains().list(&query).await?;
        let (end, total) = (page.items.is_empty(), page.total);
        all.extend(page.items);
        let seen = all.len() as u64;
        if end || seen >= total || seen >= MOST {
            return Ok(all);
        }
    }
}

/// The group, client or channel with this id, or with this name if only one has it.
pub(crate) async fn thing<K: Thing>(api: &Api, domain: DomainId, named: &str) -> anyhow::Result<K::Id> {
    if let Ok(id) = K::Id::from_str(named) {
        return Ok(id);
    }
    let mut found = Vec::new();
    let mut seen = 0;
    loop {
        let query = Query {
            offset: Some(seen),
            limit: Some(100),
            name: Some(named.to_owned()),
            status: Some("all".to_owned()),
            ..Query::default()
        };
        let page = K::of(api, domain).list(&query).await?;
        seen += page.items.len() as u64;
        found.extend(page.items.iter().filter(|view| K::name(view) == named).map(K::id));
        if page.items.is_empty() || seen >= page.total || seen >= MOST {
            break;
        }
    }
    let ids: Vec<_> = found.iter().map(ToString::to_string).collect();
    one(K::NOUN, &format!("trunkline {} list", K::PLURAL), named, found, &ids)
}

/// The same, where one is named.
pub(crate) async fn thing_if_named<K: Thing>(
    api: &Api,
    domain: DomainId,
    named: Option<&str>,
) -> anyhow::Result<Option<K::Id>> {
    match named {
        Some(named) => thing::<K>(api, domain, named).await.map(Some),
        None => Ok(None),
    }
}

/// The user with this id or name.
pub(crate) async fn user(api: &Api, named: &str) -> anyhow::Result<UserId> {
    if let Ok(id) = UserId::from_str(named) {
        return Ok(id);
    }
    let profile = api.users().profile().await?;
    if profile.credentials.username == named || profile.email == named {
        return Ok(profile.id);
    }
    // The search passes over administrators and the disabled; the list is for administrators.
    let username = Some(named.to_owned());
    let page = if profile.role == UserRole::Admin {
        let status = Some("all".to_owned());
        api.users().list(&UserQuery { username, status, limit: Some(100), ..UserQuery::default() }).await?
    } else {
        api.users().search(&UserSearch { username, limit: Some(100), ..UserSearch::default() }).await?
    };
    let exact = page.items.iter().find(|user| user.credentials.username == named);
    // Names differ in more than case, but for those of older databases: these have to be spelled.
    let mut alike = page.items.iter().filter(|user| user.credentials.username.eq_ignore_ascii_case(named));
    match (exact, alike.next(), alike.next()) {
        (Some(user), _, _) | (None, Some(user), None) => Ok(user.id),
        _ => bail!(
            "there is no user `{named}`; `trunkline users search --username {named}` shows who is called like it"
        ),
    }
}

/// The role with this id or name on one thing.
pub(crate) async fn role(roles: &Roles<'_>, named: &str) -> anyhow::Result<RoleId> {
    let mut seen = 0;
    let mut names = Vec::new();
    loop {
        let page = roles.list(Span { offset: Some(seen), limit: Some(100) }).await?;
        seen += page.items.len() as u64;
        for role in &page.items {
            if role.name == named || role.id.as_str() == named {
                return Ok(role.id.clone());
            }
            names.push(role.name.clone());
        }
        if page.items.is_empty() || seen >= page.total {
            break;
        }
    }
    bail!("there is no role `{named}` here; there are: {}", names.join(", "))
}

/// The one that was found.
pub(crate) fn one<T>(
    noun: &str,
    look: &str,
    named: &str,
    mut found: Vec<T>,
    ids: &[String],
) -> anyhow::Result<T> {
    match (found.pop(), ids) {
        (Some(one), [_]) => Ok(one),
        (None, _) => {
            bail!("there is no {noun} `{named}` that you may see; `{look}` shows those that there are")
        }
        (Some(_), _) => {
            bail!("more than one {noun} is called `{named}`, give one of the ids: {}", ids.join(", "))
        }
    }
}
