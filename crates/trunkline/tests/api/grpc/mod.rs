//! gRPC over real sockets, with the generated client.

mod auth;
mod certs;
mod clients;
mod groups;
mod purposes;
mod standalone;
mod suspended;
mod tokens;

use grpc::{
    Listener, ListenerOptions,
    pb::{
        absmach::certs::certs_service_client::CertsServiceClient,
        auth::v1::auth_service_client::AuthServiceClient,
        channels::v1::channels_service_client::ChannelsServiceClient,
        clients::v1::clients_service_client::ClientsServiceClient,
        domains::v1::domains_service_client::DomainsServiceClient,
        groups::v1::groups_service_client::GroupsServiceClient,
        token::v1::token_service_client::TokenServiceClient,
        users::v1::users_service_client::UsersServiceClient,
    },
};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Code, Response, Status, transport::Channel};

use crate::plant::Plant;

/// A connection to the gRPC services of a platform, which end with it.
struct Grpc {
    channel: Channel,
    _serving: DropGuard,
}

impl Grpc {
    async fn of(plant: &Plant) -> Self {
        let address = "127.0.0.1:0".parse().unwrap();
        let listener = Listener::bind(address, ListenerOptions::default()).await.unwrap();
        let url = format!("http://{}", listener.local_addr());
        let shutdown = CancellationToken::new();
        tokio::spawn(listener.serve(plant.registry.grpc(), shutdown.clone()));
        let channel = Channel::from_shared(url).unwrap().connect().await.unwrap();
        Self { channel, _serving: shutdown.drop_guard() }
    }

    fn auth(&self) -> AuthServiceClient<Channel> {
        AuthServiceClient::new(self.channel.clone())
    }

    fn tokens(&self) -> TokenServiceClient<Channel> {
        TokenServiceClient::new(self.channel.clone())
    }

    fn users(&self) -> UsersServiceClient<Channel> {
        UsersServiceClient::new(self.channel.clone())
    }

    fn domains(&self) -> DomainsServiceClient<Channel> {
        DomainsServiceClient::new(self.channel.clone())
    }

    fn certs(&self) -> CertsServiceClient<Channel> {
        CertsServiceClient::new(self.channel.clone())
    }

    fn groups(&self) -> GroupsServiceClient<Channel> {
        GroupsServiceClient::new(self.channel.clone())
    }

    fn clients(&self) -> ClientsServiceClient<Channel> {
        ClientsServiceClient::new(self.channel.clone())
    }

    fn channels(&self) -> ChannelsServiceClient<Channel> {
        ChannelsServiceClient::new(self.channel.clone())
    }
}

/// The code and the message of a refusal.
#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<Response<T>, Status>) -> (Code, String) {
    let status = answer.unwrap_err();
    (status.code(), status.message().to_owned())
}

/// The code of a refusal.
#[track_caller]
fn code<T: std::fmt::Debug>(answer: Result<Response<T>, Status>) -> Code {
    refused(answer).0
}
