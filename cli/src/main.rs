//! `allmende`: the command line of the cooperative's cloud. A client of the API's contract and of nothing else.
//!
//! Also runs as `kubectl allmende` when it is installed under the name `kubectl-allmende`.

mod arguments;
mod commands;
mod config;
mod confirm;
mod document;
mod failure;
mod language;
mod output;
mod progress;
mod quantity;
mod session;
mod sign_in;

use std::{ffi::OsString, path::Path, process::ExitCode};

use clap::{CommandFactory, FromArgMatches};

use crate::{arguments::Cli, failure::Failure};

fn main() -> ExitCode {
    allmende_identity::install_crypto_provider();
    let words: Vec<OsString> = std::env::args_os().collect();
    let matches = match named(&words).try_get_matches_from(&words) {
        Ok(matches) => matches,
        // Help and version go to standard output with 0, wrong usage to standard error with 2: as documented.
        Err(error) => error.exit(),
    };
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let (lang, dry_run) = (cli.globals.lang(), is_dry_run(&matches));
    let outcome = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Local(error.to_string()))
        .and_then(|runtime| runtime.block_on(commands::run(cli)));
    match outcome {
        Ok(()) => {
            if dry_run {
                output::note(lang.pick("geprüft; nichts wurde geändert", "checked; nothing was changed"));
            }
            ExitCode::SUCCESS
        }
        Err(failure) => {
            failure.tell(lang);
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Whether the command that was chosen has `--dry-run`, and it was said.
fn is_dry_run(matches: &clap::ArgMatches) -> bool {
    match matches.subcommand() {
        Some((_, inner)) => is_dry_run(inner),
        None => matches!(matches.try_get_one::<bool>("dry_run"), Ok(Some(true))),
    }
}

/// As a plugin of kubectl the examples and usage lines say `kubectl allmende`.
fn named(words: &[OsString]) -> clap::Command {
    let file = words.first().map(Path::new).and_then(Path::file_stem).and_then(|stem| stem.to_str());
    match file {
        Some("kubectl-allmende") => Cli::command().bin_name("kubectl allmende"),
        _ => Cli::command(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(command: &clap::Command, path: &str, found: &mut Vec<(String, String)>) {
        let mut children = command.get_subcommands().filter(|child| child.get_name() != "help").peekable();
        if children.peek().is_none() {
            let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            found.push((path.to_owned(), examples));
        }
        for child in children {
            leaves(child, &format!("{path} {}", child.get_name()), found);
        }
    }

    /// As a shell would split it: what stands in single quotes is one word.
    fn words(line: &str) -> Vec<String> {
        let parts = line.split('\'').enumerate();
        let words = parts.flat_map(|(place, part)| match place % 2 {
            0 => part.split_whitespace().map(str::to_owned).collect(),
            _ => vec![part.to_owned()],
        });
        words.collect()
    }

    #[test]
    fn the_help_of_every_command_has_an_example_of_itself_that_parses() {
        let mut found = Vec::new();
        leaves(&Cli::command(), "allmende", &mut found);
        assert!(found.len() > 45, "all commands are looked at, not only {}", found.len());
        for (path, help) in found {
            let examples: Vec<&str> =
                help.lines().map(str::trim).filter(|line| line.starts_with("allmende ")).collect();
            assert!(examples.iter().any(|line| line.starts_with(&path)), "{path} has no example: {help:?}");
            for line in examples {
                let line = line.split(" > ").next().unwrap().split(" | ").next().unwrap();
                let parsed = Cli::command().try_get_matches_from(words(line));
                assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
            }
        }
    }

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn as_a_plugin_of_kubectl_the_usage_says_so() {
        let usage = named(&[OsString::from("/usr/local/bin/kubectl-allmende")]).render_usage().to_string();
        assert!(usage.contains("kubectl allmende"), "{usage}");
    }
}
