//! Pages of a list (AIP-158): the token is opaque and bound to the list and its filter.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

use crate::error::AppError;

/// Page size when the client names none.
pub const PAGE_SIZE_DEFAULT: usize = 50;
/// Larger wishes are clamped to this.
pub const PAGE_SIZE_MAX: usize = 500;

const TOKEN_VERSION: u8 = 1;
const FINGERPRINT_LENGTH: usize = 8;

/// A validated wish for one page.
#[derive(Debug, Clone)]
pub struct PageRequest {
    size: usize,
    after: Option<String>,
    fingerprint: [u8; FINGERPRINT_LENGTH],
}

/// One page of a list.
#[derive(Debug)]
pub struct Page<T> {
    /// The rows, in key order.
    pub items: Vec<T>,
    /// Empty at the end.
    pub next_page_token: String,
}

impl PageRequest {
    /// Reads size and token. `filter` is the list's name with all its filters: a token of another one is refused.
    pub fn parse(page_size: i32, page_token: &str, filter: &str) -> Result<Self, AppError> {
        let size = match usize::try_from(page_size) {
            Err(_) => return Err(AppError::invalid("page_size", "must not be negative")),
            Ok(0) => PAGE_SIZE_DEFAULT,
            Ok(size) => size.min(PAGE_SIZE_MAX),
        };
        let fingerprint = fingerprint(filter);
        let after = if page_token.is_empty() { None } else { Some(decode(page_token, fingerprint)?) };
        Ok(Self { size, after, fingerprint })
    }

    /// The raw key after which the page begins.
    pub fn after(&self) -> Option<&str> {
        self.after.as_deref()
    }

    /// How many rows to ask the store for: one more than the page, to know whether there is another.
    pub fn limit(&self) -> usize {
        self.size.saturating_add(1)
    }

    /// Makes the page out of at most [`limit`](Self::limit) rows; `key` gives a row's raw key.
    pub fn page<T>(&self, mut rows: Vec<T>, key: impl Fn(&T) -> String) -> Page<T> {
        let more = rows.len() > self.size;
        rows.truncate(self.size);
        let next_page_token = if more {
            rows.last().map(|row| self.token(&key(row))).unwrap_or_default()
        } else {
            String::new()
        };
        Page { items: rows, next_page_token }
    }

    /// The token of a page that goes on behind this key.
    pub fn token(&self, last_key: &str) -> String {
        let mut bytes = vec![TOKEN_VERSION];
        bytes.extend_from_slice(&self.fingerprint);
        bytes.extend_from_slice(last_key.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }
}

fn fingerprint(filter: &str) -> [u8; FINGERPRINT_LENGTH] {
    let digest = Sha256::digest(filter.as_bytes());
    let mut out = [0; FINGERPRINT_LENGTH];
    out.copy_from_slice(&digest[..FINGERPRINT_LENGTH]);
    out
}

fn decode(token: &str, expected: [u8; FINGERPRINT_LENGTH]) -> Result<String, AppError> {
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| AppError::page_token())?;
    let (head, key) = bytes.split_at_checked(1 + FINGERPRINT_LENGTH).ok_or_else(AppError::page_token)?;
    if head[0] != TOKEN_VERSION || head[1..] != expected {
        return Err(AppError::page_token());
    }
    String::from_utf8(key.to_vec()).map_err(|_| AppError::page_token())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token_for(filter: &str) -> String {
        let request = PageRequest::parse(2, "", filter).unwrap();
        request.page(vec!["a", "b", "c"], |row| (*row).to_owned()).next_page_token
    }

    #[test]
    fn the_next_page_begins_after_the_last_row() {
        let next = PageRequest::parse(2, &token_for("members"), "members").unwrap();
        assert_eq!(next.after(), Some("b"));
        assert_eq!(next.page(vec!["c"], |row| (*row).to_owned()).next_page_token, "");
    }

    #[test]
    fn a_token_of_another_filter_is_refused() {
        let token = token_for("members land=Bremen");
        assert!(PageRequest::parse(2, &token, "members land=Hamburg").is_err());
        assert!(PageRequest::parse(2, "garbage", "members").is_err());
        assert!(PageRequest::parse(2, "", "members").is_ok());
    }

    #[test]
    fn a_negative_size_is_refused_and_a_huge_one_clamped() {
        assert!(PageRequest::parse(-1, "", "x").is_err());
        assert_eq!(PageRequest::parse(i32::MAX, "", "x").unwrap().limit(), PAGE_SIZE_MAX + 1);
        assert_eq!(PageRequest::parse(0, "", "x").unwrap().limit(), PAGE_SIZE_DEFAULT + 1);
    }
}
