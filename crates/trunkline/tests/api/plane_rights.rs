//! Topics and rights as the message plane's gate sees them (reference 05 §2.3 and §3.2).

use db::{both_databases, testing::TestDb};
use messaging::{Action, Credentials, Gate, Identity};
use serde_json::{Value, json};
use trunkline::config::CommonName;
use trunkline::plane::RegistryGate;

use crate::plant::{Caller, Plant};

/// A domain with a route, a channel with one, and a client that may publish there and not subscribe.
struct Scene {
    plant: Plant,
    owner: Caller,
    gate: RegistryGate,
    domain: String,
    channel: String,
    client: String,
}

impl Scene {
    async fn new(db: TestDb) -> Self {
        let plant = Plant::new(db).await;
        let owner = plant.user("owner").await;
        let id = |made: &Value| made["id"].as_str().unwrap().to_owned();
        let domain = owner.post("/domains", json!({"name": "plant", "route": "plant"})).await.expect(201);
        let domain = id(&domain);
        let channel = json!({"name": "boiler", "route": "boiler"});
        let channel = id(&owner.post(&format!("/{domain}/channels"), channel).await.expect(201));
        let client = json!({"credentials": {"secret": "secret"}});
        let client = id(&owner.post(&format!("/{domain}/clients"), client).await.expect(201));
        let connection = json!({"channel_ids": [channel], "client_ids": [client], "types": ["publish"]});
        owner.post(&format!("/{domain}/channels/connect"), connection).await.expect(201);
        let gate = RegistryGate::new(plant.registry.clone(), CommonName::Id);
        Self { plant, owner, gate, domain, channel, client }
    }

    async fn resolves(&self, domain: &str, channel: &str) -> bool {
        let found = self.gate.resolve(domain, channel).await.unwrap();
        let own = (self.domain.parse().unwrap(), self.channel.parse().unwrap());
        assert!(found.is_none_or(|found| found == own), "{domain} {channel}");
        found.is_some()
    }

    async fn device(&self) -> Identity {
        let password = b"secret";
        let credentials = Credentials::Password { user_name: &self.client, password };
        self.gate.authenticate(credentials, [127, 0, 0, 1].into()).await.unwrap()
    }

    async fn user(&self, token: &str) -> Identity {
        let credentials = Credentials::Password { user_name: "", password: token.as_bytes() };
        self.gate.authenticate(credentials, [127, 0, 0, 1].into()).await.unwrap()
    }

    async fn of(&self, caller: &Caller) -> Identity {
        self.user(caller.token.as_ref().unwrap()).await
    }

    /// Whether somebody may publish, and subscribe.
    async fn may(&self, identity: &Identity) -> (bool, bool) {
        let ask = async |action| {
            let (domain, channel) = (self.domain.parse().unwrap(), self.channel.parse().unwrap());
            self.gate.authorize(identity, domain, channel, action).await.unwrap()
        };
        (ask(Action::Publish).await, ask(Action::Subscribe).await)
    }
}

both_databases! {
    async fn a_topic_names_domain_and_channel_by_id_or_by_route_in_small_letters(db: TestDb) {
        let scene = Scene::new(db).await;
        let other = scene.owner.domain("other").await;
        let (domain, channel) = (scene.domain.as_str(), scene.channel.as_str());
        let (upper_domain, upper_channel) = (domain.to_uppercase(), channel.to_uppercase());
        for (domain, channel) in [
            (domain, channel),
            (domain, "boiler"),
            ("plant", channel),
            ("plant", "boiler"),
            ("", channel),
        ] {
            assert!(scene.resolves(domain, channel).await, "{domain} {channel}");
        }
        for (domain, channel) in [
            (other.as_str(), channel),
            (&other, "boiler"),
            ("nowhere", channel),
            ("plant", "nowhere"),
            ("plant", ""),
            ("plant", "a b"),
            ("", "boiler"),
            (channel, channel),
            (&upper_domain, channel),
            (domain, &upper_channel),
            ("", &upper_channel),
        ] {
            assert!(!scene.resolves(domain, channel).await, "{domain} {channel}");
        }
        let health = async |domain: &str| scene.gate.resolve_domain(domain).await.unwrap().map(|id| id.to_string());
        assert_eq!(health("plant").await.as_deref(), Some(domain));
        assert_eq!(health("nowhere").await, None);
    }

    async fn a_client_may_what_it_is_connected_for_while_channel_and_domain_are_open(db: TestDb) {
        let scene = Scene::new(db).await;
        let device = scene.device().await;
        assert_eq!(scene.may(&device).await, (true, false));

        let channel = format!("/{}/channels/{}", scene.domain, scene.channel);
        scene.owner.post(&format!("{channel}/disable"), json!({})).await.expect(200);
        assert_eq!(scene.may(&device).await, (false, false), "a channel that is disabled");
        scene.owner.post(&format!("{channel}/enable"), json!({})).await.expect(200);
        assert_eq!(scene.may(&device).await, (true, false));

        let domain = format!("/domains/{}", scene.domain);
        for closed in ["disable", "freeze"] {
            scene.plant.admin.post(&format!("{domain}/{closed}"), json!({})).await.expect(200);
            assert_eq!(scene.may(&device).await, (false, false), "{closed}");
            scene.plant.admin.post(&format!("{domain}/enable"), json!({})).await.expect(200);
        }
        assert_eq!(scene.may(&device).await, (true, false));
        scene.owner.delete(&channel).await.expect(204);
        assert_eq!(scene.may(&device).await, (false, false));
    }

    async fn a_user_may_what_roles_give_and_a_personal_access_token_what_its_scopes_leave(db: TestDb) {
        let scene = Scene::new(db).await;
        let stranger = scene.plant.user("stranger").await;
        assert_eq!(scene.may(&scene.of(&scene.owner).await).await, (true, true));
        assert_eq!(scene.may(&scene.of(&stranger).await).await, (false, false));
        assert_eq!(scene.may(&scene.of(&scene.plant.admin).await).await, (true, true), "no member of the domain");

        let pat = scene.owner.post("/pats", json!({"name": "reader", "duration": "1d"})).await.expect(201);
        let reader = scene.user(pat["secret"].as_str().unwrap()).await;
        assert_eq!(scene.may(&reader).await, (false, false));
        let scope = json!({"domain_id": scene.domain, "entity_type": "messages", "entity_id": scene.channel,
            "operation": "subscribe"});
        let path = format!("/pats/{}/scope/add", pat["id"].as_str().unwrap());
        scene.owner.patch(&path, json!({"scopes": [scope]})).await.expect(200);
        assert_eq!(scene.may(&reader).await, (false, true));
    }

    async fn administrators_of_the_platform_watch_its_nodes_and_nobody_else(db: TestDb) {
        let scene = Scene::new(db).await;
        let watches = async |identity: Identity| scene.gate.may_watch(&identity).await.unwrap();
        assert!(watches(scene.of(&scene.plant.admin).await).await);
        assert!(!watches(scene.of(&scene.owner).await).await);
        assert!(!watches(scene.device().await).await);
        let pat = scene.plant.admin.post("/pats", json!({"name": "all", "duration": "1d"})).await.expect(201);
        assert!(!watches(scene.user(pat["secret"].as_str().unwrap()).await).await);
    }
}
