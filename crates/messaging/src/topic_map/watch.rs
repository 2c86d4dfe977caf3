//! The map's file is read at the start, and again whenever it has changed.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use tokio::time::{MissedTickBehavior, interval};

use super::{Fault, TopicMap};
use crate::engine::Engine;

/// How often the file is looked at.
const EVERY: Duration = Duration::from_secs(1);

impl Engine {
    /// Puts the map of a file in force, and from then on what the file has become, without a restart, within about
    /// two seconds. A change that is broken is logged and counted, and the map before it stays in force.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or is broken.
    pub async fn follow_topic_map(&self, file: &Path) -> Result<(), Fault> {
        let text = read(file).await?;
        self.take_topic_map(file, &text)?;
        tokio::spawn(follow(self.clone(), file.to_owned(), text));
        Ok(())
    }

    fn take_topic_map(&self, file: &Path, text: &str) -> Result<(), Fault> {
        let map = TopicMap::parse(&file.display().to_string(), text)?;
        tracing::info!(rules = map.len(), "the topic map is in force");
        self.map_topics(map);
        Ok(())
    }
}

async fn read(file: &Path) -> Result<String, Fault> {
    let read = tokio::fs::read_to_string(file).await;
    read.map_err(|error| Fault::of_file(&file.display().to_string(), &error.to_string()))
}

/// Looks at the file until the node goes down. What is different is taken when it is still the same at the next look: a
/// file that is being written is not what it will be.
async fn follow(engine: Engine, file: PathBuf, known: String) {
    let closing = engine.0.closing.clone();
    // The engine ends when nothing else holds it.
    let watched = Arc::downgrade(&engine.0);
    drop(engine);
    let mut every = interval(EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut known, mut last) = (Ok(known), None);
    while closing.run_until_cancelled(every.tick()).await.is_some() {
        let Some(engine) = watched.upgrade().map(Engine) else { return };
        let seen = read(&file).await;
        let is_settled = last.as_ref() == Some(&seen);
        if is_settled && known != seen {
            let outcome = seen.clone().and_then(|text| engine.take_topic_map(&file, &text));
            engine.stats().topic_map_outdated.store(u64::from(outcome.is_err()), Relaxed);
            if let Err(fault) = outcome {
                tracing::error!("the changed topic map is not taken, the one before stays in force: {fault}");
            }
            known.clone_from(&seen);
        }
        last = Some(seen);
    }
}
