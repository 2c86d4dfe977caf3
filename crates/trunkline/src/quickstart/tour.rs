//! The steps of the tour.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::Context;
use kernel::{DomainId, Rng, Secret};
use sdk::{
    Api, Channel, Channels, Client, Clients, ConnectionType, Connections, Credentials, Domain, NewChannel,
    NewClient, NewDomain, Query, Registry,
};
use serde_json::json;

use super::narrator::{Curl, Narrator, quoted};
use crate::device::{Device, Endpoint, Reply};

/// How soon a right must end that was taken away, also on an open connection.
const REVOCATION: Duration = Duration::from_secs(1);

/// What the temperature sensor of the tour sends (SenML, RFC 8428).
const MEASUREMENT: &str = r#"[{"bn":"sensor:","n":"temperature","u":"Cel","v":21.5}]"#;

/// Sees that there is a platform at `url`, before anyone types a password.
pub(super) async fn greet<W: Write>(narrator: &mut Narrator<W>, api: &Api, url: &str) -> anyhow::Result<()> {
    narrator.say("A tour of Trunkline. Each step shows the command that does the same by hand.")?;
    narrator.step("Is it there?")?;
    narrator.command(&Curl::new("GET", &format!("{url}/health")).text())?;
    let health = api.health().await.context("start the platform with `make run` or `trunkline serve`")?;
    Ok(narrator.answer(&format!("status {}, version {}", health.status, health.version))?)
}

/// One tour.
pub(super) struct Tour<'a, W> {
    pub(super) narrator: &'a mut Narrator<W>,
    pub(super) url: &'a str,
    pub(super) mqtt: &'a Endpoint,
}

/// What the first half of the tour makes and the second half uses.
struct Plant {
    domain: Domain,
    sensor: Client,
    dashboard: Client,
    channel: Channel,
}

impl Plant {
    /// The topic of the temperatures, with routes in place of ids.
    fn topic(&self) -> String {
        let route = |route: &Option<String>, id: String| route.clone().unwrap_or(id);
        let domain = route(&self.domain.route, self.domain.id.to_string());
        let channel = route(&self.channel.route, self.channel.id.to_string());
        format!("m/{domain}/c/{channel}/temperature")
    }
}

/// The secret that a new client was answered with.
fn secret(client: &Client) -> anyhow::Result<&Secret<String>> {
    client.credentials.secret.as_ref().context("the platform does not show the secret of the new client")
}

impl<W: Write> Tour<'_, W> {
    pub(super) async fn take(
        mut self,
        api: Api,
        username: &str,
        password: &Secret<String>,
    ) -> anyhow::Result<()> {
        let api = self.log_in(api, username, password).await?;
        // Another route for each tour, since a route is taken for ever.
        let suffix = Rng::system().uuid().simple().to_string();
        let plant = self.register(&api, suffix.get(..6).unwrap_or_default()).await?;
        self.look(&api, &plant).await?;
        self.exchange(&api, &plant).await?;
        self.refuse(&plant).await?;
        self.revoke(&api, &plant).await?;
        self.delete(&api, plant.domain.id).await?;
        self.farewell(&plant)
    }

    async fn log_in(&mut self, api: Api, username: &str, password: &Secret<String>) -> anyhow::Result<Api> {
        self.narrator.step("Log in. The tour writes $PASSWORD for your password.")?;
        let body = format!(
            "{}\"$PASSWORD\"{}",
            quoted(&format!("{{\"username\":{},\"password\":\"", json!(username))),
            quoted("\"}"),
        );
        let curl = Curl::new("POST", &self.at("/users/tokens/issue"))
            .header("Content-Type: application/json")
            .quoted_data(body);
        let field = |name: &str| format!(r#"$(echo "$PAIR" | sed 's/.*"{name}":"\([^"]*\)".*/\1/')"#);
        self.narrator.command(&format!("PAIR=$({})", curl.text()))?;
        let (access, refresh) = (field("access_token"), field("refresh_token"));
        self.narrator.command(&format!("TOKEN={access} REFRESH_TOKEN={refresh}"))?;
        let pair = api.tokens().issue(username, password).await.context("the login is refused")?;
        self.narrator
            .answer("an access token, which is in $TOKEN now, and a refresh token in $REFRESH_TOKEN")?;

        self.narrator.step("Later, the refresh token gets another pair")?;
        let refresh = Curl::new("POST", &self.at("/users/tokens/refresh")).with_token_in("REFRESH_TOKEN");
        self.narrator.command(&refresh.header("Content-Type: application/json").text())?;
        let pair = api.tokens().refresh(&pair.refresh_token).await?;
        self.narrator.answer("another access token")?;
        Ok(api.with_token(pair.access_token))
    }

    async fn register(&mut self, api: &Api, suffix: &str) -> anyhow::Result<Plant> {
        let route = format!("plant-{suffix}");
        self.narrator.step("Create a domain: the space of one customer or one plant")?;
        self.post("/domains", &json!({"name": "Plant", "route": route}))?;
        let domain = api.domains().create(&NewDomain::named("Plant", &route)).await?;
        self.narrator.answer(&format!("domain {} with the route {route}", domain.id))?;

        let clients = api.clients(domain.id);
        let path = format!("/{}/clients", domain.id);
        self.narrator.step("Create a client for a device; the platform makes its secret")?;
        self.post(&path, &json!({"name": "sensor"}))?;
        let sensor = clients.create(&NewClient::named("sensor")).await?;
        self.narrator.answer(&format!(
            "client {} with the secret {}",
            sensor.id,
            secret(&sensor)?.expose()
        ))?;

        self.narrator.step("Create another for an application, with a secret of your own")?;
        let own = format!("dashboard-{suffix}");
        self.post(&path, &json!({"name": "dashboard", "credentials": {"secret": own}}))?;
        let credentials = Credentials { identity: String::new(), secret: Some(Secret::new(own)) };
        let dashboard = clients.create(&NewClient { credentials, ..NewClient::named("dashboard") }).await?;
        self.narrator.answer(&format!("client {}", dashboard.id))?;

        self.narrator.step("Create a channel for the readings")?;
        self.post(&format!("/{}/channels", domain.id), &json!({"name": "Readings", "route": "readings"}))?;
        let new = NewChannel { route: Some("readings".to_owned()), ..NewChannel::named("Readings") };
        let channel = api.channels(domain.id).create(&new).await?;
        self.narrator.answer(&format!("channel {} with the route readings", channel.id))?;

        let plant = Plant { domain, sensor, dashboard, channel };
        self.connect(&api.channels(plant.domain.id), &plant).await?;
        Ok(plant)
    }

    async fn connect(&mut self, channels: &Registry<'_, Channels>, plant: &Plant) -> anyhow::Result<()> {
        self.narrator.step("Connect them: the sensor may publish, the dashboard may subscribe")?;
        for (client, kind) in
            [(&plant.sensor, ConnectionType::Publish), (&plant.dashboard, ConnectionType::Subscribe)]
        {
            let connections = Connections {
                channel_ids: vec![plant.channel.id],
                client_ids: vec![client.id],
                types: vec![kind],
            };
            self.post(&format!("/{}/channels/connect", plant.domain.id), &json!(connections))?;
            channels.connect(&connections).await?;
            self.narrator.answer("connected")?;
        }
        Ok(())
    }

    async fn look(&mut self, api: &Api, plant: &Plant) -> anyhow::Result<()> {
        self.narrator.step("List the clients, and view one")?;
        let path = format!("/{}/clients", plant.domain.id);
        self.narrator.command(
            &Curl::new("GET", &self.at(&format!("{path}?order=name&dir=asc"))).with_token().text(),
        )?;
        let query = Query { order: Some("name".to_owned()), dir: Some("asc".to_owned()), ..Query::default() };
        let page = api.clients(plant.domain.id).list(&query).await?;
        let names: Vec<&str> = page.items.iter().map(|client| client.name.as_str()).collect();
        self.narrator.answer(&format!("{} clients: {}", page.total, names.join(", ")))?;

        self.narrator.command(
            &Curl::new("GET", &self.at(&format!("{path}/{}", plant.sensor.id))).with_token().text(),
        )?;
        let sensor = api.clients(plant.domain.id).view(plant.sensor.id).await?;
        Ok(self.narrator.answer(&format!("{}, {}", sensor.name, sensor.status.word()))?)
    }

    async fn exchange(&mut self, api: &Api, plant: &Plant) -> anyhow::Result<()> {
        let topic = plant.topic();
        self.narrator.step("The dashboard subscribes (leave this running in another terminal)")?;
        self.narrator.command(&self.mosquitto(
            "mosquitto_sub -v",
            &plant.dashboard,
            &format!("-t {topic}"),
        )?)?;
        let mut dashboard = self.device(&plant.dashboard).await?;
        granted(dashboard.subscribe(&topic).await?)?;
        self.narrator.answer("subscribed")?;

        self.narrator.step("The sensor publishes over MQTT")?;
        let message = format!("-t {topic} -m {}", quoted(MEASUREMENT));
        self.narrator.command(&self.mosquitto("mosquitto_pub -V 5 -q 1", &plant.sensor, &message)?)?;
        let mut sensor = self.device(&plant.sensor).await?;
        granted(sensor.publish(&topic, MEASUREMENT).await?)?;
        self.arrives(&mut dashboard).await?;

        self.narrator.step("The same over HTTP")?;
        let curl = Curl::new("POST", &self.at(&format!("/{topic}")))
            .header("Content-Type: application/senml+json")
            .header(&format!("Authorization: Client {}", secret(&plant.sensor)?.expose()))
            .data(MEASUREMENT);
        self.narrator.command(&curl.text())?;
        let (domain, channel) = (plant.domain.id, plant.channel.id);
        let content = ("application/senml+json", MEASUREMENT.as_bytes().to_vec());
        api.messages()
            .publish(domain, channel, "temperature", secret(&plant.sensor)?, content.0, content.1)
            .await?;
        self.arrives(&mut dashboard).await
    }

    async fn arrives(&mut self, dashboard: &mut Device) -> anyhow::Result<()> {
        let (topic, payload) = dashboard.message().await?;
        anyhow::ensure!(payload == MEASUREMENT, "the dashboard got `{payload}` instead of `{MEASUREMENT}`");
        Ok(self.narrator.answer(&format!("the dashboard got {topic} {payload}"))?)
    }

    async fn refuse(&mut self, plant: &Plant) -> anyhow::Result<()> {
        self.narrator.step("The dashboard may not publish")?;
        let topic = plant.topic();
        let message = format!("-t {topic} -m {}", quoted(MEASUREMENT));
        self.narrator.command(&self.mosquitto("mosquitto_pub -V 5 -q 1", &plant.dashboard, &message)?)?;
        let mut dashboard = self.device(&plant.dashboard).await?;
        match dashboard.publish(&topic, MEASUREMENT).await? {
            Err(code) => Ok(self.narrator.answer(&format!("refused: {code}"))?),
            Ok(()) => anyhow::bail!("the platform accepts a message that it must refuse"),
        }
    }

    async fn revoke(&mut self, api: &Api, plant: &Plant) -> anyhow::Result<()> {
        self.narrator.step("Disable the sensor: its open connection ends, and it cannot come back")?;
        let clients = api.clients(plant.domain.id);
        let mut sensor = self.device(&plant.sensor).await?;
        self.switch(plant, "disable")?;
        clients.disable(plant.sensor.id).await?;
        let disabled = Instant::now();
        sensor.ended().await?;
        let took = disabled.elapsed();
        anyhow::ensure!(took <= REVOCATION, "the connection lived on for {took:?}");
        let back = Device::connect(self.mqtt, &plant.sensor.id.to_string(), secret(&plant.sensor)?).await?;
        let Err(code) = back else { anyhow::bail!("a disabled client can connect") };
        self.narrator
            .answer(&format!("closed after {} ms; a new connection is refused: {code}", took.as_millis()))?;

        self.narrator.step("Enable it again")?;
        self.switch(plant, "enable")?;
        clients.enable(plant.sensor.id).await?;
        self.device(&plant.sensor).await?;
        Ok(self.narrator.answer("it connects")?)
    }

    fn switch(&mut self, plant: &Plant, verb: &str) -> anyhow::Result<()> {
        let path = format!("/{}/clients/{}/{verb}", plant.domain.id, plant.sensor.id);
        Ok(self.narrator.command(&Curl::new("POST", &self.at(&path)).with_token().text())?)
    }

    async fn delete(&mut self, api: &Api, domain: DomainId) -> anyhow::Result<()> {
        self.narrator.step("Delete a client that is not needed any more")?;
        let clients: Registry<'_, Clients> = api.clients(domain);
        self.post(&format!("/{domain}/clients"), &json!({"name": "old sensor"}))?;
        let old = clients.create(&NewClient::named("old sensor")).await?;
        self.narrator.answer(&format!("client {}", old.id))?;
        let url = self.at(&format!("/{domain}/clients/{}", old.id));
        self.narrator.command(&Curl::new("DELETE", &url).with_token().text())?;
        clients.delete(old.id).await?;
        self.narrator.answer("deleted")?;
        self.narrator.command(&Curl::new("GET", &url).with_token().text())?;
        match clients.view(old.id).await {
            Err(error) if error.status().is_some() => Ok(self.narrator.answer(&error.to_string())?),
            Err(error) => Err(error.into()),
            Ok(_) => anyhow::bail!("a deleted client can be viewed"),
        }
    }

    fn farewell(&mut self, plant: &Plant) -> anyhow::Result<()> {
        let route = plant.domain.route.as_deref().unwrap_or_default();
        let url = self.url;
        self.narrator.say(&format!(
            "\nAll of it works. The domain {route} stays, so that you can go on with the commands above.\n\n\
             What to do next:\n\
             \x20 - read the whole API at {url}/docs\n\
             \x20 - connect a device of your own with an id and a secret as in the steps above\n\
             \x20 - see all settings with `trunkline config show`"
        ))?;
        Ok(())
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    fn post(&mut self, path: &str, body: &serde_json::Value) -> anyhow::Result<()> {
        let curl = Curl::new("POST", &self.at(path)).with_token().json(body);
        Ok(self.narrator.command(&curl.text())?)
    }

    /// The command line of Mosquitto's clients for a client.
    fn mosquitto(&self, program: &str, client: &Client, rest: &str) -> anyhow::Result<String> {
        let Endpoint { host, port } = self.mqtt;
        let secret = quoted(secret(client)?.expose());
        Ok(format!("{program} -h {host} -p {port} -u {} -P {secret} \\\n  {rest}", client.id))
    }

    async fn device(&self, client: &Client) -> anyhow::Result<Device> {
        granted(Device::connect(self.mqtt, &client.id.to_string(), secret(client)?).await?)
    }
}

/// What must not be refused at this point of the tour.
fn granted<T>(reply: Reply<T>) -> anyhow::Result<T> {
    reply.map_err(|code| anyhow::anyhow!("MQTT refuses what it must allow: {code}"))
}
