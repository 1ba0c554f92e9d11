//! Asking before something that cannot be undone.

use std::io::{BufRead, IsTerminal, Write};

use crate::{arguments::ConfirmArgs, failure::Failure, language::Lang};

/// Goes on only when the person types the name, or said `--yes`. Without a terminal nobody can be asked: `--yes` is needed.
pub(crate) fn deletion(name: &str, args: ConfirmArgs, lang: Lang) -> Result<(), Failure> {
    let question = lang.pick(
        "wird gelöscht. Zur Bestätigung den Namen eingeben",
        "will be deleted. Type the name to confirm",
    );
    ask(name, question, args)
}

/// As [`deletion`], before invoices get their numbers.
pub(crate) fn issuing(period: &str, args: ConfirmArgs, lang: Lang) -> Result<(), Failure> {
    let german = "wird endgültig abgerechnet. Zur Bestätigung den Zeitraum eingeben";
    ask(period, lang.pick(german, "will be invoiced for good. Type the period to confirm"), args)
}

/// As [`deletion`], before a restored store becomes the valid state for all clusters.
pub(crate) fn restored(name: &str, args: ConfirmArgs, lang: Lang) -> Result<(), Failure> {
    let german = "wird nach einer Rücksicherung für alle Cluster gültig; was dort neuer ist, gilt dann als überholt oder verwaist \
                  (gelöscht wird nichts). Zur Bestätigung den Namen eingeben";
    let english = "was restored and becomes valid for all clusters; what is newer there counts as outdated or orphaned then (nothing is \
                   deleted). Type the name to confirm";
    ask(name, lang.pick(german, english), args)
}

/// As [`deletion`], before a cluster is shut out.
pub(crate) fn revocation(cluster: &str, args: ConfirmArgs, lang: Lang) -> Result<(), Failure> {
    let german = "wird ausgesperrt, bis es neu beitritt. Zur Bestätigung den Namen eingeben";
    ask(cluster, lang.pick(german, "will be shut out until it joins anew. Type the name to confirm"), args)
}

/// As [`deletion`], before somebody's certificates are refused.
pub(crate) fn shut_out(principal: &str, args: ConfirmArgs, lang: Lang) -> Result<(), Failure> {
    let german = "wird mit diesen Zertifikaten abgewiesen, auch wer jetzt verbunden ist. Zur Bestätigung den Namen eingeben";
    let english = "will be refused with these certificates, also while connected. Type the name to confirm";
    ask(principal, lang.pick(german, english), args)
}

fn ask(name: &str, question: &str, args: ConfirmArgs) -> Result<(), Failure> {
    if args.yes {
        return Ok(());
    }
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(Failure::Usage(format!(
            "{name}: this cannot be undone, and nobody can be asked here: say --yes"
        )));
    }
    let short = name.rsplit('/').next().unwrap_or(name);
    let mut stderr = std::io::stderr();
    let _ = write!(stderr, "{name} {question} ({short}): ").and_then(|()| stderr.flush());
    let mut line = String::new();
    stdin.lock().read_line(&mut line).map_err(|error| Failure::Local(error.to_string()))?;
    answer(line.trim(), short)
}

fn answer(given: &str, wanted: &str) -> Result<(), Failure> {
    if given == wanted { Ok(()) } else { Err(Failure::Usage("another name: nothing was done".to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_name_confirms() {
        assert!(answer("db", "db").is_ok());
        for other in ["", "y", "DB", "db2"] {
            assert!(answer(other, "db").is_err(), "{other}");
        }
    }
}
