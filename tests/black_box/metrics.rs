//! What the program counts, and that docs/metrics.md says so.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use testkit::mosquitto::{self, Version};
use testkit::{Storage, coap, wait_until};

use crate::platform::{Platform, log_in};

const PAGE: &str = include_str!("../../docs/metrics.md");

/// Families of names; anything else in the sources is a label or an event.
const FAMILIES: [&str; 6] = ["messaging_", "coap_", "http_", "certs_", "trunkline_", "policy_"];

/// What the page lists: the names in backticks in the first column.
fn listed() -> BTreeSet<String> {
    let cells = PAGE.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    cells.flat_map(|cell| cell.split(", ").map(|name| name.trim_matches(['`', ' ']).to_owned())).collect()
}

fn sources(place: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(place).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            found.push(path);
        }
    }
}

/// The names that stand between quotes in files that use the `metrics` facade.
fn named_in_the_sources() -> BTreeSet<String> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(crates).unwrap() {
        sources(&entry.unwrap().path().join("src"), &mut files);
    }
    let mut names = BTreeSet::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        if !text.contains("metrics::") {
            continue;
        }
        let is_name = |text: &&str| {
            FAMILIES.iter().any(|family| text.len() > family.len() && text.starts_with(family))
                && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        };
        names.extend(text.split('"').skip(1).step_by(2).filter(is_name).map(str::to_owned));
    }
    names
}

#[test]
fn the_page_lists_every_metric_of_the_sources_and_no_other() {
    let mut listed = listed();
    listed.retain(|name| !name.starts_with("<service>"));
    let named = named_in_the_sources();
    let (missing, unknown) = (named.difference(&listed), listed.difference(&named));
    let wrong: (Vec<_>, Vec<_>) = (missing.collect(), unknown.collect());
    assert_eq!(
        wrong,
        (vec![], vec![]),
        "docs/metrics.md lacks the first and lists the second without a source"
    );
}

/// The value of a metric with these labels.
fn value(text: &str, metric: &str) -> f64 {
    let line = text.lines().find(|line| line.strip_prefix(metric).is_some_and(|rest| rest.starts_with(' ')));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0.0)
}

#[test]
fn messages_and_connections_are_counted_by_protocol_and_delays_and_queues_are_told() {
    let platform = Platform::start(Storage::Sqlite);
    let channel = platform.channel("boiler");
    let device = platform.connected_device("device", &channel);
    let topic = platform.topic(&channel, "/room");
    let login = platform.login(&device, Version::V5);
    let metrics = || {
        let answer = platform.server.request("GET", "/metrics").send();
        assert_eq!(answer.status, 200);
        answer.body
    };
    // One that reads, and one that has gone and wants to be waited for.
    let reader = mosquitto::subscribe(&login, &topic, &[]);
    let keep = ["-i", "absent", "-c", "-x", "3600", "-E"];
    assert_eq!(mosquitto::try_subscribe(&login, &topic, &keep).wait().code, 0);
    assert_eq!(platform.publish(&device, &topic, "\"http\"").status, 202);
    reader.wait_for_message("\"http\"");
    assert_eq!(mosquitto::publish(&login, &topic, 1, "mqtt", &[]).code, 0);
    reader.wait_for_message("mqtt");
    let uri = format!("coap://{}/{topic}?auth={}", platform.server.coap(), device.secret);
    coap::ask(coap::CLIENTS[0], &["-m", "post", "-e", "coap"], &uri);
    reader.wait_for_message("coap");

    for (metric, expected) in [
        ("messaging_received_total{protocol=\"http\",qos=\"0\"}", 1.0),
        ("messaging_received_total{protocol=\"mqtt\",qos=\"1\"}", 1.0),
        ("messaging_received_total{protocol=\"coap\",qos=\"0\"}", 1.0),
        ("messaging_received_bytes_total{protocol=\"http\"}", 6.0),
        ("messaging_received_bytes_total{protocol=\"mqtt\"}", 4.0),
        ("messaging_delivered_total{protocol=\"mqtt\",qos=\"0\"}", 2.0),
        ("messaging_delivered_total{protocol=\"mqtt\",qos=\"1\"}", 1.0),
        ("messaging_delivered_bytes_total{protocol=\"mqtt\"}", 14.0),
        ("messaging_delivery_seconds_count{protocol=\"mqtt\"}", 1.0),
        ("messaging_stored_messages", 1.0),
        ("messaging_longest_queue_messages", 1.0),
        ("messaging_connections{protocol=\"mqtt\"}", 1.0),
    ] {
        wait_until(metric, || (value(&metrics(), metric) - expected).abs() < f64::EPSILON);
    }
    let text = metrics();
    assert!(text.contains("# TYPE messaging_delivery_seconds histogram"), "{text}");
    let listed = listed();
    for name in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()) {
        let of_service = ["_api_request_count", "_api_request_latency_microseconds"];
        let is_listed = listed.contains(name) || of_service.iter().any(|end| name.ends_with(end));
        assert!(is_listed, "docs/metrics.md lacks `{name}`");
    }
}

#[test]
fn administrators_read_the_figures_of_the_node_and_nobody_else() {
    let platform = Platform::start_for_a_user(Storage::Sqlite);
    let channel = platform.channel("boiler");
    let device = platform.connected_device("device", &channel);
    let of_token = |token: String| {
        let login = platform.login(&device, Version::V5);
        mosquitto::Login { username: String::new(), password: token, ..login }
    };
    let admin = of_token(log_in(&platform.server));
    let figures = mosquitto::subscribe(&admin, "$SYS/broker/#", &[]);
    figures.wait_for_message("$SYS/broker/version trunkline ");
    figures.wait_for_message("$SYS/broker/clients/connected 1");
    for login in [of_token(platform.token.clone()), platform.login(&device, Version::V5)] {
        let refused = mosquitto::try_subscribe(&login, "$SYS/broker/#", &[]).wait();
        assert!(refused.log.contains("Subscribed (mid: 1): 135"), "{}", refused.log);
    }
}
