//! The claims of a token whose signature is good. Each by its exact type: a wrong type is a refusal, never "absent".

use serde_json::{Map, Value};

use super::{IssuerSettings, TokenError, TokenIdentity, TokenKind};

/// Longest subject (OpenID Connect Core, section 2).
const SUBJECT_MAX: usize = 255;
/// Most groups that are read.
const GROUPS_MAX: usize = 512;

/// Checks everything that a signature does not say; `now` in seconds since 1970.
pub(super) fn check(
    claims: &Map<String, Value>,
    settings: &IssuerSettings,
    now: i64,
) -> Result<TokenIdentity, TokenError> {
    if text(claims, "iss")? != settings.issuer {
        return Err(TokenError::claim("iss", "is not the configured issuer"));
    }
    audience(claims, &settings.audience)?;
    client(claims, &settings.clients)?;
    if settings.token_kind == TokenKind::Keycloak
        && claims.get("typ").and_then(Value::as_str) != Some("Bearer")
    {
        return Err(TokenError::WrongType);
    }
    let expires = times(claims, settings, now)?;
    let subject = text(claims, "sub")?;
    if subject.len() > SUBJECT_MAX || subject.chars().any(char::is_control) {
        return Err(TokenError::claim("sub", "is longer than 255 bytes or has control characters"));
    }
    Ok(TokenIdentity {
        issuer: settings.alias.clone(),
        subject: subject.to_owned(),
        groups: groups(claims, settings.groups_claim.as_deref())?,
        expires,
    })
}

/// RFC 7519, 4.1.3: one text or an array of texts, and we are in it.
fn audience(claims: &Map<String, Value>, ours: &str) -> Result<(), TokenError> {
    let named = match claims.get("aud") {
        Some(Value::String(one)) => one == ours,
        Some(Value::Array(many)) if many.iter().all(Value::is_string) => {
            many.iter().any(|one| one.as_str() == Some(ours))
        }
        _ => return Err(TokenError::claim("aud", "is missing, or no text and no array of texts")),
    };
    if named { Ok(()) } else { Err(TokenError::claim("aud", "does not name this API")) }
}

fn client(claims: &Map<String, Value>, allowed: &[String]) -> Result<(), TokenError> {
    if allowed.is_empty() {
        return Ok(());
    }
    let claim = if claims.contains_key("client_id") { "client_id" } else { "azp" };
    let program = text(claims, claim)?;
    if allowed.iter().any(|one| one == program) {
        Ok(())
    } else {
        Err(TokenError::claim(claim, "is not one of the configured programs"))
    }
}

/// The times; gives the expiry.
fn times(claims: &Map<String, Value>, settings: &IssuerSettings, now: i64) -> Result<i64, TokenError> {
    let leeway = settings.leeway_seconds;
    let (issued, expires) = (seconds(claims, "iat")?, seconds(claims, "exp")?);
    let not_before =
        if settings.require_nbf || claims.contains_key("nbf") { seconds(claims, "nbf")? } else { issued };
    if now >= expires.saturating_add(leeway) {
        return Err(TokenError::claim("exp", "has passed: sign in again"));
    }
    if not_before > now.saturating_add(leeway) {
        return Err(TokenError::claim("nbf", "lies in the future"));
    }
    if issued > now.saturating_add(leeway) {
        return Err(TokenError::claim("iat", "lies in the future"));
    }
    if expires.saturating_sub(issued) > settings.longest_life_seconds {
        return Err(TokenError::claim("exp", "makes the token live longer than is configured"));
    }
    Ok(expires)
}

/// RFC 7519 allows fractions; nobody needs them, and a whole number leaves nothing to interpret.
fn seconds(claims: &Map<String, Value>, claim: &str) -> Result<i64, TokenError> {
    claims
        .get(claim)
        .and_then(Value::as_i64)
        .filter(|seconds| *seconds >= 0)
        .ok_or_else(|| TokenError::claim(claim, "is missing, or no whole number of seconds"))
}

fn text<'a>(claims: &'a Map<String, Value>, claim: &str) -> Result<&'a str, TokenError> {
    claims
        .get(claim)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
        .ok_or_else(|| TokenError::claim(claim, "is missing, or no text"))
}

/// Absent groups are no groups; anything but an array of texts is a refusal.
fn groups(claims: &Map<String, Value>, claim: Option<&str>) -> Result<Vec<String>, TokenError> {
    let Some((claim, value)) = claim.and_then(|claim| claims.get(claim).map(|value| (claim, value))) else {
        return Ok(Vec::new());
    };
    let array = value.as_array().filter(|array| array.len() <= GROUPS_MAX);
    let texts: Option<Vec<String>> =
        array.and_then(|array| array.iter().map(|one| one.as_str().map(str::to_owned)).collect());
    texts
        .filter(|texts| texts.iter().all(|one| !one.is_empty()))
        .ok_or_else(|| TokenError::claim(claim, "must be an array of at most 512 texts"))
}
