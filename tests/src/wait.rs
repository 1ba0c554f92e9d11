//! Waiting for conditions, with a limit.

use std::time::Duration;

/// How often a condition is looked at.
const EVERY: Duration = Duration::from_millis(100);
/// Longest wait: a failed Helm run is tried again after ten seconds, a lost stream after up to thirty.
const LIMIT: Duration = Duration::from_secs(150);

/// Waits until something is there.
///
/// # Panics
/// When it is not after the limit.
pub async fn until<T>(what: &str, mut found: impl AsyncFnMut() -> Option<T>) -> T {
    let wait = async {
        loop {
            if let Some(value) = found().await {
                return value;
            }
            tokio::time::sleep(EVERY).await;
        }
    };
    tokio::time::timeout(LIMIT, wait).await.unwrap_or_else(|_| panic!("never happened: {what}"))
}
