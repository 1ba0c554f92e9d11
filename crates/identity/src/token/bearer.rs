//! The one place of a request in which a token may stand.

use http::{HeaderMap, header::AUTHORIZATION};

use super::TokenError;

/// Longest header value that is taken.
const LONGEST: usize = 8 << 10;

/// The token of a request; none when there is no `authorization` header. Other metadata is never looked at.
///
/// # Errors
/// When the header is there twice, is too long, has another scheme, or anything but the characters of a JWT after it.
pub fn bearer(headers: &HeaderMap) -> Result<Option<&str>, TokenError> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() || value.len() > LONGEST {
        return Err(TokenError::Header);
    }
    let token =
        value.to_str().ok().and_then(|text| text.strip_prefix("Bearer ")).ok_or(TokenError::Header)?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if token.is_empty() || !token.bytes().all(allowed) {
        return Err(TokenError::Header);
    }
    Ok(Some(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Result<Option<String>, TokenError> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, value.parse().unwrap());
        }
        bearer(&headers).map(|token| token.map(str::to_owned))
    }

    #[test]
    fn one_header_with_the_scheme_and_a_token_is_taken_and_none_is_none() {
        assert_eq!(read(&["Bearer a.b-c_d.e"]), Ok(Some("a.b-c_d.e".to_owned())));
        assert_eq!(read(&[]), Ok(None));
    }

    #[test]
    fn everything_else_is_refused() {
        let long = format!("Bearer {}", "a".repeat(64 << 10));
        for bad in [
            "",
            "Bearer",
            "Bearer ",
            "bearer a.b.c",
            "BEARER a.b.c",
            "Bearer  a.b.c",
            "Bearer a.b.c ",
            "Basic YTpi",
            "a.b.c",
            "Bearer a.b.c, Bearer d.e.f",
            "Bearer a=b",
            &long,
        ] {
            assert_eq!(read(&[bad]), Err(TokenError::Header), "{bad:.40}");
        }
        assert_eq!(read(&["Bearer a.b.c", "Bearer a.b.c"]), Err(TokenError::Header), "twice");
        let mut headers = HeaderMap::new();
        headers.insert("authorization-bin", "Bearer a.b.c".parse().unwrap());
        headers.insert("x-forwarded-access-token", "a.b.c".parse().unwrap());
        assert_eq!(bearer(&headers), Ok(None), "no other header is looked at");
    }
}
