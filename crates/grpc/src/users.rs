//! `users.v1.UsersService`: who users are (reference 01 §6.4).

use kernel::{Error, Metadata, Result, Timestamp, UserId, page::PageRequest};
use prost_types::{ListValue, Struct, Value, value::Kind};
use tonic::{Request, Response, Status};
use users::model::User;

use crate::{
    Services,
    pb::users::v1::{self as pb, RetrieveUsersReq, RetrieveUsersRes, users_service_server::UsersService},
    services::{id, number},
};

/// The service.
pub(crate) struct UsersApi(pub(crate) Services);

/// The most users that one request names: they, with their metadata, must fit one message.
const MOST: usize = 1000;

#[tonic::async_trait]
impl UsersService for UsersApi {
    async fn retrieve_users(
        &self,
        request: Request<RetrieveUsersReq>,
    ) -> Result<Response<RetrieveUsersRes>, Status> {
        let users = &self.0.users;
        let job = |_, ask: RetrieveUsersReq| async move {
            let (ids, page) = asked(&ask)?;
            let page = users.present_among(ids, page).await?;
            Ok(RetrieveUsersRes {
                total: page.total,
                limit: page.request.limit,
                offset: page.request.offset,
                users: page.items.iter().map(shown).collect(),
            })
        };
        self.0.call(request, job).await
    }
}

fn asked(ask: &RetrieveUsersReq) -> Result<(Vec<UserId>, PageRequest)> {
    if ask.ids.is_empty() {
        return Err(Error::invalid("missing user ids"));
    }
    if ask.ids.len() > MOST {
        return Err(Error::invalid(format!("too many ids in one request, at most {MOST}")));
    }
    let ids = ask.ids.iter().map(|text| id(text)).collect::<Result<Vec<UserId>>>()?;
    let all = ids.len() as u64;
    let limit = if ask.limit == 0 { all } else { ask.limit.min(all) };
    Ok((ids, PageRequest { limit, ..PageRequest::new(Some(ask.offset), None, false)? }))
}

fn shown(user: &User) -> pb::User {
    pb::User {
        id: user.id.to_string(),
        first_name: user.first_name.as_str().to_owned(),
        last_name: user.last_name.as_str().to_owned(),
        tags: user.tags.as_slice().to_vec(),
        metadata: object(&user.metadata),
        private_metadata: None,
        status: number(user.status.code()),
        role: number(user.role.code()),
        profile_picture: user.picture.as_str().to_owned(),
        username: user.username.as_str().to_owned(),
        email: user.email.as_str().to_owned(),
        created_at: Some(time(user.created_at)),
        updated_at: user.updated_at.map(time),
        updated_by: user.updated_by.map(|user| user.to_string()).unwrap_or_default(),
        verified_at: user.verified_at.map(time),
        auth_provider: user.provider.as_ref().map(ToString::to_string).unwrap_or_default(),
        permissions: Vec::new(),
    }
}

fn time(at: Timestamp) -> prost_types::Timestamp {
    let micros = at.micros().rem_euclid(1_000_000);
    prost_types::Timestamp { seconds: at.seconds(), nanos: i32::try_from(micros * 1000).unwrap_or_default() }
}

fn object(metadata: &Metadata) -> Option<Struct> {
    (!metadata.is_empty()).then(|| fields(metadata.as_map()))
}

fn fields(map: &serde_json::Map<String, serde_json::Value>) -> Struct {
    Struct { fields: map.iter().map(|(name, json)| (name.clone(), value(json))).collect() }
}

fn value(json: &serde_json::Value) -> Value {
    let kind = match json {
        serde_json::Value::Null => Kind::NullValue(0),
        serde_json::Value::Bool(yes) => Kind::BoolValue(*yes),
        // The contract knows doubles only.
        serde_json::Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
        serde_json::Value::String(text) => Kind::StringValue(text.clone()),
        serde_json::Value::Array(items) => {
            Kind::ListValue(ListValue { values: items.iter().map(value).collect() })
        }
        serde_json::Value::Object(map) => Kind::StructValue(fields(map)),
    };
    Value { kind: Some(kind) }
}
