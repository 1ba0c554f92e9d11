//! A child process that always ends: by itself, at its limit, with the lease or with this process. It is asked first and killed later, so
//! that it can write down how it ended.

use std::{
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, Command},
    sync::watch,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::limits::{END_GRACE, LOST_LEASE_GRACE};

/// Output that is kept of one run; the rest is read and forgotten.
const OUTPUT_MAX: u64 = 1 << 20;
/// How long the output of a child that has ended is waited for: something that it started may hold it open.
const DRAIN: Duration = Duration::from_secs(2);

/// What ends children before their time.
#[derive(Debug, Clone)]
pub struct Ends {
    /// Whether this process leads: without the lease nothing is started, and what runs is ended.
    pub leader: watch::Receiver<bool>,
    /// This process ends.
    pub shutdown: CancellationToken,
}

/// How a child ended.
#[derive(Debug)]
pub enum End {
    /// By itself.
    Exited(ExitStatus),
    /// It was over its limit.
    TimedOut,
    /// The lease was lost, or never held: then it was not started.
    NoLease,
    /// This process ends.
    Shutdown,
}

/// How it ended and what it said.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub end: End,
    /// Its output.
    pub stdout: String,
    /// Its complaints.
    pub stderr: String,
}

/// Runs a command to its end, at most for `limit` and the grace after it.
///
/// # Errors
/// When it cannot be started or waited for.
pub async fn run(command: Command, limit: Duration, ends: &Ends) -> std::io::Result<Finished> {
    run_until(command, tokio::time::sleep(limit), ends).await
}

async fn run_until(
    mut command: Command,
    limit: impl Future<Output = ()>,
    ends: &Ends,
) -> std::io::Result<Finished> {
    let mut leader = ends.leader.clone();
    let unstarted = |end| Ok(Finished { end, stdout: String::new(), stderr: String::new() });
    if !*leader.borrow_and_update() {
        return unstarted(End::NoLease);
    }
    if ends.shutdown.is_cancelled() {
        return unstarted(End::Shutdown);
    }
    let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.kill_on_drop(true).spawn()?;
    let (stdout, stderr) = (reading(child.stdout.take()), reading(child.stderr.take()));
    let end = tokio::select! {
        status = child.wait() => End::Exited(status?),
        () = limit => End::TimedOut,
        _ = leader.wait_for(|leads| !*leads) => End::NoLease,
        () = ends.shutdown.cancelled() => End::Shutdown,
    };
    match end {
        End::Exited(_) => {}
        End::TimedOut | End::Shutdown => stop(&mut child, END_GRACE).await?,
        End::NoLease => stop(&mut child, LOST_LEASE_GRACE).await?,
    }
    let (stdout, stderr) = futures::join!(text(stdout), text(stderr));
    Ok(Finished { end, stdout, stderr })
}

/// Asks the child to end, and kills it when it does not.
async fn stop(child: &mut Child, grace: Duration) -> std::io::Result<()> {
    // The id is there as long as nobody has waited for the child, so it cannot be another process's.
    if let Some(pid) = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) {
        // A child that is gone already is what we want.
        let _ = kill_process(pid, Signal::TERM);
    }
    match tokio::time::timeout(grace, child.wait()).await {
        Ok(ended) => ended.map(|_| ()),
        Err(_) => child.kill().await,
    }
}

fn reading(pipe: Option<impl AsyncRead + Unpin + Send + 'static>) -> JoinHandle<Vec<u8>> {
    tokio::spawn(async move {
        let mut bytes = Vec::new();
        let Some(mut pipe) = pipe else { return bytes };
        // What came until an error is better than nothing.
        let _ = (&mut pipe).take(OUTPUT_MAX).read_to_end(&mut bytes).await;
        // Read on: a child must not hang on a full pipe.
        let _ = tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await;
        bytes
    })
}

async fn text(mut reading: JoinHandle<Vec<u8>>) -> String {
    match tokio::time::timeout(DRAIN, &mut reading).await {
        Ok(Ok(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
        Ok(Err(_)) => String::new(),
        Err(_) => {
            reading.abort();
            String::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;

    /// A child that says when it is there, and notes that it was asked to end.
    fn asked_to_end(folder: &Path) -> Command {
        let script = format!(
            "trap 'touch {0}/asked; exit 3' TERM; touch {0}/there; while :; do sleep 0.1; done",
            folder.display()
        );
        shell(&script)
    }

    fn shell(script: &str) -> Command {
        let mut command = Command::new("bash");
        command.arg("-c").arg(script);
        command
    }

    fn ends() -> (Ends, watch::Sender<bool>) {
        let (sender, leader) = watch::channel(true);
        (Ends { leader, shutdown: CancellationToken::new() }, sender)
    }

    async fn appears(path: PathBuf) {
        let wait = async {
            while !path.exists() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), wait).await.unwrap();
    }

    #[tokio::test]
    async fn what_a_child_says_is_kept_up_to_a_limit_and_it_never_hangs_on_a_full_pipe() {
        let (ends, _leader) = ends();
        let command = shell("head -c 3000000 /dev/zero | tr '\\0' a; printf 'wr\\377ong' >&2; exit 7");
        let finished = run(command, Duration::from_secs(60), &ends).await.unwrap();
        assert!(
            matches!(finished.end, End::Exited(status) if status.code() == Some(7)),
            "{:?}",
            finished.end
        );
        assert_eq!(finished.stdout.len(), 1 << 20);
        assert_eq!(finished.stderr, "wr\u{fffd}ong");
    }

    #[tokio::test]
    async fn a_process_that_does_not_lead_or_that_ends_starts_no_child() {
        let folder = tempfile::tempdir().unwrap();
        let (ends, leader) = ends();
        leader.send_replace(false);
        let finished = run(asked_to_end(folder.path()), Duration::from_secs(60), &ends).await.unwrap();
        assert!(matches!(finished.end, End::NoLease));
        leader.send_replace(true);
        ends.shutdown.cancel();
        let finished = run(asked_to_end(folder.path()), Duration::from_secs(60), &ends).await.unwrap();
        assert!(matches!(finished.end, End::Shutdown));
        assert!(!folder.path().join("there").exists(), "it was started");
    }

    #[tokio::test]
    async fn a_child_is_asked_to_end_at_its_limit_with_the_lease_and_with_the_process() {
        for case in ["limit", "lease", "shutdown"] {
            let folder = tempfile::tempdir().unwrap();
            let (ends, leader) = ends();
            let (over, limit) = tokio::sync::oneshot::channel::<()>();
            let cut = async {
                appears(folder.path().join("there")).await;
                match case {
                    "lease" => drop(leader.send_replace(false)),
                    "shutdown" => ends.shutdown.cancel(),
                    _ => return drop(over),
                }
                // Not over before the child is.
                std::mem::forget(over);
            };
            let limit = async { drop(limit.await) };
            let (finished, ()) = futures::join!(run_until(asked_to_end(folder.path()), limit, &ends), cut);
            let finished = finished.unwrap();
            let expected = match case {
                "limit" => matches!(finished.end, End::TimedOut),
                "lease" => matches!(finished.end, End::NoLease),
                _ => matches!(finished.end, End::Shutdown),
            };
            assert!(expected, "{case}: {:?}", finished.end);
            assert!(folder.path().join("asked").exists(), "{case}: killed without having been asked");
        }
    }

    #[tokio::test]
    async fn a_child_that_does_not_listen_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let (ends, leader) = ends();
        let there = folder.path().join("there");
        let deaf = shell(&format!(
            "trap '' TERM; echo $$ > {0}.tmp; mv {0}.tmp {0}; while :; do sleep 0.1; done",
            there.display()
        ));
        let cut = async {
            appears(there.clone()).await;
            leader.send_replace(false);
        };
        let (finished, ()) = futures::join!(run(deaf, Duration::from_secs(60), &ends), cut);
        assert!(matches!(finished.unwrap().end, End::NoLease));
        let pid = std::fs::read_to_string(&there).unwrap();
        assert!(!Path::new(&format!("/proc/{}", pid.trim())).exists(), "it still runs");
    }
}
