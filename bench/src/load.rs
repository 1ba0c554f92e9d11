//! A closed loop: so many callers, each with one call at a time.

use std::time::{Duration, Instant};

use anyhow::Result;
use futures::future::try_join_all;

/// What one measurement found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// Per second.
    pub(crate) rate: f64,
    /// Milliseconds.
    pub(crate) p50: f64,
    /// Milliseconds.
    pub(crate) p99: f64,
    /// Calls made.
    pub(crate) calls: usize,
}

/// Runs `call` from `callers` tasks for `seconds`; it gets the caller's number and the number of its call.
pub(crate) async fn closed_loop<F, Fut>(callers: usize, seconds: f64, call: F) -> Result<Sample>
where
    F: Fn(usize, usize) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Result<()>> + Send,
{
    let begun = Instant::now();
    let until = begun + Duration::from_secs_f64(seconds);
    let tasks = (0..callers).map(|caller| {
        let call = call.clone();
        tokio::spawn(async move {
            let mut took = Vec::new();
            while Instant::now() < until {
                let at = Instant::now();
                call(caller, took.len()).await?;
                took.push(at.elapsed());
            }
            anyhow::Ok(took)
        })
    });
    let mut all = Vec::new();
    for took in try_join_all(tasks).await? {
        all.extend(took?);
    }
    let elapsed = begun.elapsed().as_secs_f64();
    all.sort_unstable();
    let at = |part: usize| all.get(all.len() * part / 100).map_or(0.0, |took| took.as_secs_f64() * 1000.0);
    let count = f64::from(u32::try_from(all.len())?);
    Ok(Sample { rate: count / elapsed, p50: at(50), p99: at(99), calls: all.len() })
}
