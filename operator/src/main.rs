//! `allmende-operator`.

use allmende_operator::{settings::Settings, wiring};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    allmende_identity::install_crypto_provider();
    let settings = Settings::parse();
    allmende_telemetry::init_logging(settings.log_format.parse()?, &settings.log)?;
    let shutdown = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let asked = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        asked.cancel();
    });
    wiring::run(settings, shutdown).await
}
