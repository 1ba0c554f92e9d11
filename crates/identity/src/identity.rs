//! The identity text of a certificate: a URI in its subject alternative names.

use std::{fmt, str::FromStr};

use crate::http_client::{percent_decoded, percent_encoded};
use x509_parser::{extensions::GeneralName, prelude::FromDer};

/// Who a certificate is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Identity {
    /// `allmende://member/{id}`: the member itself.
    Member(String),
    /// `allmende://member/{member}/serviceaccount/{account}`: a program of a member, whose rights are its scopes.
    ServiceAccount {
        /// The member's id.
        member: String,
        /// The account's id within it.
        account: String,
    },
    /// `allmende://cluster/{id}`: the operator program of a cluster.
    Cluster(String),
    /// `allmende://component/{name}`: a part of Allmende; names a transport and grants nothing.
    Component(String),
    /// `allmende://principal/{id}`: a person or service whose rights are grants.
    Principal(String),
    /// `allmende://cooperative/{operator|treasurer|auditor}`.
    Cooperative(String),
    /// `allmende://issuer/{alias}/{subject}`: whom a configured issuer's access token is for. Never from a certificate.
    Subject {
        /// Alias of the issuer, as configured.
        issuer: String,
        /// `sub` as the issuer writes it; percent-encoded in the text.
        subject: String,
    },
}

const SCHEME: &str = "allmende://";
/// Longest subject of a token, bytes.
const SUBJECT_MAX: usize = 255;
/// What stands between a member and its service account.
const SERVICE_ACCOUNT: &str = "serviceaccount";
const COOPERATIVE: [&str; 3] = ["operator", "treasurer", "auditor"];

/// A text that is no identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no identity: expected allmende://kind/name")]
pub struct IdentityError;

/// Whether a text can name somebody, or an issuer.
pub(crate) fn is_name(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

impl FromStr for Identity {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let (kind, name) =
            text.strip_prefix(SCHEME).and_then(|rest| rest.split_once('/')).ok_or(IdentityError)?;
        if kind == "issuer" {
            return subject_of(name).ok_or(IdentityError);
        }
        if kind == "member"
            && let Some((member, rest)) = name.split_once('/')
        {
            return account_of(member, rest).ok_or(IdentityError);
        }
        if !is_name(name) {
            return Err(IdentityError);
        }
        let name = name.to_owned();
        match kind {
            "member" => Ok(Self::Member(name)),
            "cluster" => Ok(Self::Cluster(name)),
            "component" => Ok(Self::Component(name)),
            "principal" => Ok(Self::Principal(name)),
            "cooperative" if COOPERATIVE.contains(&name.as_str()) => Ok(Self::Cooperative(name)),
            _ => Err(IdentityError),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, name) = match self {
            Self::Subject { issuer, subject } => {
                return write!(f, "{SCHEME}issuer/{issuer}/{}", percent_encoded(subject));
            }
            Self::ServiceAccount { member, account } => {
                return write!(f, "{SCHEME}member/{member}/{SERVICE_ACCOUNT}/{account}");
            }
            Self::Member(name) => ("member", name),
            Self::Cluster(name) => ("cluster", name),
            Self::Component(name) => ("component", name),
            Self::Principal(name) => ("principal", name),
            Self::Cooperative(name) => ("cooperative", name),
        };
        write!(f, "{SCHEME}{kind}/{name}")
    }
}

/// `{alias}/{subject}`. There is one text for each subject: what is not encoded as we would is refused.
fn subject_of(text: &str) -> Option<Identity> {
    let (issuer, encoded) = text.split_once('/')?;
    let subject = percent_decoded(encoded)?;
    let sound = is_name(issuer) && !subject.is_empty() && subject.len() <= SUBJECT_MAX;
    let canonical = percent_encoded(&subject) == encoded && !subject.chars().any(char::is_control);
    (sound && canonical).then(|| Identity::Subject { issuer: issuer.to_owned(), subject })
}

/// `{member}` and `serviceaccount/{account}`. `-` alone, which stands for all accounts where something is refused, names nobody.
fn account_of(member: &str, rest: &str) -> Option<Identity> {
    let account = rest.strip_prefix(SERVICE_ACCOUNT)?.strip_prefix('/')?;
    let sound = is_name(member) && is_name(account) && !account.starts_with('-');
    sound.then(|| Identity::ServiceAccount { member: member.to_owned(), account: account.to_owned() })
}

impl Identity {
    /// The text that stands for all service accounts of a member, where something is refused.
    pub fn service_accounts_of(member: &str) -> String {
        format!("{SCHEME}member/{member}/{SERVICE_ACCOUNT}/-")
    }

    /// The same for the member of this account; none for who is no service account.
    pub(crate) fn siblings(&self) -> Option<String> {
        match self {
            Self::ServiceAccount { member, .. } => Some(Self::service_accounts_of(member)),
            _ => None,
        }
    }

    /// The identity of a leaf certificate that was verified before. None unless there is exactly one `allmende://` URI and it is sound:
    /// two of them would let a caller choose.
    pub fn of_certificate(der: &[u8]) -> Option<Self> {
        let (_, certificate) = x509_parser::certificate::X509Certificate::from_der(der).ok()?;
        let names = certificate.subject_alternative_name().ok()??;
        let mut uris = names.value.general_names.iter().filter_map(|name| match name {
            GeneralName::URI(uri) if uri.starts_with(SCHEME) => Some(*uri),
            _ => None,
        });
        let first = uris.next()?;
        let identity = if uris.next().is_some() { None } else { first.parse().ok() };
        // Subjects are for their issuer to name, with a token: no authority of ours speaks for it.
        identity.filter(|identity| !matches!(identity, Self::Subject { .. }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_has_exactly_one_text() {
        for subject in ["8f1c", "kämmerei@lemgo.example", "a/b?c#d", "100%", "auth0|5", " "] {
            let identity = Identity::Subject { issuer: "lemgo".into(), subject: subject.into() };
            assert_eq!(identity.to_string().parse::<Identity>().unwrap(), identity, "{subject}");
        }
        for bad in [
            "allmende://issuer/lemgo",
            "allmende://issuer/lemgo/",
            "allmende://issuer/Lemgo/a",
            "allmende://issuer/lemgo/a/b",
            "allmende://issuer/lemgo/%61",
            "allmende://issuer/lemgo/%2f",
            "allmende://issuer/lemgo/%0A",
            "allmende://issuer/lemgo/%C3",
            "allmende://issuer/lemgo/%+1",
            "allmende://issuer/lemgo/ä",
            "allmende://issuer//a",
        ] {
            assert!(bad.parse::<Identity>().is_err(), "{bad}");
        }
    }

    #[test]
    fn identities_follow_a_strict_grammar() {
        for good in [
            "allmende://member/m-05766044",
            "allmende://member/m-05766044/serviceaccount/ci",
            "allmende://cluster/local-1",
            "allmende://cooperative/treasurer",
        ] {
            assert_eq!(good.parse::<Identity>().unwrap().to_string(), good);
        }
        for bad in [
            "allmende://member/",
            "allmende://member/A",
            "allmende://cooperative/king",
            "allmende://x/y",
            "member/m-1",
            "allmende://member/a/b",
            "allmende://member/a/",
            "allmende://member/a/serviceaccount",
            "allmende://member/a/serviceaccount/",
            "allmende://member/a/serviceaccount/-",
            "allmende://member/a/serviceaccount/b/c",
            "allmende://member/a/serviceaccountb",
            "allmende://member/a/ServiceAccount/b",
            "allmende://member//serviceaccount/b",
            "allmende://cluster/a/serviceaccount/b",
            "allmende://principal/a/serviceaccount/b",
            "allmende://member/a?b",
            "ALLMENDE://member/a",
            "allmende://member/ä",
        ] {
            assert!(bad.parse::<Identity>().is_err(), "{bad}");
        }
    }
}
