//! Waiting for a condition.

use std::time::{Duration, Instant};

/// How long a test waits for something that normally takes milliseconds. Only a failing test waits this long;
/// a loaded build machine may well need several seconds.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How often a condition is asked that cannot announce itself.
const POLL: Duration = Duration::from_millis(10);

/// Blocks until `condition` holds.
///
/// In an asynchronous test on one thread this would stop the very work it waits for: use [`wait_until_async`].
///
/// # Panics
/// With `what` when it still does not hold after [`PATIENCE`].
#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain until {what}");
        #[expect(clippy::disallowed_methods, reason = "the pause between two looks at the condition")]
        std::thread::sleep(POLL);
    }
}

/// Waits until `condition` holds, and lets other tasks run meanwhile.
///
/// # Panics
/// With `what` when it still does not hold after [`PATIENCE`].
pub async fn wait_until_async(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !condition().await {
        assert!(started.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain until {what}");
        tokio::time::sleep(POLL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_asked_until_it_holds() {
        let mut asked = 0;
        wait_until("asked three times", || {
            asked += 1;
            asked == 3
        });
        assert_eq!(asked, 3);
    }

    #[tokio::test]
    async fn other_tasks_run_while_a_test_waits() {
        let task = tokio::spawn(async { tokio::task::yield_now().await });
        wait_until_async("the task is done", async || task.is_finished()).await;
    }
}
