//! Which identity acts when a certificate, a token or both are shown. Pure: both are verified before.
//!
//! | certificate | without token | with token |
//! |---|---|---|
//! | none | nobody | the token's |
//! | component | nobody: it names a transport and grants nothing | the token's |
//! | member, cooperative | the certificate's | the token's, and only for what the certificate names too |
//! | principal, service account | the certificate's | refused: two who act |
//! | cluster | the certificate's | refused |
//!
//! RPCs for clusters take a cluster's certificate alone.

use allmende_identity::Identity;

use super::GroupRight;
use crate::error::AppError;

/// Said for every RPC and resource alike.
pub const PAIR_DIFFERS: &str = "the certificate and the access token do not belong together: \
    show one of them, or a token of somebody who may act for the certificate's member";

/// A good token, as far as rights go.
#[derive(Debug, Clone)]
pub struct Proof {
    /// The principal.
    pub identity: Identity,
    /// What its groups give.
    pub rights: Vec<GroupRight>,
}

/// Who calls; put into the request by the call layer.
#[derive(Debug, Clone)]
pub struct Authenticated {
    /// Who acts, and is named in the audit.
    pub identity: Identity,
    /// What the groups of its token give.
    pub rights: Vec<GroupRight>,
    /// The member or role of the cooperative whose certificate came with the token: both must name the same, and nothing beyond it.
    pub bound_to: Option<Identity>,
    /// Serial number of the certificate, where the identity is from one: a service account lists those that speak for it.
    pub serial: Option<String>,
}

impl Authenticated {
    /// Somebody with a certificate alone.
    pub fn by_certificate(identity: Identity) -> Self {
        Self { identity, rights: Vec::new(), bound_to: None, serial: None }
    }

    /// See the module.
    ///
    /// # Errors
    /// When nobody is named, or two who do not go together.
    pub fn of(
        certificate: Option<&Identity>,
        token: Option<Proof>,
        for_clusters: bool,
    ) -> Result<Self, AppError> {
        let Some(Proof { identity, rights }) = token else {
            return match certificate {
                None | Some(Identity::Component(_) | Identity::Subject { .. }) => {
                    Err(AppError::Unauthenticated)
                }
                Some(identity) => Ok(Self::by_certificate(identity.clone())),
            };
        };
        if for_clusters {
            let description =
                "clusters show their certificate and no token: this call is for clusters".to_owned();
            return Err(AppError::Forbidden { description });
        }
        let bound_to = match certificate {
            None | Some(Identity::Component(_)) => None,
            Some(named @ (Identity::Member(_) | Identity::Cooperative(_))) => Some(named.clone()),
            Some(
                Identity::Cluster(_)
                | Identity::Principal(_)
                | Identity::ServiceAccount { .. }
                | Identity::Subject { .. },
            ) => {
                return Err(AppError::Forbidden { description: PAIR_DIFFERS.to_owned() });
            }
        };
        Ok(Self { identity, rights, bound_to, serial: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY: &str = "nobody";
    const REFUSED: &str = "refused";
    const SUBJECT: &str = "allmende://issuer/lemgo/clerk";
    const LEMGO: &str = "allmende://member/m-05766044";

    fn outcome(certificate: &str, with_token: bool, for_clusters: bool) -> (String, Option<String>) {
        let certificate: Option<Identity> = certificate.parse().ok();
        let token = with_token.then(|| Proof { identity: SUBJECT.parse().unwrap(), rights: Vec::new() });
        match Authenticated::of(certificate.as_ref(), token, for_clusters) {
            Ok(who) => (who.identity.to_string(), who.bound_to.map(|bound| bound.to_string())),
            Err(AppError::Unauthenticated) => (NOBODY.to_owned(), None),
            Err(_) => (REFUSED.to_owned(), None),
        }
    }

    #[test]
    fn the_table_above_holds() {
        let cooperative = "allmende://cooperative/operator";
        let cluster = "allmende://cluster/local-1";
        let principal = "allmende://principal/kasse";
        let component = "allmende://component/portal";
        let account = "allmende://member/m-05766044/serviceaccount/ci";
        for (certificate, alone, with_token, bound) in [
            ("", NOBODY, SUBJECT, None),
            (component, NOBODY, SUBJECT, None),
            (LEMGO, LEMGO, SUBJECT, Some(LEMGO)),
            (cooperative, cooperative, SUBJECT, Some(cooperative)),
            (principal, principal, REFUSED, None),
            (account, account, REFUSED, None),
            (cluster, cluster, REFUSED, None),
            (SUBJECT, NOBODY, REFUSED, None),
        ] {
            assert_eq!(outcome(certificate, false, false), (alone.to_owned(), None), "{certificate}");
            assert_eq!(
                outcome(certificate, true, false),
                (with_token.to_owned(), bound.map(str::to_owned)),
                "{certificate} with a token"
            );
            assert_eq!(
                outcome(certificate, true, true).0,
                REFUSED,
                "{certificate} with a token, for clusters"
            );
        }
    }
}
