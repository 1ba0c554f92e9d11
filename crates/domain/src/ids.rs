//! Identifiers. Each kind has its own type and grammar, so that none can stand where another is meant.
//!
//! Permanent once given. Nothing derives an owner or a debtor from the text of an id.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A text that is not an identifier of the kind asked for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{expected}")]
pub struct IdError {
    /// What would have been right, for people.
    pub expected: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $check:expr, $expected:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let check: fn(&str) -> bool = $check;
                if check(text) { Ok(Self(text.to_owned())) } else { Err(IdError { expected: $expected }) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

fn is_lower_alnum(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

/// `[a-z0-9]([a-z0-9-]*[a-z0-9])?` of at most `max` characters.
fn is_label(text: &str, max: usize) -> bool {
    let bytes = text.as_bytes();
    bytes.len() <= max
        && bytes.first().is_some_and(|b| is_lower_alnum(*b))
        && bytes.last().is_some_and(|b| is_lower_alnum(*b))
        && bytes.iter().all(|b| is_lower_alnum(*b) || *b == b'-')
}

fn is_slug(text: &str) -> bool {
    is_label(text, 32)
}

fn digits_after(text: &str, prefix: &str, count: usize) -> bool {
    text.strip_prefix(prefix)
        .is_some_and(|rest| rest.len() == count && rest.bytes().all(|b| b.is_ascii_digit()))
}

fn is_member(text: &str) -> bool {
    if digits_after(text, "m-", 8) || digits_after(text, "k-", 5) {
        return true;
    }
    // A slug must not look like a register id, or somebody could take the place of a body that has yet to join.
    let looks_registered = ["m-", "k-"].iter().any(|prefix| {
        text.strip_prefix(prefix).is_some_and(|rest| rest.bytes().next().is_some_and(|b| b.is_ascii_digit()))
    });
    is_label(text, 32)
        && text.len() >= 3
        && !looks_registered
        && text.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_digit() || (b'a'..=b'f').contains(&b),
        })
}

id!(
    /// A member: `m-05766044` (municipality, from the AGS), `k-03455` (county), else a slug.
    MemberId, is_member,
    "must be m- and an AGS of 8 digits, k- and a Kreisschlüssel of 5 digits, or 3 to 32 of a-z, 0-9 and - that begin with a letter"
);
id!(
    /// A tenant within its member, usually the stage. Without hyphen: `{member}-{tenant}` names the workspace namespace and must
    /// have one reading only; `svc` is the services namespace's ending.
    TenantId,
    |text| !text.is_empty() && text.len() <= 16 && text.bytes().all(is_lower_alnum) && text != "svc",
    "must be 1 to 16 of a-z and 0-9, for example prod or test, and not svc"
);
id!(
    /// A service instance within its tenant; also the Helm release's name.
    InstanceId,
    |text| is_label(text, 20) && text.bytes().next().is_some_and(|b| b.is_ascii_lowercase()),
    "must be 1 to 20 of a-z, 0-9 and - that begin with a letter and do not end with -"
);
id!(
    /// A cluster.
    ClusterId, is_slug, "must be 1 to 32 of a-z, 0-9 and -, not - at the ends");
id!(
    /// A catalogue entry.
    OfferingId, is_slug, "must be 1 to 32 of a-z, 0-9 and -, not - at the ends");
id!(
    /// A plan within an offering version.
    PlanId, is_slug, "must be 1 to 32 of a-z, 0-9 and -, not - at the ends");
id!(
    /// A bill-to under a member. The first one is `main`.
    BillToId, is_slug, "must be 1 to 32 of a-z, 0-9 and -, not - at the ends");
id!(
    /// A price list.
    PriceListId, is_slug, "must be 1 to 32 of a-z, 0-9 and -, not - at the ends");
id!(
    /// An allocation key (Umlageschlüssel).
    KeyId, is_slug, "must be 1 to 32 of a-z, 0-9 and -, not - at the ends");
id!(
    /// A pot (Umlagetopf).
    PotId, is_slug, "must be 1 to 32 of a-z, 0-9 and -, not - at the ends");
id!(
    /// A rule by which the pool is divided.
    PoolRuleId, is_slug, "must be 1 to 32 of a-z, 0-9 and -, not - at the ends");
id!(
    /// A loan of entitlement: a UUID.
    LoanId, is_uuid, "must be a UUID in lower case");
id!(
    /// A grant under a member: a UUID.
    GrantId, is_uuid, "must be a UUID in lower case");
id!(
    /// A service account under a member.
    ServiceAccountId, is_slug, "must be 1 to 32 of a-z, 0-9 and -, not - at the ends");
id!(
    /// A credential under a service account: a UUID.
    CredentialId, is_uuid, "must be a UUID in lower case");
id!(
    /// A long-running operation under a member: a UUID.
    OperationId, is_uuid, "must be a UUID in lower case");
id!(
    /// One life of a tenant or instance: a new one of the same name has another.
    Uid, is_uuid, "must be a UUID in lower case");
id!(
    /// A request for more, under a member: a UUID.
    QuotaRequestId, is_uuid, "must be a UUID in lower case");
id!(
    /// Makes a change count once.
    RequestId, is_uuid, "must be a UUID in lower case");

impl MemberId {
    /// The id that follows from a register key: AGS of 8 digits or Kreisschlüssel of 5.
    pub fn from_register_key(key: &str) -> Result<Self, IdError> {
        let prefix = if key.len() == 8 { "m-" } else { "k-" };
        format!("{prefix}{key}")
            .parse()
            .map_err(|_| IdError { expected: "must be an AGS of 8 digits or a Kreisschlüssel of 5 digits" })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_id_is_taken_as_it_is_and_never_holds_what_separates_keys_or_names(text in "[a-z0-9./ -]{0,34}|\\PC{0,40}") {
            let taken = [
                text.parse::<MemberId>().map(String::from),
                text.parse::<TenantId>().map(String::from),
                text.parse::<InstanceId>().map(String::from),
                text.parse::<ClusterId>().map(String::from),
                text.parse::<RequestId>().map(String::from),
            ];
            for id in taken.into_iter().flatten() {
                prop_assert_eq!(&id, &text);
                prop_assert!(!id.is_empty() && id.len() <= 36);
                prop_assert!(id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'), "{}", id);
            }
        }

        #[test]
        fn a_namespace_has_one_reading(member in "[a-z][a-z0-9-]{1,30}[a-z0-9]", tenant in "[a-z0-9]{1,16}") {
            let (Ok(member), Ok(tenant)) = (member.parse::<MemberId>(), tenant.parse::<TenantId>()) else { return Ok(()) };
            let namespace = format!("{member}-{tenant}");
            prop_assert_eq!(namespace.rsplit_once('-'), Some((member.as_str(), tenant.as_str())));
            // With the services namespace's ending it is still a label of DNS.
            prop_assert!(namespace.len() + "-svc".len() <= 63);
        }

        #[test]
        fn a_slug_never_takes_the_place_of_a_body_of_the_register(digits in "[0-9]{1,12}", kind in "[mk]") {
            let id = format!("{kind}-{digits}");
            let registered = (kind == "m" && digits.len() == 8) || (kind == "k" && digits.len() == 5);
            prop_assert_eq!(id.parse::<MemberId>().is_ok(), registered);
        }
    }

    #[test]
    fn member_ids_follow_their_grammar() {
        for good in ["m-05766044", "k-03455", "zweckverband-nord", "abc"] {
            assert!(good.parse::<MemberId>().is_ok(), "{good}");
        }
        for bad in [
            "m-0576604",
            "m-057660444",
            "k-3455",
            "m-1",
            "ab",
            "-abc",
            "abc-",
            "Abc",
            "a/b",
            "a..b",
            "ä-x",
            "1abc",
            "",
        ] {
            assert!(bad.parse::<MemberId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_tenant_id_has_no_hyphen_so_that_namespace_names_have_one_reading() {
        assert!("prod".parse::<TenantId>().is_ok());
        for bad in ["a-b", "svc", "", "Prod", "abcdefghijklmnopq"] {
            assert!(bad.parse::<TenantId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_uuid_is_lower_case_and_whole() {
        assert!("0192f0c1-2345-7abc-8def-0123456789ab".parse::<RequestId>().is_ok());
        assert!("0192F0C1-2345-7abc-8def-0123456789ab".parse::<RequestId>().is_err());
        assert!("0192f0c123457abc8def0123456789ab".parse::<RequestId>().is_err());
    }
}
