//! The file of trusted issuers: whose tokens are taken, and which of their groups stand for which rights.
//!
//! A group means something only together with its issuer: `lemgo/Kasse` and `wiehl/Kasse` are two groups.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use allmende_domain::{grant::Role, ids::MemberId};
use allmende_identity::token::{IssuerSettings, TokenError, TokenIdentity, TokenVerifier};
use jiff::Timestamp;
use serde::Deserialize;
use thiserror::Error;

/// The file cannot be used; names everything that is wrong.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct IssuersError(String);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    issuer: Vec<IssuerSettings>,
    #[serde(default)]
    group: Vec<GroupRow>,
}

/// One row of the table, as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupRow {
    issuer: String,
    group: String,
    member: Option<MemberId>,
    role: String,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

/// What membership in a group of an issuer gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRight {
    /// Alias of the issuer.
    pub issuer: String,
    /// The group, as the issuer writes it.
    pub group: String,
    /// For this member; none: a role of the cooperative.
    pub member: Option<MemberId>,
    /// The role.
    pub role: Role,
    /// From (inclusive); none: since the table says so.
    pub since: Option<Timestamp>,
    /// Until (exclusive); none: without end.
    pub until: Option<Timestamp>,
}

impl GroupRight {
    /// Whether it holds at this time.
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        self.since.is_none_or(|since| since <= now) && self.until.is_none_or(|until| now < until)
    }
}

/// Checks tokens and maps their groups; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Issuers {
    verifier: TokenVerifier,
    groups: Arc<Vec<GroupRight>>,
}

impl Issuers {
    /// Reads the file.
    ///
    /// # Errors
    /// Names everything that is wrong with it.
    pub fn load(path: &Path) -> Result<Self, IssuersError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| IssuersError(format!("{}: {error}", path.display())))?;
        Self::parse(&text).map_err(|error| IssuersError(format!("{}: {error}", path.display())))
    }

    /// Reads the file's text (TOML).
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn parse(text: &str) -> Result<Self, IssuersError> {
        let file: File = toml::from_str(text).map_err(|error| IssuersError(error.to_string()))?;
        let aliases: BTreeSet<String> = file.issuer.iter().map(|issuer| issuer.alias.clone()).collect();
        let mut wrong = Vec::new();
        let mut groups = Vec::new();
        for row in file.group {
            match right(row, &aliases) {
                Ok(right) => groups.push(right),
                Err(text) => wrong.push(text),
            }
        }
        match TokenVerifier::new(file.issuer) {
            Ok(verifier) if wrong.is_empty() => Ok(Self { verifier, groups: Arc::new(groups) }),
            Ok(_) => Err(IssuersError(wrong.join("; "))),
            Err(error) => {
                wrong.push(error.to_string());
                Err(IssuersError(wrong.join("; ")))
            }
        }
    }

    /// Checks a token.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub async fn verify(&self, token: &str, now: Timestamp) -> Result<TokenIdentity, TokenError> {
        self.verifier.verify(token, now.as_second()).await
    }

    /// What the groups of a good token give now.
    pub fn rights_of(&self, token: &TokenIdentity, now: Timestamp) -> Vec<GroupRight> {
        let fits = |right: &&GroupRight| {
            right.issuer == token.issuer && token.groups.contains(&right.group) && right.is_valid_at(now)
        };
        self.groups.iter().filter(fits).cloned().collect()
    }

    /// Whether an issuer with this alias is configured.
    pub fn knows(&self, alias: &str) -> bool {
        self.verifier.key_ages().iter().any(|(known, _)| known == alias)
    }

    /// The whole table.
    pub fn groups(&self) -> &[GroupRight] {
        &self.groups
    }

    /// For the keys' upkeep and metrics.
    pub fn verifier(&self) -> &TokenVerifier {
        &self.verifier
    }
}

fn right(row: GroupRow, aliases: &BTreeSet<String>) -> Result<GroupRight, String> {
    let name = format!("group {}/{}", row.issuer, row.group);
    if !aliases.contains(&row.issuer) {
        return Err(format!("{name}: there is no issuer with this alias"));
    }
    if row.group.is_empty() {
        return Err(format!("{name}: the group has no name"));
    }
    let fits = |role: &&Role| match (&row.member, role.cooperative_name()) {
        (Some(_), None) => role.to_string() == row.role,
        (None, Some(name)) => name == row.role,
        _ => false,
    };
    let role = Role::ALL.iter().find(fits).copied().ok_or_else(|| {
        format!(
            "{name}: role must be viewer, orderer, approver, accountant, auditor or admin with a member, \
             operator, treasurer or auditor (of the cooperative) without"
        )
    })?;
    Ok(GroupRight {
        issuer: row.issuer,
        group: row.group,
        member: row.member,
        role,
        since: row.since,
        until: row.until,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "[[issuer]]\nalias = \"lemgo\"\nissuer = \"https://id.lemgo.example\"\n\
        audience = \"allmende\"\nalgorithms = [\"RS256\"]\n";

    fn token(groups: &[&str]) -> TokenIdentity {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        TokenIdentity { issuer: "lemgo".into(), subject: "x".into(), groups, expires: 0 }
    }

    #[test]
    fn groups_stand_for_rights_of_their_own_issuer_and_time_only() {
        allmende_identity::install_crypto_provider();
        let text = format!(
            "{ISSUER}[[group]]\nissuer = \"lemgo\"\ngroup = \"Kasse\"\nmember = \"m-05766044\"\nrole = \"accountant\"\n\
             until = \"2027-01-01T00:00:00Z\"\n[[group]]\nissuer = \"lemgo\"\ngroup = \"RZ\"\nrole = \"operator\"\n"
        );
        let issuers = Issuers::parse(&text).unwrap();
        let now = "2026-11-24T10:00:00Z".parse().unwrap();
        let rights = issuers.rights_of(&token(&["Kasse", "andere"]), now);
        assert_eq!(rights.len(), 1);
        assert_eq!(
            (rights[0].role, rights[0].member.as_ref().unwrap().as_str()),
            (Role::Accountant, "m-05766044")
        );
        assert_eq!(issuers.rights_of(&token(&["RZ"]), now)[0].role, Role::CooperativeOperator);
        let later = "2027-01-01T00:00:00Z".parse().unwrap();
        assert!(issuers.rights_of(&token(&["Kasse"]), later).is_empty());
        assert!(issuers.rights_of(&token(&["kasse", "KASSE", "lemgo/Kasse"]), now).is_empty());
        let foreign = TokenIdentity { issuer: "wiehl".into(), ..token(&["Kasse", "RZ"]) };
        assert!(issuers.rights_of(&foreign, now).is_empty());
    }

    #[test]
    fn the_example_of_the_guide_is_a_sound_file() {
        allmende_identity::install_crypto_provider();
        let guide = include_str!("../../../docs/guides/signing-in.md");
        let example = guide.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        assert_eq!(Issuers::parse(example).unwrap().groups().len(), 2);
    }

    #[test]
    fn everything_that_is_wrong_with_the_file_is_named() {
        allmende_identity::install_crypto_provider();
        let text = format!(
            "{ISSUER}[[group]]\nissuer = \"detmold\"\ngroup = \"a\"\nrole = \"operator\"\n\
             [[group]]\nissuer = \"lemgo\"\ngroup = \"b\"\nrole = \"admin\"\n\
             [[group]]\nissuer = \"lemgo\"\ngroup = \"c\"\nmember = \"m-05766044\"\nrole = \"operator\"\n"
        );
        let error = Issuers::parse(&text).unwrap_err().to_string();
        for part in ["detmold/a", "lemgo/b", "lemgo/c"] {
            assert!(error.contains(part), "{part}: {error}");
        }
        assert!(Issuers::parse(&ISSUER.replace("https", "http")).is_err());
        assert!(Issuers::parse(&format!("{ISSUER}secret = \"x\"\n")).is_err());
        assert!(Issuers::parse("").unwrap().groups().is_empty());
    }
}
