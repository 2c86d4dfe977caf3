//! What the device was given, in the forms of all generations of agents (reference 04 §5.1).

use anyhow::{Context, anyhow};
use bootstrap::Cipher;
use kernel::Secret;
use sdk::{Api, DeviceConfig};
use serde_json::Value;

use super::AgentArgs;

/// What it takes to be the device.
#[derive(Debug)]
pub(super) struct Configuration {
    pub(super) client: String,
    pub(super) secret: Option<Secret<String>>,
    /// Certificate with those above it, and private key: PEM.
    pub(super) certificate: Option<(String, Secret<String>)>,
    /// The authorities that came along: PEM.
    pub(super) authorities: String,
    /// Address of MQTT.
    pub(super) mqtt: Option<String>,
    /// Whether it says that MQTT is spoken without a certificate.
    pub(super) without_tls: bool,
    /// Where measurements go.
    pub(super) telemetry: String,
    /// Where commands come from, and where the answers go.
    pub(super) requests: String,
    pub(super) answers: String,
}

/// Fetches it, plain or encrypted. The inner error says why the platform gives nothing to this device.
pub(super) async fn fetch(
    api: &Api,
    args: &AgentArgs,
    key: &Secret<String>,
) -> anyhow::Result<Result<Configuration, String>> {
    let fetched = match &args.encrypt_key {
        None => api.devices().fetch(&args.external_id, key).await,
        Some(shared) => fetch_secure(api, &args.external_id, key, shared).await?,
    };
    match fetched {
        Ok(device) => {
            super::say("the configuration has come")?;
            Configuration::of(device, args.domain.as_deref()).map(Ok)
        }
        Err(sdk::Error::Refused { status: 400..=428 | 430..=499, message, .. }) => {
            Ok(Err(format!("{message} (fetching the configuration)")))
        }
        Err(error) => Err(error).context("the configuration cannot be fetched"),
    }
}

async fn fetch_secure(
    api: &Api,
    external_id: &str,
    key: &Secret<String>,
    shared: &str,
) -> anyhow::Result<sdk::Result<DeviceConfig>> {
    let cipher = Cipher::new(Secret::new(shared.as_bytes().to_vec()))?;
    let digits: String =
        cipher.encrypt(key.expose().as_bytes())?.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(match api.devices().fetch_secure(external_id, &Secret::new(digits)).await {
        Ok(encrypted) => {
            let plain = cipher.decrypt(&encrypted)?;
            Ok(serde_json::from_slice(plain.expose()).map_err(|_| {
                anyhow!("what came cannot be decrypted, is the key of --encrypt-key the platform's?")
            })?)
        }
        Err(error) => Err(error),
    })
}

impl Configuration {
    fn of(device: DeviceConfig, domain: Option<&str>) -> anyhow::Result<Self> {
        let content = match device.content.trim() {
            "" => Value::Null,
            text => serde_json::from_str(text).context("the content of the configuration is no JSON")?,
        };
        let at = |pointers: &[&str]| {
            let found = pointers.iter().find_map(|pointer| content.pointer(pointer)?.as_str());
            found.filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let client =
            at(&["/mqtt/client_id", "/mqtt/username"]).or_else(|| device.client_id.map(|id| id.to_string()));
        let secret = at(&["/mqtt/secret", "/mqtt/password"]).map(Secret::new).or(device.client_secret);
        let of_type = |kind: &str| {
            let of = |channel: &&sdk::ConfigChannel| {
                channel.metadata.as_map().get("type").is_some_and(|is| is == kind)
            };
            device.channels.iter().find(of)
        };
        let (first, last) = (device.channels.first(), device.channels.get(1).or(device.channels.first()));
        let id = |channel: &sdk::ConfigChannel| channel.id.to_string();
        let commands = at(&["/commands/channel_id", "/channels/ctrl_id"]);
        let commands = commands.or_else(|| of_type("control").or(first).map(id));
        let telemetry = at(&["/telemetry/channel_id", "/channels/data_id"]);
        let telemetry = telemetry.or_else(|| of_type("data").or(last).map(id));
        let (Some(client), Some(commands), Some(telemetry)) = (client, commands, telemetry) else {
            return Err(anyhow!(
                "the configuration names no client or no channels, so there is nothing to do"
            ));
        };
        let domain = domain.map(str::to_owned).or_else(|| at(&["/domain_id"]));
        let topic = |channel: &str, below: &str| match &domain {
            Some(domain) => format!("m/{domain}/c/{channel}/{below}"),
            None => format!("channels/{channel}/messages/{below}"),
        };
        let certificate = device.client_cert.filter(|pem| !pem.is_empty()).zip(device.client_key);
        let authorities = device.ca_cert.unwrap_or_default();
        Ok(Self {
            client,
            secret,
            // Whoever looks at it may know nothing but the root.
            certificate: certificate.map(|(pem, key)| (format!("{pem}\n{authorities}"), key)),
            authorities,
            mqtt: at(&["/mqtt/url", "/agent/mqtt/url"]),
            without_tls: content.pointer("/agent/mqtt/mtls") == Some(&Value::Bool(false)),
            telemetry: topic(&telemetry, "gateway/telemetry"),
            requests: topic(&commands, "req"),
            answers: topic(&commands, "res"),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const CLIENT: &str = "1b6a8c0e-0a5d-4a51-8b0f-6f2f7c1a9d22";
    const CONTROL: &str = "5d0e6f6a-3a44-4f0a-9c40-4b1d9a8e7c33";
    const DATA: &str = "6d0e6f6a-3a44-4f0a-9c40-4b1d9a8e7c33";

    fn of(device: Value, domain: Option<&str>) -> anyhow::Result<Configuration> {
        Configuration::of(serde_json::from_value(device).unwrap(), domain)
    }

    #[test]
    fn a_configuration_that_knows_its_client_says_all_by_itself() {
        let device = json!({
            "client_id": CLIENT, "client_secret": "s", "content": "null",
            "channels": [{"id": DATA, "metadata": {"type": "data"}}, {"id": CONTROL, "metadata": {"type": "control"}}],
        });
        let known = of(device.clone(), None).unwrap();
        assert_eq!((&*known.client, known.secret.as_ref().unwrap().expose().as_str()), (CLIENT, "s"));
        assert_eq!(known.telemetry, format!("channels/{DATA}/messages/gateway/telemetry"));
        assert_eq!(known.requests, format!("channels/{CONTROL}/messages/req"));
        let known = of(device, Some("plant")).unwrap();
        assert_eq!(known.answers, format!("m/plant/c/{CONTROL}/res"));
    }

    #[test]
    fn without_types_the_first_channel_is_for_commands_and_the_second_for_data() {
        let device = json!({"client_id": CLIENT, "client_secret": "s", "channels": [{"id": CONTROL}, {"id": DATA}],
            "content": r#"{"agent":{"mqtt":{"url":"localhost:1883","mtls":false}}}"#});
        let known = of(device, None).unwrap();
        assert!(known.requests.contains(CONTROL) && known.telemetry.contains(DATA), "{known:?}");
        assert_eq!((known.mqtt.as_deref(), known.without_tls), (Some("localhost:1883"), true));
    }

    #[test]
    fn a_rendered_profile_says_it_in_its_content() {
        let content = json!({
            "device_id": "d", "domain_id": "dom", "mqtt": {"url": "ssl://h:8883", "username": "u", "password": "p"},
            "telemetry": {"channel_id": "t"}, "commands": {"channel_id": "c"},
        });
        let known = of(
            json!({"content": content.to_string(), "client_cert": "C", "client_key": "K", "ca_cert": "A"}),
            None,
        );
        let known = known.unwrap();
        assert_eq!((&*known.client, &*known.telemetry), ("u", "m/dom/c/t/gateway/telemetry"));
        assert_eq!(known.certificate.unwrap().0, "C\nA");
    }

    #[test]
    fn what_cannot_be_used_is_said() {
        for (device, said) in [
            (json!({"content": "not json"}), "is no JSON"),
            (json!({"content": "{}"}), "names no client or no channels"),
            (json!({"client_id": CLIENT}), "names no client or no channels"),
        ] {
            let error = of(device, None).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
