//! What the pods of the network probe run: one listens, the others try to reach it.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    process::ExitCode,
    time::Duration,
};

use clap::{Parser, Subcommand, ValueEnum};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{Instant, timeout},
};

/// Exit code of a connection that is not as expected; any other than 0 is a failure of the probe itself.
pub const UNEXPECTED: u8 = 3;
/// Longest wait for one connection.
const ONE_TRY: Duration = Duration::from_secs(1);
/// Pause between two tries.
const AGAIN: Duration = Duration::from_millis(300);
/// Failed tries in a row that make a connection blocked.
const IN_A_ROW: u32 = 3;

/// The program in a pod of the probe; for the preflight alone
#[derive(Debug, Parser)]
#[command(name = "allmende-operator probe")]
pub struct ProbeSettings {
    #[command(subcommand)]
    command: ProbeCommand,
}

#[derive(Debug, Subcommand)]
enum ProbeCommand {
    /// Accepts connections and closes them
    Listen {
        /// On which port, on all addresses of the pod
        #[arg(long)]
        port: u16,
    },
    /// Waits until all addresses are as expected
    Connect {
        /// Where to
        #[arg(long, required = true)]
        to: Vec<SocketAddr>,
        /// What is expected
        #[arg(long, value_enum)]
        expect: Expected,
        /// For how long it is tried, seconds
        #[arg(long)]
        within: u64,
    },
}

/// What a connection should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Expected {
    /// Work.
    Open,
    /// Not work, several times in a row.
    Blocked,
}

/// Runs it.
pub async fn run(settings: ProbeSettings) -> ExitCode {
    match settings.command {
        ProbeCommand::Listen { port } => match listen(port).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        ProbeCommand::Connect { to, expect, within } => {
            if all_are(&to, expect, Duration::from_secs(within)).await {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(UNEXPECTED)
            }
        }
    }
}

async fn listen(port: u16) -> std::io::Result<()> {
    // Of both families where there are two; where the kernel has no IPv6, of the other.
    let listener = match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
        Ok(listener) => listener,
        Err(_) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await?,
    };
    loop {
        // Whoever came is shown that somebody is there; a failed accept is that caller's alone.
        drop(listener.accept().await);
    }
}

/// Whether all addresses become as expected within the limit.
pub async fn all_are(addresses: &[SocketAddr], expected: Expected, limit: Duration) -> bool {
    let until = Instant::now() + limit;
    for address in addresses {
        let mut blocked = 0;
        loop {
            let open = matches!(timeout(ONE_TRY, TcpStream::connect(address)).await, Ok(Ok(_)));
            blocked = if open { 0 } else { blocked + 1 };
            let as_expected = match expected {
                Expected::Open => open,
                Expected::Blocked => blocked >= IN_A_ROW,
            };
            if as_expected {
                break;
            }
            if Instant::now() >= until {
                return false;
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn open_and_blocked_are_told_apart_within_the_limit() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();
        let closed = {
            let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
            gone.local_addr().unwrap()
        };
        let short = Duration::from_millis(1500);
        assert!(all_are(&[open], Expected::Open, short).await);
        assert!(all_are(&[closed], Expected::Blocked, short).await);
        assert!(!all_are(&[open], Expected::Blocked, short).await);
        assert!(!all_are(&[open, closed], Expected::Open, short).await);
        assert!(!all_are(&[closed, open], Expected::Blocked, short).await, "one open way is one too many");
    }
}
