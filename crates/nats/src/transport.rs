//! Datagrams between the nodes of a cluster: a subject for each node, nothing kept, so that any nats-server does.
//!
//! Whoever may read these subjects can read the messages of all domains; only nodes can write to them ([`Peers`]).

use std::sync::Arc;

use bytes::Bytes;
use cluster::{Listening, Network, NodeId, Peers, Transport};
use futures_util::{StreamExt as _, future::BoxFuture};
use kernel::{Error, Result};
use tokio::task::JoinHandle;

use crate::Nats;

/// Carries datagrams to the nodes of one cluster. A clone is the same.
#[derive(Debug, Clone)]
pub struct NodeTransport {
    client: async_nats::Client,
    cluster: String,
}

/// Ends with its owner.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Nats {
    /// The way to the nodes of the cluster of this name, which is one token of a subject: letters, digits, `-` and `_`.
    ///
    /// # Errors
    ///
    /// `Invalid` for a name that is no such token.
    pub fn node_transport(&self, cluster: &str) -> Result<NodeTransport> {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if cluster.is_empty() || !cluster.bytes().all(token) {
            return Err(Error::invalid("the name of a cluster has letters, digits, `-` and `_` only"));
        }
        Ok(NodeTransport { client: self.client(), cluster: cluster.to_owned() })
    }
}

impl Network for NodeTransport {
    fn transport(&self) -> Arc<dyn Transport> {
        Arc::new(self.clone())
    }

    fn listen(&self, me: NodeId, peers: Peers) -> BoxFuture<'_, Result<Listening>> {
        Box::pin(async move {
            let mut arriving = self
                .client
                .subscribe(self.subject(me))
                .await
                .map_err(|error| Error::unavailable(format!("cannot listen to other nodes: {error}")))?;
            let task = tokio::spawn(async move {
                while let Some(message) = arriving.next().await {
                    peers.arrived(message.payload);
                }
            });
            Ok(Box::new(Task(task)) as Listening)
        })
    }
}

impl NodeTransport {
    fn subject(&self, node: NodeId) -> String {
        format!("trunkline.{}.{node}", self.cluster)
    }
}

impl Transport for NodeTransport {
    fn send(&self, to: NodeId, datagram: Bytes) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            // The client would keep it, and all that are sent again, until it is connected.
            if self.client.connection_state() != async_nats::connection::State::Connected {
                return;
            }
            if let Err(error) = self.client.publish(self.subject(to), datagram).await {
                tracing::warn!(node = %to, %error, "NATS does not take what is for another node");
            }
        })
    }
}
