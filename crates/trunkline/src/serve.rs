//! `trunkline serve`: from settings to a running node, and to its end in good order.
//!
//! The steps: data directory, ports, capabilities, announcement, serving. Ports open before the database is touched, so
//! that a second node started by mistake changes nothing. At a signal the ports close first, then what is in flight ends,
//! then everything is brought to disk; after the grace period it is cut.

use std::time::Duration;

use anyhow::{Context, bail};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::announce::{self, Welcome};
use crate::compose::Platform;
use crate::config::{self, Layers, Settings};
use crate::data_dir::DataDir;
use crate::doors::{Certificates, CoapDoors, HttpDoors, MqttDoors};
use crate::{bounds, doors, logging, open_files, signals};

/// How long a thread for work that waits or counts is kept without any. What it has freed, such as the 19 MiB of a password's
/// hash, goes back to the system when it ends.
const KEPT_THREADS: Duration = Duration::from_secs(1);

/// Runs the node until it is told to stop.
pub(crate) fn run(layers: &Layers) -> anyhow::Result<()> {
    let loaded = config::load(layers)?;
    logging::start(&loaded.settings.log);
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    for note in &loaded.notes {
        tracing::debug!("{note}");
    }
    open_files::raise_limit();
    // An error means that a provider is installed already, and there is only one in the program.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_keep_alive(KEPT_THREADS)
        .build()
        .context("cannot start the threads of the node")?;
    runtime.block_on(serve(loaded.settings))
}

/// The node from its first step to its last.
pub async fn serve(settings: Settings) -> anyhow::Result<()> {
    let shutdown = CancellationToken::new();
    signals::watch(shutdown.clone())?;
    let data = DataDir::open(&settings.node.data_dir)?;
    let revoked = certs::Revoked::default();
    let callers = certs::Callers::default();
    let certificates = Certificates::load(&settings, &revoked, Some(&callers)).await?;
    let doors = HttpDoors::open(&settings, certificates.as_ref()).await?;
    let mqtt = MqttDoors::open(&settings, certificates.as_ref()).await?;
    let coap = CoapDoors::open(&settings).await?;
    let grpc = doors::open_grpc(&settings, &callers).await?;
    let Some(platform) = shutdown
        .run_until_cancelled(Platform::compose(&settings, &data, (revoked, callers), &shutdown))
        .await
        .transpose()?
    else {
        return Ok(());
    };

    let welcome = Welcome {
        program: announce::program(),
        settings: &settings,
        http: doors.front.local_addr(),
        compat: doors.compat.iter().map(web::Listener::local_addr).collect(),
        https: doors.https.as_ref().map(web::Listener::local_addr),
        mqtt: mqtt.plain.as_ref().map(messaging::mqtt::Listener::local_addr),
        mqtts: mqtt.tls.as_ref().map(messaging::mqtt::Listener::local_addr),
        coap: coap.plain.as_ref().map(coap::Listener::local_addr),
        coaps: coap.dtls.as_ref().map(coap::Listener::local_addr),
        grpc: grpc.iter().map(grpc::Listener::local_addr).collect(),
        policy: doors.policy.iter().map(web::Listener::local_addr).collect(),
        generated_password: platform.generated_password.as_ref(),
    };
    let serving = TaskTracker::new();
    for listener in std::iter::once(doors.front).chain(doors.https).chain(doors.compat) {
        serving.spawn(listener.serve(platform.app.clone(), shutdown.clone()));
    }
    for listener in doors.policy {
        serving.spawn(listener.serve(platform.policy.clone(), shutdown.clone()));
    }
    if let Some(certificates) = certificates {
        certificates.tend(Some(&platform.authority.trusted()), &shutdown)?;
    }
    for listener in mqtt.plain.into_iter().chain(mqtt.tls) {
        serving.spawn(listener.serve(platform.engine.clone(), shutdown.clone()));
    }
    let limits = bounds::coap_limits(&settings);
    if let Some(listener) = coap.plain {
        let (engine, stats) = (platform.engine.clone(), platform.coap.clone());
        serving.spawn(listener.serve(engine, limits.clone(), stats, shutdown.clone()));
    }
    if let Some(listener) = coap.dtls {
        let (engine, stats, stop) = (platform.engine.clone(), platform.coap.clone(), shutdown.clone());
        serving.spawn(async move {
            if let Err(error) = listener.serve_dtls(engine, limits, stats, stop).await {
                tracing::error!(cause = %error.chain(), "CoAP over DTLS is not served");
            }
        });
    }
    for listener in grpc {
        serving.spawn(listener.serve(platform.services.clone(), shutdown.clone()));
    }
    serving.close();
    welcome.print();

    let expelled = tokio::select! {
        () = shutdown.cancelled() => false,
        () = platform.engine.expelled() => true,
    };
    shutdown.cancel();
    // Both within the same grace period.
    tokio::join!(serving.wait(), platform.engine.shutdown());
    platform.close().await;
    if expelled {
        bail!("this node has lost its place in the cluster, see above; start it again");
    }
    tracing::info!("stopped");
    Ok(())
}
