//! Access tokens before their signature is checked, and the header in which they stand. No key is at hand here, so none is ever good.

use std::sync::LazyLock;

use allmende_api::authn::Issuers;
use allmende_identity::token::{TokenError, bearer};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use jiff::Timestamp;

/// An issuer that no seed names: a token that names it would ask the net for its keys.
static ISSUERS: LazyLock<Option<Issuers>> = LazyLock::new(|| Issuers::parse(crate::files::ISSUERS).ok());

pub(crate) fn check(bytes: &[u8]) -> bool {
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_bytes(&[b"Bearer ", bytes].concat()) {
        headers.insert(AUTHORIZATION, value);
    }
    let in_header = matches!(bearer(&headers), Ok(Some(_)));
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Some(issuers) = ISSUERS.as_ref() else { panic!("the issuers of the seeds are unreadable") };
    let outcome = futures::executor::block_on(issuers.verify(text, Timestamp::UNIX_EPOCH));
    let Err(error) = outcome else { panic!("a token that nobody signed was taken") };
    // So far only a token comes whose header and claims were read.
    in_header && matches!(error, TokenError::UnknownIssuer)
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let claims =
        r#"{"iss":"https://other.example","aud":"allmende","sub":"s","exp":60,"iat":0,"groups":["a"]}"#;
    let token =
        |header: &str| format!("{}.{}.{}", part(header), part(claims), part("signature")).into_bytes();
    vec![
        token(r#"{"alg":"ES256","kid":"k","typ":"at+jwt"}"#),
        token(r#"{"alg":"RS256","kid":"k","typ":"JWT"}"#),
    ]
}
