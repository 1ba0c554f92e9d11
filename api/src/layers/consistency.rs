//! How new the reads of a call must be, as the client asks for it, and how far an answer saw.
//!
//! * `allmende-read: strong` (the default): at least as new as all that anybody had acknowledged when the call came in.
//! * `allmende-read: session`, or a token alone: at least as new as what this replica has acknowledged and what the token saw.
//! * `allmende-consistency`: in an answer the token; in a request the token of an earlier answer, also of another replica.

use allmende_store::{ConsistencyToken, Freshness};
use http::{HeaderMap, HeaderValue};

use crate::error::AppError;

/// Of requests.
pub const READ: &str = "allmende-read";
/// Of requests and answers.
pub const CONSISTENCY: &str = "allmende-consistency";

/// What a request asks for.
pub(super) fn wish(headers: &HeaderMap) -> Result<Freshness, AppError> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("\u{fffd}"));
    let token = text(CONSISTENCY)
        .map(str::parse::<ConsistencyToken>)
        .transpose()
        .map_err(|wrong| AppError::invalid(CONSISTENCY, wrong))?;
    match (text(READ), token) {
        (Some("strong"), _) | (None, None) => Ok(Freshness::Strong),
        (Some("session") | None, token) => Ok(Freshness::Session(token)),
        (Some(_), _) => Err(AppError::invalid(READ, "must be `strong` or `session`")),
    }
}

/// Says in an answer how far it saw.
pub(super) fn tell(headers: &mut HeaderMap, token: Option<&ConsistencyToken>) {
    if let Some(token) = token
        && let Ok(value) = HeaderValue::from_str(&token.to_string())
    {
        headers.insert(CONSISTENCY, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(pairs: &[(&'static str, &str)]) -> Result<Freshness, AppError> {
        let pairs = pairs.iter().map(|(name, value)| {
            (http::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        });
        wish(&pairs.collect())
    }

    #[test]
    fn a_call_reads_strongly_unless_it_asks_for_less_and_nonsense_is_refused() {
        let token = "0123456700000000000000ff";
        let session = Freshness::Session(Some(token.parse().unwrap()));
        assert_eq!(asked(&[]).unwrap(), Freshness::Strong);
        assert_eq!(asked(&[(READ, "strong"), (CONSISTENCY, token)]).unwrap(), Freshness::Strong);
        assert_eq!(asked(&[(READ, "session")]).unwrap(), Freshness::Session(None));
        assert_eq!(asked(&[(READ, "session"), (CONSISTENCY, token)]).unwrap(), session);
        assert_eq!(asked(&[(CONSISTENCY, token)]).unwrap(), session);
        assert!(asked(&[(READ, "weak")]).is_err());
        assert!(asked(&[(READ, "strong"), (CONSISTENCY, "4711")]).is_err());
    }
}
