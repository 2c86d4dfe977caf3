//! `clients.v1` and `channels.v1`.

use base64::{Engine, prelude::BASE64_STANDARD};
use db::testing::TestDb;
use grpc::pb::{
    channels::v1::{AuthzReq, RemoveClientConnectionsReq},
    clients::v1::{AuthnReq, RemoveChannelConnectionsReq},
    common::v1::{
        AddConnectionsReq, Connection, RemoveConnectionsReq, RetrieveEntitiesReq, RetrieveEntityReq,
        RetrieveIdByRouteReq,
    },
};
use serde_json::{Value, json};
use tonic::Code;

use super::{Grpc, code, refused};
use crate::plant::{Caller, Plant};

const NOBODY: &str = "5f0b4e1c-7c3a-4a8e-9d53-0d8b9f3c2a11";

/// A domain with a client that has this secret, and a channel.
struct Site {
    owner: Caller,
    domain: String,
    client: String,
    channel: String,
}

const SECRET: &str = "se:cret";

impl Site {
    async fn of(owner: Caller, route: &str) -> Self {
        let domain = owner.domain(route).await;
        let body = json!({"name": "pump", "credentials": {"secret": SECRET}});
        let client = owner.post(&format!("/{domain}/clients"), body).await.expect(201);
        let client = client["id"].as_str().unwrap().to_owned();
        let body = json!({"name": "boiler", "route": "boiler"});
        let channel = owner.post(&format!("/{domain}/channels"), body).await.expect(201);
        let channel = channel["id"].as_str().unwrap().to_owned();
        Self { owner, domain, client, channel }
    }

    fn connection(&self, kind: u32) -> Connection {
        Connection {
            client_id: self.client.clone(),
            channel_id: self.channel.clone(),
            domain_id: self.domain.clone(),
            r#type: kind,
        }
    }

    async fn may(&self, grpc: &Grpc, kind: u32) -> bool {
        authorized(grpc, &self.domain, "client", &self.client, &self.channel, kind).await
    }
}

async fn authorized(
    grpc: &Grpc,
    domain: &str,
    client_type: &str,
    client: &str,
    channel: &str,
    kind: u32,
) -> bool {
    let ask = AuthzReq {
        domain_id: domain.to_owned(),
        client_id: client.to_owned(),
        client_type: client_type.to_owned(),
        channel_id: channel.to_owned(),
        r#type: kind,
    };
    match grpc.channels().authorize(ask).await {
        Ok(answer) => answer.into_inner().authorized,
        Err(status) => {
            assert_eq!(status.code(), Code::PermissionDenied, "{status}");
            false
        }
    }
}

fn packed(form: &str, id: &str, secret: &str) -> AuthnReq {
    let token = format!("{form}{}", BASE64_STANDARD.encode(format!("{id}:{secret}")));
    AuthnReq { token, client_secret: String::new() }
}

fn add(connections: &[Connection]) -> AddConnectionsReq {
    AddConnectionsReq { connections: connections.to_vec() }
}

db::both_databases! {
    async fn a_device_is_known_by_each_form_of_its_credentials(db: TestDb) {
        let plant = Plant::new(db).await;
        let (grpc, site) = (Grpc::of(&plant).await, Site::of(plant.admin.clone(), "plant").await);
        let older = |secret: &str| AuthnReq { token: site.client.clone(), client_secret: secret.to_owned() };

        let good = [packed("Basic", &site.client, SECRET), packed("Domain", &site.domain, SECRET), older(SECRET)];
        for ask in &good {
            let known = grpc.clients().authenticate(ask.clone()).await.unwrap().into_inner();
            assert_eq!((known.authenticated, known.id), (true, site.client.clone()));
        }
        for ask in [
            packed("Basic", &site.client, "wrong"),
            packed("Basic", &site.domain, SECRET),
            packed("Domain", &site.client, SECRET),
            packed("Basic", NOBODY, SECRET),
            packed("Basic", &site.client, ""),
            packed("Unknown", &site.client, SECRET),
            packed("", &site.client, SECRET),
            older("wrong"),
        ] {
            assert_eq!(code(grpc.clients().authenticate(ask).await), Code::PermissionDenied);
        }
        let bare = AuthnReq { token: SECRET.to_owned(), client_secret: String::new() };
        assert_eq!(code(grpc.clients().authenticate(bare).await), Code::InvalidArgument);
        site.owner.post(&format!("/{}/clients/{}/disable", site.domain, site.client), Value::Null).await.expect(200);
        for ask in good {
            assert_eq!(code(grpc.clients().authenticate(ask).await), Code::PermissionDenied);
        }
    }

    async fn things_are_told_with_their_place_and_status(db: TestDb) {
        let plant = Plant::new(db).await;
        let (grpc, site) = (Grpc::of(&plant).await, Site::of(plant.admin.clone(), "plant").await);
        let second = site.owner.client(&site.domain, "second").await;
        site.owner.post(&format!("/{}/clients/{second}/disable", site.domain), Value::Null).await.expect(200);
        let id = |id: &str| RetrieveEntityReq { id: id.to_owned() };

        let told = grpc.clients().retrieve_entity(id(&second)).await.unwrap().into_inner().entity.unwrap();
        assert_eq!(
            (told.id, told.domain_id, told.parent_group_id.as_str(), told.status),
            (second.clone(), site.domain.clone(), "", 1)
        );
        let told = grpc.channels().retrieve_entity(id(&site.channel)).await.unwrap().into_inner().entity.unwrap();
        assert_eq!((told.id, told.domain_id, told.status), (site.channel.clone(), site.domain.clone(), 0));
        let all = RetrieveEntitiesReq { ids: vec![second, site.client.clone(), NOBODY.to_owned()] };
        let told = grpc.clients().retrieve_entities(all).await.unwrap().into_inner();
        assert_eq!((told.total, told.entities.len(), &told.entities[0].id), (1, 1, &site.client));
        let none = grpc.clients().retrieve_entities(RetrieveEntitiesReq::default()).await.unwrap().into_inner();
        assert_eq!((none.total, none.entities.len()), (0, 0));

        assert_eq!(code(grpc.clients().retrieve_entity(id(NOBODY)).await), Code::NotFound);
        assert_eq!(code(grpc.channels().retrieve_entity(id(NOBODY)).await), Code::NotFound);
        assert_eq!(code(grpc.channels().retrieve_entity(id("x")).await), Code::InvalidArgument);
        let route = |route: &str, domain: &str| RetrieveIdByRouteReq { route: route.to_owned(), domain_id: domain.to_owned() };
        let found = grpc.channels().retrieve_id_by_route(route("boiler", &site.domain)).await.unwrap().into_inner();
        assert_eq!(found.entity.unwrap().id, site.channel);
        assert_eq!(code(grpc.channels().retrieve_id_by_route(route("boiler", NOBODY)).await), Code::NotFound);
        assert_eq!(
            refused(grpc.channels().retrieve_id_by_route(route("boiler", "")).await),
            (Code::InvalidArgument, "missing domainID".to_owned())
        );
    }

    async fn connections_come_and_go_with_an_event_for_the_message_plane(db: TestDb) {
        let plant = Plant::new(db).await;
        let (grpc, site) = (Grpc::of(&plant).await, Site::of(plant.admin.clone(), "plant").await);
        let both = [site.connection(1), site.connection(2)];
        let event = |operation: &str, kind: &str| (operation.to_owned(), json!({
            "domain": site.domain, "channel_ids": [site.channel], "client_ids": [site.client],
            "types": [kind], "token_type": "service",
        }));
        plant.events().await;

        assert!(grpc.clients().add_connections(add(&both)).await.unwrap().into_inner().ok);
        assert_eq!(plant.events().await, [event("channel.connect", "Publish"), event("channel.connect", "Subscribe")]);
        assert!(site.may(&grpc, 1).await && site.may(&grpc, 2).await);
        assert_eq!(code(grpc.clients().add_connections(add(&both)).await), Code::AlreadyExists);

        let one = RemoveConnectionsReq { connections: vec![site.connection(1)] };
        assert!(grpc.clients().remove_connections(one.clone()).await.unwrap().into_inner().ok);
        grpc.clients().remove_connections(one).await.unwrap();
        assert_eq!(plant.events().await, [event("channel.disconnect", "Publish")]);
        assert!(!site.may(&grpc, 1).await && site.may(&grpc, 2).await);

        let channel = RemoveChannelConnectionsReq { channel_id: site.channel.clone() };
        grpc.clients().remove_channel_connections(channel).await.unwrap();
        assert_eq!(plant.events().await, [event("channel.disconnect", "Subscribe")]);
        grpc.clients().add_connections(add(&both)).await.unwrap();
        let client = RemoveClientConnectionsReq { client_id: site.client.clone() };
        grpc.channels().remove_client_connections(client).await.unwrap();
        assert_eq!(plant.count("connections").await, 0);
    }

    async fn connections_that_are_removed_from_both_ends_at_once_wait_for_no_circle(db: TestDb) {
        let plant = Plant::new(db).await;
        let (grpc, site) = (Grpc::of(&plant).await, Site::of(plant.admin.clone(), "plant").await);
        let (mut clients, mut channels) = (Vec::new(), Vec::new());
        for n in 0..6 {
            clients.push(site.owner.client(&site.domain, &format!("c{n}")).await);
            channels.push(site.owner.channel(&site.domain, &format!("h{n}")).await);
        }
        for _ in 0..4 {
            let all = json!({"client_ids": clients, "channel_ids": channels, "types": ["publish", "subscribe"]});
            site.owner.post(&format!("/{}/channels/connect", site.domain), all).await.expect(201);
            let mut tasks = Vec::new();
            for (client, channel) in clients.iter().zip(channels.iter().rev()) {
                let (mut of_channel, mut of_client) = (grpc.clients(), grpc.channels());
                let channel = RemoveChannelConnectionsReq { channel_id: channel.clone() };
                let client = RemoveClientConnectionsReq { client_id: client.clone() };
                tasks.push(tokio::spawn(async move { of_channel.remove_channel_connections(channel).await.map(drop) }));
                tasks.push(tokio::spawn(async move { of_client.remove_client_connections(client).await.map(drop) }));
            }
            let gone = clients.pop().unwrap();
            site.owner.delete(&format!("/{}/clients/{gone}", site.domain)).await.expect(204);
            for task in tasks {
                task.await.unwrap().unwrap();
            }
            assert_eq!(plant.count("connections").await, 0);
        }
    }

    async fn a_connection_across_domains_or_of_no_type_is_refused_with_all_that_came_along(db: TestDb) {
        let plant = Plant::new(db).await;
        let (grpc, site) = (Grpc::of(&plant).await, Site::of(plant.admin.clone(), "plant").await);
        let foreign = Site::of(plant.user("bob").await, "foreign").await;
        let across = Connection { channel_id: foreign.channel.clone(), ..site.connection(1) };
        for (connections, expected) in [
            (vec![site.connection(1), across], Code::NotFound),
            (vec![Connection { domain_id: foreign.domain.clone(), ..site.connection(1) }], Code::NotFound),
            (vec![site.connection(1), site.connection(3)], Code::InvalidArgument),
            (Vec::new(), Code::InvalidArgument),
        ] {
            assert_eq!(code(grpc.clients().add_connections(add(&connections)).await), expected);
        }
        assert_eq!(plant.count("connections").await, 0);
    }

    async fn messages_pass_for_members_and_connected_devices_while_all_is_enabled(db: TestDb) {
        let plant = Plant::new(db).await;
        let (owner, other) = (plant.user("ada").await, plant.user("bob").await);
        let (grpc, site) = (Grpc::of(&plant).await, Site::of(owner, "plant").await);
        grpc.clients().add_connections(add(&[site.connection(1)])).await.unwrap();
        let user = |id: &str| format!("{}_{id}", site.domain);
        let may = |client: String| {
            let (grpc, site) = (&grpc, &site);
            async move { authorized(grpc, &site.domain, "user", &client, &site.channel, 1).await }
        };

        assert!(site.may(&grpc, 1).await && !site.may(&grpc, 2).await);
        assert!(may(user(&site.owner.id)).await && may(plant.admin.id.clone()).await);
        assert!(!may(user(&other.id)).await && !may(other.id.clone()).await);
        assert!(!may(format!("{NOBODY}_{}", site.owner.id)).await, "a member of another domain");
        assert!(!authorized(&grpc, "", "client", &site.client, &site.channel, 1).await);

        let ask = |client_type: &str, domain: &str, kind| AuthzReq {
            domain_id: domain.to_owned(), client_id: site.client.clone(), client_type: client_type.to_owned(),
            channel_id: site.channel.clone(), r#type: kind,
        };
        assert_eq!(code(grpc.channels().authorize(ask("robot", &site.domain, 1)).await), Code::Unauthenticated);
        assert_eq!(code(grpc.channels().authorize(ask("client", &site.domain, 0)).await), Code::InvalidArgument);
        assert_eq!(code(grpc.channels().authorize(ask("user", "", 1)).await), Code::InvalidArgument);

        plant.admin.post(&format!("/users/{}/disable", site.owner.id), Value::Null).await.expect(200);
        assert!(!may(user(&site.owner.id)).await, "a disabled user");
        let path = format!("/{}/channels/{}", site.domain, site.channel);
        plant.admin.post(&format!("{path}/disable"), Value::Null).await.expect(200);
        assert!(!site.may(&grpc, 1).await, "a disabled channel");
        plant.admin.post(&format!("{path}/enable"), Value::Null).await.expect(200);
        assert!(site.may(&grpc, 1).await);
        plant.admin.post(&format!("/domains/{}/freeze", site.domain), Value::Null).await.expect(200);
        assert!(!site.may(&grpc, 1).await, "a frozen domain");
    }
}
