//! How a value lies in etcd: JSON with a format version and its kind, readable with any etcd client.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::error::StoreError;

/// Format that this binary writes. A higher one in the store is refused: it was written by a newer release.
const FORMAT: u32 = 1;

/// Something that is stored.
pub trait Record: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// Name of the kind, written beside each value: a value of another kind is an error, not a guess.
    const KIND: &'static str;
}

#[derive(Serialize)]
struct Written<'a, T> {
    format: u32,
    kind: &'static str,
    value: &'a T,
}

#[derive(Deserialize)]
struct Head {
    format: u32,
    kind: String,
}

#[derive(Deserialize)]
struct Read<T> {
    value: T,
}

/// The bytes of a value.
///
/// # Errors
/// When it has no JSON form.
pub fn encode<T: Record>(value: &T) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(&Written { format: FORMAT, kind: T::KIND, value })
        .map_err(|error| StoreError::Corrupt { kind: T::KIND, reason: error.to_string() })
}

/// The value of bytes.
///
/// # Errors
/// A newer format, another kind, or no such value; they name the kind and the place, never the content.
pub fn decode<T: Record>(bytes: &[u8]) -> Result<T, StoreError> {
    let corrupt = |reason: String| StoreError::Corrupt { kind: T::KIND, reason };
    let place = |error: serde_json::Error| {
        format!("{:?} at line {} column {}", error.classify(), error.line(), error.column())
    };
    let head: Head = serde_json::from_slice(bytes).map_err(|error| corrupt(place(error)))?;
    if head.format > FORMAT {
        return Err(corrupt(format!("format {} is newer than {FORMAT}", head.format)));
    }
    if head.kind != T::KIND {
        return Err(corrupt("another kind lies there".to_owned()));
    }
    let read: Read<T> = serde_json::from_slice(bytes).map_err(|error| corrupt(place(error)))?;
    Ok(read.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Thing {
        secret: String,
    }

    impl Record for Thing {
        const KIND: &'static str = "thing";
    }

    #[test]
    fn a_newer_format_and_another_kind_are_refused_without_telling_the_value() {
        let newer = br#"{"format":2,"kind":"thing","value":{"secret":"hunter2"}}"#;
        let other = br#"{"format":1,"kind":"stone","value":{"secret":"hunter2"}}"#;
        let broken = br#"{"format":1,"kind":"thing","value":{"secret":7,"x":"hunter2"}}"#;
        for bytes in [newer.as_slice(), other, broken] {
            let error = decode::<Thing>(bytes).unwrap_err().to_string();
            assert!(error.contains("thing") && !error.contains("hunter2"), "{error}");
        }
        let thing = Thing { secret: "x".into() };
        assert_eq!(decode::<Thing>(&encode(&thing).unwrap()).unwrap(), thing);
    }
}
