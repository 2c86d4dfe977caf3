//! What users need done without anybody asking: mails are sent, and who was deleted a while ago is removed.

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::Users;

/// The work in the background, as long as it runs.
#[derive(Debug)]
pub struct Background {
    stop: CancellationToken,
    tasks: [JoinHandle<Option<()>>; 2],
}

impl Background {
    /// Starts it; first comes what earlier runs of the program left.
    pub fn start(users: &Users) -> Self {
        let stop = CancellationToken::new();
        let spawn = |work: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>| {
            let stop = stop.clone();
            tokio::spawn(async move { stop.run_until_cancelled(work).await })
        };
        let mails = spawn(Box::pin(users.clone().deliver_for_ever()));
        let purges = spawn(Box::pin(users.clone().purge_for_ever()));
        Self { stop, tasks: [mails, purges] }
    }

    /// Stops it. What is cut off is done again by the next run.
    pub async fn stop(self) {
        self.stop.cancel();
        for task in self.tasks {
            // An error would be a panic of the task, which has been reported.
            let _ = task.await;
        }
    }
}
