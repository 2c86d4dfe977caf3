//! Composition: every capability is built and wired here, on one page.

use kernel::{Rng, Secret};
use web::{App, AppInfo, AppOptions};

use crate::build_info;
use crate::config::Settings;
use crate::data_dir::DataDir;

/// The platform of this node, ready to serve.
pub(crate) struct Platform {
    /// The HTTP API.
    pub(crate) app: App,
    /// The administrator's password, if this start has made it up.
    pub(crate) generated_password: Option<Secret<String>>,
}

impl Platform {
    /// Opens the database and wires the capabilities that this node serves.
    pub(crate) async fn compose(settings: &Settings, data: &DataDir) -> anyhow::Result<Self> {
        tracing::debug!(data = %data.path().display(), "composing the platform");
        let rng = Rng::system();
        let instance_id = settings.node.instance_id.clone().map(|id| id.0);
        let info = AppInfo {
            version: build_info::VERSION.to_owned(),
            commit: build_info::COMMIT.to_owned(),
            build_time: build_info::BUILD_TIME.to_owned(),
            instance_id: instance_id.unwrap_or_else(|| rng.uuid().to_string()),
        };
        let mut options = AppOptions::default();
        options.body_limit = settings.web.body_limit.0;
        options.request_timeout = settings.web.request_timeout;
        Ok(Self { app: App::with_options(Vec::new(), info, options), generated_password: None })
    }

    /// Brings everything to disk after the last request has ended.
    pub(crate) async fn close(self) {}
}
