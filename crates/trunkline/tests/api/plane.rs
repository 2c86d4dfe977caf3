//! Credentials as the message plane looks at them.

use std::net::IpAddr;

use db::{both_databases, testing::TestDb};
use kernel::{Kind, Status};
use messaging::{Credentials, Gate};
use serde_json::json;
use trunkline::config::CommonName;
use trunkline::plane::RegistryGate;

use crate::plant::{LATER, Plant};

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn gate(plant: &Plant) -> RegistryGate {
    RegistryGate::new(plant.registry.clone(), CommonName::Id)
}

async fn try_with(gate: &RegistryGate, user_name: &str, password: &str, peer: IpAddr) -> Result<(), Kind> {
    let credentials = Credentials::Password { user_name, password: password.as_bytes() };
    gate.authenticate(credentials, peer).await.map(drop).map_err(|error| error.kind())
}

async fn made(plant: &Plant, domain: &str, secret: &str) -> String {
    let body = json!({"credentials": {"secret": secret}});
    plant.admin.post(&format!("/{domain}/clients"), body).await.expect(201)["id"].as_str().unwrap().to_owned()
}

both_databases! {
    async fn a_secret_cannot_be_guessed_in_bulk(db: TestDb) {
        let plant = Plant::new(db).await;
        let domain = plant.admin.domain("one").await;
        let (victim, neighbour) = (made(&plant, &domain, "right").await, made(&plant, &domain, "other").await);
        let gate = gate(&plant);
        for guess in 0..10 {
            let guess = format!("guess-{guess}");
            assert_eq!(try_with(&gate, &victim, &guess, HERE).await, Err(Kind::Unauthenticated));
        }
        assert_eq!(try_with(&gate, &victim, "right", HERE).await, Err(Kind::Limited));
        assert_eq!(try_with(&gate, &victim, "right", IpAddr::from([192, 0, 2, 1])).await, Ok(()));
        assert_eq!(try_with(&gate, &neighbour, "other", HERE).await, Ok(()));
        plant.clock.advance(LATER);
        assert_eq!(try_with(&gate, &victim, "right", HERE).await, Ok(()));
    }

    async fn nobody_is_locked_out_by_a_client_that_has_his_id(db: TestDb) {
        let plant = Plant::new(db).await;
        let (victim, eve) = (plant.user("victim").await, plant.user("eve").await);
        let domain = eve.domain("eve").await;
        let body = json!({"id": victim.id, "credentials": {"secret": "right"}});
        eve.post(&format!("/{domain}/clients"), body).await.expect(201);
        let gate = gate(&plant);
        for _ in 0..10 {
            assert_eq!(try_with(&gate, &victim.id, "guess", HERE).await, Err(Kind::Unauthenticated));
        }
        assert_eq!(try_with(&gate, &victim.id, "right", HERE).await, Err(Kind::Limited));
        plant.nobody().logged_in("victim").await;
    }

    async fn a_fleet_behind_one_address_with_right_secrets_is_never_held_up(db: TestDb) {
        let plant = Plant::new(db).await;
        let domain = plant.admin.domain("one").await;
        let device = made(&plant, &domain, "right").await;
        let gate = std::sync::Arc::new(gate(&plant));
        // More at once than either limit would let fail.
        let fleet: Vec<_> = (0..1200)
            .map(|_| {
                let (gate, device) = (std::sync::Arc::clone(&gate), device.clone());
                tokio::spawn(async move { try_with(&gate, &device, "right", HERE).await })
            })
            .collect();
        for one in fleet {
            assert_eq!(one.await.unwrap(), Ok(()));
        }
    }

    async fn the_secret_of_a_disabled_client_is_no_wrong_guess(db: TestDb) {
        let plant = Plant::new(db).await;
        let domain = plant.admin.domain("one").await;
        let device = made(&plant, &domain, "right").await;
        plant.admin.post(&format!("/{domain}/clients/{device}/disable"), json!({})).await.expect(200);
        let gate = gate(&plant);
        for _ in 0..20 {
            assert_eq!(try_with(&gate, &device, "right", HERE).await, Err(Kind::Denied));
        }
    }

    async fn a_secret_that_is_proven_and_not_shown_is_the_clients_own_as_it_is_now(db: TestDb) {
        let plant = Plant::new(db).await;
        let domain = plant.admin.domain("one").await;
        let (client, other) = (made(&plant, &domain, "first").await, made(&plant, &domain, "other").await);
        let shared = async |client: &str| {
            let found = plant.registry.clients.shared_secret(client.parse().unwrap()).await.unwrap();
            found.map(|(whose, secret)| {
                assert_eq!((whose.id.to_string(), whose.domain.to_string()), (client.to_owned(), domain.clone()));
                (secret.expose().clone(), whose.status)
            })
        };
        assert_eq!(shared(&client).await, Some(("first".to_owned(), Status::Enabled)));
        assert_eq!(shared(&other).await, Some(("other".to_owned(), Status::Enabled)));
        let path = format!("/{domain}/clients/{client}");
        plant.admin.patch(&format!("{path}/secret"), json!({"secret": "second"})).await.expect(200);
        assert_eq!(shared(&client).await, Some(("second".to_owned(), Status::Enabled)));
        plant.admin.post(&format!("{path}/disable"), json!({})).await.expect(200);
        assert_eq!(shared(&client).await, Some(("second".to_owned(), Status::Disabled)));
        plant.admin.delete(&path).await.expect(204);
        assert_eq!(shared(&client).await, None);
        assert_eq!(shared(&domain).await, None);
    }
    async fn a_route_leads_to_the_channel_that_has_it_now_and_to_none_when_it_is_gone(db: TestDb) {
        let plant = Plant::new(db).await;
        let domain = plant.admin.domain("plant").await;
        let gate = gate(&plant);
        let led_to = async |domain: &str, route: &str| {
            gate.resolve(domain, route).await.unwrap().map(|(_, channel)| channel.to_string())
        };
        let path = format!("/{domain}/channels");
        let body = json!({"name": "kiln", "route": "kiln"});
        let mut before = None;
        for _ in 0..2 {
            assert_eq!(led_to(&domain, "kiln").await, None);
            let made = plant.admin.post(&path, body.clone()).await.expect(201)["id"].as_str().unwrap().to_owned();
            assert_ne!(Some(&made), before.as_ref());
            for way in [domain.as_str(), "plant"] {
                assert_eq!(led_to(way, "kiln").await, Some(made.clone()), "by `{way}`");
                assert_eq!(led_to(way, &made).await, Some(made.clone()), "by `{way}`");
            }
            plant.admin.delete(&format!("{path}/{made}")).await.expect(204);
            before = Some(made);
        }
        assert_eq!(led_to("plant", &before.unwrap()).await, None);
    }
}
