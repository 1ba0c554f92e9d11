//! `allmende-operator`, and `allmende-operator preflight`.

use std::{io::Write, process::ExitCode};

use allmende_operator::{
    preflight::{self, probe::ProbeSettings, settings::PreflightSettings},
    settings::Settings,
    wiring,
};
use clap::{ArgMatches, Command, CommandFactory, FromArgMatches};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Wrong arguments and a cluster that is not reached, as clap has it.
const NOTHING_KNOWN: u8 = 2;

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    allmende_identity::install_crypto_provider();
    let matches = command().get_matches();
    match matches.subcommand() {
        Some(("preflight", matches)) => preflight(&read(matches)).await,
        Some(("probe", matches)) => Ok(preflight::probe::run(read::<ProbeSettings>(matches)).await),
        _ => operator(read(&matches)).await.map(|()| ExitCode::SUCCESS),
    }
}

/// The operator itself needs no subcommand.
fn command() -> Command {
    Settings::command()
        .subcommand_negates_reqs(true)
        .args_conflicts_with_subcommands(true)
        .subcommand(PreflightSettings::command().name("preflight"))
        .subcommand(ProbeSettings::command().name("probe").hide(true))
}

fn read<T: FromArgMatches>(matches: &ArgMatches) -> T {
    T::from_arg_matches(matches).unwrap_or_else(|error| error.exit())
}

async fn operator(settings: Settings) -> anyhow::Result<()> {
    allmende_telemetry::init_logging(settings.log_format.parse()?, &settings.log)?;
    let shutdown = CancellationToken::new();
    let asked = asked_to_end()?;
    let ends = shutdown.clone();
    tokio::spawn(async move {
        asked.await;
        ends.cancel();
    });
    wiring::run(settings, shutdown).await
}

async fn preflight(settings: &PreflightSettings) -> anyhow::Result<ExitCode> {
    let asked = asked_to_end()?;
    match preflight::run(settings.clone(), asked).await {
        Ok(code) => Ok(code),
        Err(error) => {
            // A closed standard error must not hide the exit code.
            let _ = writeln!(std::io::stderr(), "Error: {error:#}");
            Ok(ExitCode::from(NOTHING_KNOWN))
        }
    }
}

/// Ends with the first signal to end.
fn asked_to_end() -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate: Signal = signal(SignalKind::terminate())?;
    let mut interrupt: Signal = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
