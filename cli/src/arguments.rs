//! What every command understands.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, ValueEnum};
use uuid::Uuid;

use crate::{commands::Command, language::Lang};

const EXIT_CODES: &str = "\
Exit codes:
  0 done   1 failed   2 wrong usage or argument   4 quota or limit exceeded   5 not found
  6 not signed in or not allowed   7 exists already, changed meanwhile or wrong state   8 unavailable or out of time

Environment:
  ALLMENDE_CONFIG   configuration file (default: ~/.config/allmende/config.toml)
  ALLMENDE_CONTEXT, ALLMENDE_MEMBER, ALLMENDE_LANG   defaults of --context, --member, --lang
  NO_COLOR          no colours

Examples:
  allmende context add local --endpoint https://127.0.0.1:7443 --ca ca.crt --cert lemgo.crt --key lemgo.key
  allmende tenant create prod --cluster local-1 --cpu 4 --memory 16Gi --storage 120Gi --pods 40 --wait
  allmende instance create prod/db --offering postgresql --plan small --dry-run";

/// The cooperative's cloud: tenants, services, usage and invoices.
#[derive(Debug, Parser)]
#[command(name = "allmende", version, after_help = EXIT_CODES, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub(crate) struct Globals {
    /// Context of the configuration to use instead of the current one
    #[arg(long, global = true, env = "ALLMENDE_CONTEXT", value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// The member to act for: its id
    #[arg(short, long, global = true, env = "ALLMENDE_MEMBER", value_name = "ID")]
    pub(crate) member: Option<String>,
    /// Form of the output
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
    /// Language of headers and progress (default: that of LANG, else German)
    #[arg(long = "lang", global = true, env = "ALLMENDE_LANG", value_enum)]
    lang: Option<Lang>,
    /// Longest wait for one answer of the API
    #[arg(long, global = true, value_name = "SPAN", default_value = "10s", value_parser = parse_span)]
    pub(crate) request_timeout: Duration,
}

impl Globals {
    /// The language to speak.
    pub(crate) fn lang(&self) -> Lang {
        let environment = ["LC_ALL", "LC_MESSAGES", "LANG"].iter().find_map(|name| std::env::var(name).ok());
        self.lang.unwrap_or_else(|| Lang::of_environment(environment.as_deref()))
    }
}

/// Form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Table,
    /// Canonical proto JSON
    Json,
    /// The same as YAML
    Yaml,
    /// Lists for spreadsheets
    Csv,
}

/// Options of a change.
#[derive(Debug, Clone, Args)]
pub(crate) struct ChangeArgs {
    /// Check everything, show price and effect on the quota, change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Repeat an earlier request: it is done once, however often it is sent
    #[arg(long, value_name = "UUID")]
    request_id: Option<Uuid>,
}

impl ChangeArgs {
    /// The request id: as given, or a fresh one.
    pub(crate) fn id(&self) -> Uuid {
        self.request_id.unwrap_or_else(Uuid::new_v4)
    }
}

/// The id of the `index`th of several requests made from one: a repeated command repeats each of them.
pub(crate) fn numbered(id: Uuid, index: usize) -> String {
    Uuid::from_u128(id.as_u128().wrapping_add(index as u128)).to_string()
}

/// Options of a change that the cluster has to follow.
#[derive(Debug, Clone, Args)]
pub(crate) struct WaitArgs {
    /// Wait until it is done, and show the steps
    #[arg(long)]
    pub(crate) wait: bool,
    /// Longest wait: `90s`, `10m`, `1h`
    #[arg(long, value_name = "SPAN", default_value = "10m", value_parser = parse_span)]
    pub(crate) timeout: Duration,
}

/// A request body from a file.
#[derive(Debug, Clone, Args)]
pub(crate) struct FileArg {
    /// YAML or JSON in proto JSON form, one object or a list; `-` reads standard input
    #[arg(short, long = "file", value_name = "FILE")]
    pub(crate) file: PathBuf,
}

/// Asks before something is deleted.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct ConfirmArgs {
    /// Do not ask for the name
    #[arg(short, long)]
    pub(crate) yes: bool,
}

/// `90s`, `10m`, `1h`; a bare number is seconds.
pub(crate) fn parse_span(text: &str) -> Result<Duration, String> {
    let units = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("", 1000)];
    units
        .iter()
        .find_map(|(suffix, unit)| {
            text.strip_suffix(suffix).and_then(|n| n.parse::<u64>().ok()).map(|n| (n, *unit))
        })
        .and_then(|(number, unit)| number.checked_mul(unit))
        .filter(|milliseconds| *milliseconds > 0)
        .map(Duration::from_millis)
        .ok_or_else(|| format!("`{text}` is no span of time: write 90s, 10m or 1h"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time_are_read() {
        assert_eq!(parse_span("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_span("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(parse_span("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_span("5"), Ok(Duration::from_secs(5)));
        for bad in ["", "0s", "-1s", "ten", "1d"] {
            assert!(parse_span(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_ids_of_a_list_differ_and_come_again_when_the_command_is_repeated() {
        let id = Uuid::new_v4();
        assert_eq!(numbered(id, 0), id.to_string());
        assert_ne!(numbered(id, 1), numbered(id, 0));
        assert_eq!(numbered(id, 7), numbered(id, 7));
    }
}
