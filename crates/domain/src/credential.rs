//! How a cluster gets and keeps its certificate: a join token that counts once, and a chain of renewals that forks only for a thief.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::ClusterId;

/// A token with which a cluster gets a certificate, once. At most one for each cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinToken {
    /// For this cluster.
    pub cluster: ClusterId,
    /// SHA-256 of the token, hex. The token itself is nowhere.
    pub hash: String,
    /// Not from then on.
    pub expire_time: Timestamp,
}

impl JoinToken {
    /// Whether a token with this hash opens the door now.
    pub fn admits(&self, hash: &str, now: Timestamp) -> bool {
        self.hash == hash && now < self.expire_time
    }
}

/// The certificates of one cluster, as far as this installation issued them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterCredential {
    /// Of this cluster.
    pub cluster: ClusterId,
    /// Serial number of the last one issued, hex; none before the first.
    pub current: Option<String>,
    /// Serial number of the one under which that was renewed. Still good for another renewal: the answer may have been lost.
    pub renewed_from: Option<String>,
    /// What was issued before is refused.
    pub barred_before: Option<Timestamp>,
}

/// Why a certificate is not renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this certificate was renewed already, and the next one was renewed too: somebody else holds a copy")]
pub struct ForkedRenewal;

impl ClusterCredential {
    /// Of a cluster that has none yet.
    pub fn none(cluster: ClusterId) -> Self {
        Self { cluster, current: None, renewed_from: None, barred_before: None }
    }

    /// Joined anew: an earlier chain of renewals ends.
    #[must_use]
    pub fn joined(&self, serial: &str) -> Self {
        Self { current: Some(serial.to_owned()), renewed_from: None, ..self.clone() }
    }

    /// Whether a certificate with this serial number may be renewed. One that was issued elsewhere begins a chain.
    ///
    /// # Errors
    /// When the chain went on without it.
    pub fn may_renew(&self, presented: &str) -> Result<(), ForkedRenewal> {
        match &self.current {
            None => Ok(()),
            Some(current) if current == presented => Ok(()),
            Some(_) if self.renewed_from.as_deref() == Some(presented) => Ok(()),
            Some(_) => Err(ForkedRenewal),
        }
    }

    /// Renewed.
    ///
    /// # Errors
    /// As [`may_renew`](Self::may_renew).
    pub fn renewed(&self, presented: &str, serial: &str) -> Result<Self, ForkedRenewal> {
        self.may_renew(presented)?;
        let (current, renewed_from) = (Some(serial.to_owned()), Some(presented.to_owned()));
        Ok(Self { current, renewed_from, ..self.clone() })
    }

    /// Shut out: nothing that was issued before `now` counts, and the next certificate comes by a new join.
    #[must_use]
    pub fn barred(&self, now: Timestamp) -> Self {
        // A certificate tells its begin in whole seconds: the bar lies at the next.
        let next = Timestamp::from_second(now.as_second().saturating_add(1)).unwrap_or(now);
        Self { current: None, renewed_from: None, barred_before: Some(next), ..self.clone() }
    }

    /// When a certificate issued now begins, Unix seconds: a little in the past for clocks that lag, and never before the bar.
    pub fn not_before(&self, now: Timestamp) -> i64 {
        let lagging = now.as_second().saturating_sub(60);
        self.barred_before.map_or(lagging, |bar| lagging.max(bar.as_second()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn none() -> ClusterCredential {
        ClusterCredential::none("local-1".parse().unwrap())
    }

    #[test]
    fn a_lost_answer_is_asked_for_again_and_a_fork_is_found_out() {
        let joined = none().joined("a");
        let renewed = joined.renewed("a", "b").unwrap();
        let again = renewed.renewed("a", "c").unwrap();
        assert_eq!(
            again.may_renew("b"),
            Err(ForkedRenewal),
            "b was given to somebody, and the chain went on"
        );
        assert_eq!(again.renewed("c", "d").unwrap().may_renew("a"), Err(ForkedRenewal));
    }

    #[test]
    fn a_token_counts_for_its_hash_and_until_its_time() {
        let expire_time: Timestamp = "2026-11-24T11:00:00Z".parse().unwrap();
        let token = JoinToken { cluster: "local-1".parse().unwrap(), hash: "h".into(), expire_time };
        let before = "2026-11-24T10:59:59Z".parse().unwrap();
        assert!(token.admits("h", before) && !token.admits("i", before) && !token.admits("h", expire_time));
    }

    #[test]
    fn what_is_issued_after_a_bar_is_not_barred() {
        let now: Timestamp = "2026-11-24T10:00:00.5Z".parse().unwrap();
        let barred = none().joined("a").barred(now);
        let bar = barred.barred_before.unwrap().as_second();
        assert!(bar > now.as_second());
        assert!(barred.not_before(now) >= bar);
    }

    proptest! {
        /// Two hold a copy of the first certificate and renew in any order: at most one of them can go on.
        #[test]
        fn two_holders_of_one_certificate_cannot_both_go_on(turns in proptest::collection::vec(any::<bool>(), 1..30)) {
            let mut credential = none().joined("0");
            let mut held = ["0".to_owned(), "0".to_owned()];
            let mut alive = [true, true];
            let mut renewals = [0, 0];
            for (index, second) in turns.into_iter().enumerate() {
                let who = usize::from(second);
                let serial = format!("{}", index + 1);
                match credential.renewed(&held[who], &serial) {
                    Ok(next) if alive[who] => {
                        credential = next;
                        held[who] = serial;
                        renewals[who] += 1;
                    }
                    Ok(_) => prop_assert!(false, "who was refused once stays refused"),
                    Err(ForkedRenewal) => alive[who] = false,
                }
            }
            prop_assert!(renewals[0] < 2 || renewals[1] < 2, "{renewals:?}");
        }
    }
}
