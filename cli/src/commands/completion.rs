//! `allmende completion`.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::{
    arguments::{Cli, Globals},
    failure::Failure,
    output::Printer,
};

/// Prints the completion script
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  allmende completion bash > /etc/bash_completion.d/allmende\n  allmende completion zsh > ~/.zfunc/_allmende"
)]
pub(crate) struct Args {
    /// For which shell
    shell: Shell,
}

pub(crate) fn run(args: Args, globals: &Globals) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "allmende", &mut script);
    Printer::new(globals.output, globals.lang()).bytes(&script)
}
