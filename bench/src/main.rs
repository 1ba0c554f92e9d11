//! What `make bench` measures: side by side in one run, as ratios, with the number of repeats and their spread.
#![allow(clippy::print_stdout, reason = "it says what it found")]

mod calls;
mod empty;
mod growth;
mod ledger;
mod load;
mod process;
mod report;
mod seed;
mod world;

use clap::{Parser, Subcommand};

/// Measures Allmende beside the floor of its own server stack and beside one transaction per change.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measures and writes the report.
    Run(Run),
    /// The floor: the same TLS and the same HTTP/2, a handler that answers a constant.
    Empty(empty::Empty),
}

/// How much is measured.
#[derive(Debug, Clone, clap::Args)]
struct Run {
    /// Members, from the register.
    #[arg(long, default_value_t = 10_773)]
    members: usize,
    /// Service instances of each member.
    #[arg(long, default_value_t = 10)]
    instances: usize,
    /// Repeats of each measurement; the sides take turns.
    #[arg(long, default_value_t = 5)]
    repeats: usize,
    /// Seconds of one measurement.
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// Callers at once that change something.
    #[arg(long, default_value_t = 256)]
    callers: usize,
    /// Where the table goes; `-`: to the terminal alone.
    #[arg(long, default_value = "-")]
    report: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    allmende_identity::install_crypto_provider();
    match Arguments::parse().command {
        Command::Empty(empty) => empty::serve(empty).await,
        Command::Run(run) => {
            let mut report = report::Report::begin(&run);
            calls::measure(&run, &mut report).await?;
            ledger::measure(&run, &mut report).await?;
            growth::measure(&run, &mut report).await?;
            report.end(&run.report)
        }
    }
}
