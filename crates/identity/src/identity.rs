//! The identity text of a certificate: a URI in its subject alternative names.

use std::{fmt, str::FromStr};

use x509_parser::{extensions::GeneralName, prelude::FromDer};

/// Who a certificate is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Identity {
    /// `allmende://member/{id}`: the member itself.
    Member(String),
    /// `allmende://cluster/{id}`: the operator program of a cluster.
    Cluster(String),
    /// `allmende://component/{name}`: a part of Allmende; names a transport and grants nothing.
    Component(String),
    /// `allmende://principal/{id}`: a person or service whose rights are grants.
    Principal(String),
    /// `allmende://cooperative/{operator|treasurer|auditor}`.
    Cooperative(String),
}

const SCHEME: &str = "allmende://";
const COOPERATIVE: [&str; 3] = ["operator", "treasurer", "auditor"];

/// A text that is no identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no identity: expected allmende://kind/name")]
pub struct IdentityError;

fn is_name(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

impl FromStr for Identity {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let (kind, name) =
            text.strip_prefix(SCHEME).and_then(|rest| rest.split_once('/')).ok_or(IdentityError)?;
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
            Self::Member(name) => ("member", name),
            Self::Cluster(name) => ("cluster", name),
            Self::Component(name) => ("component", name),
            Self::Principal(name) => ("principal", name),
            Self::Cooperative(name) => ("cooperative", name),
        };
        write!(f, "{SCHEME}{kind}/{name}")
    }
}

impl Identity {
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
        if uris.next().is_some() { None } else { first.parse().ok() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_follow_a_strict_grammar() {
        for good in
            ["allmende://member/m-05766044", "allmende://cluster/local-1", "allmende://cooperative/treasurer"]
        {
            assert_eq!(good.parse::<Identity>().unwrap().to_string(), good);
        }
        for bad in [
            "allmende://member/",
            "allmende://member/A",
            "allmende://cooperative/king",
            "allmende://x/y",
            "member/m-1",
            "allmende://member/a/b",
            "allmende://member/a?b",
            "ALLMENDE://member/a",
            "allmende://member/ä",
        ] {
            assert!(bad.parse::<Identity>().is_err(), "{bad}");
        }
    }
}
