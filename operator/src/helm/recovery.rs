//! Pure. What to do with a release, by its history: also after a run that was killed.

use super::{Revision, RevisionState};

/// The next thing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// There is nothing: install.
    Install,
    /// A revision is in force: upgrade.
    Upgrade,
    /// An interrupted upgrade: back to this revision, then on.
    Rollback(i64),
    /// An interrupted or failed first run, or a removal: remove, then install.
    UninstallFirst,
}

/// Decides by the newest revision; older ones tell what may be gone back to.
pub fn next(history: &[Revision]) -> Next {
    let Some(newest) = history.iter().max_by_key(|revision| revision.number) else { return Next::Install };
    let good = history
        .iter()
        .filter(|revision| matches!(revision.state, RevisionState::Deployed | RevisionState::Superseded))
        .max_by_key(|revision| revision.number);
    match (newest.state, good) {
        (RevisionState::Deployed | RevisionState::Superseded, _) => Next::Upgrade,
        (RevisionState::PendingUpgrade | RevisionState::PendingRollback, Some(good)) => {
            Next::Rollback(good.number)
        }
        // An upgrade over a failed revision is fine, as long as something was ever in force.
        (RevisionState::Failed | RevisionState::Other, Some(_)) => Next::Upgrade,
        (RevisionState::PendingInstall | RevisionState::Uninstalling, _) | (_, None) => Next::UninstallFirst,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(states: &[RevisionState]) -> Vec<Revision> {
        (1i64..).zip(states).map(|(number, state)| Revision { number, state: *state }).collect()
    }

    #[test]
    fn every_state_has_a_way_on() {
        use RevisionState::{
            Deployed, Failed, Other, PendingInstall, PendingRollback, PendingUpgrade, Superseded,
            Uninstalling,
        };
        let cases: [(&[RevisionState], Next); 11] = [
            (&[], Next::Install),
            (&[Deployed], Next::Upgrade),
            (&[Superseded, Deployed], Next::Upgrade),
            (&[PendingInstall], Next::UninstallFirst),
            (&[Failed], Next::UninstallFirst),
            (&[Other], Next::UninstallFirst),
            (&[Deployed, PendingUpgrade], Next::Rollback(1)),
            (&[Superseded, Deployed, PendingRollback], Next::Rollback(2)),
            (&[Deployed, Failed], Next::Upgrade),
            (&[Uninstalling], Next::UninstallFirst),
            (&[Deployed, Uninstalling], Next::UninstallFirst),
        ];
        for (states, expected) in cases {
            assert_eq!(next(&history(states)), expected, "{states:?}");
        }
    }
}
