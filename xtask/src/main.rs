//! The repository's own checks: `cargo xtask <check>`. `make test` runs all of them.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command for people and CI: the terminal is its output"
)]

mod findings;
mod lanes;
mod layers;
mod metadata;
mod rights;
mod sbom;
mod sizes;

use std::process::ExitCode;

use findings::Findings;

const USAGE: &str = "\
usage: cargo xtask <check>

  check-layers     who may depend on whom (docs/adr/0001-two-halves-and-layers.md)
  check-sizes      no hand-written file above 600 lines, no module named utils, helpers or common
  check-rights     each rule of the operator's chart has its reason, and the reference tells it
  write-rights     writes that reference
  test             builds and runs all tests, as many programs at a time as there are cores (ALLMENDE_TEST_LANES)
  sbom <image> [crate:<package> | go:<program> | debian:<folder>]...
                   prints what an image is made of, with licences, as SPDX 2.3
";

fn main() -> ExitCode {
    let all: Vec<String> = std::env::args().skip(1).collect();
    if let Some(("sbom", rest)) = all.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return match sbom::print(rest) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("no document: {error:#}");
                ExitCode::from(2)
            }
        };
    }
    let mut arguments = all.into_iter();
    let check = match (arguments.next().as_deref(), arguments.next()) {
        (Some("check-layers"), None) => layers::check,
        (Some("check-sizes"), None) => sizes::check,
        (Some("check-rights"), None) => rights::check,
        (Some("write-rights"), None) => rights::write,
        (Some("test"), None) => lanes::run,
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match check() {
        Ok(findings) => report(&findings),
        Err(error) => {
            eprintln!("the check itself failed: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn report(findings: &Findings) -> ExitCode {
    for warning in &findings.warnings {
        println!("warning: {warning}");
    }
    for error in &findings.errors {
        println!("error: {error}");
    }
    println!(
        "{} checked, {} warnings, {} errors",
        findings.checked,
        findings.warnings.len(),
        findings.errors.len()
    );
    if findings.errors.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
