//! What a transaction changes, field by field, from the records that it read and writes: so an audit entry says what was written and
//! cannot say anything else.

use std::collections::{BTreeMap, BTreeSet};

use allmende_domain::audit::{CHANGES_MAX, FieldChange, shortened};
use serde_json::Value;

/// Most characters of one value.
const VALUE_MAX: usize = 200;
/// Deepest nesting that is looked into.
const DEPTH_MAX: usize = 8;
/// Kinds that follow from others, or are bookkeeping of the store.
const DERIVED: [&str; 7] = ["receipt", "audit", "desired", "operation", "fact", "cluster-seen", "loan-ref"];
/// Fields that every change touches.
const UNTOLD: [&str; 1] = ["update_time"];
/// A field whose name holds one of these is never shown.
const SECRET: [&str; 6] = ["password", "passphrase", "secret", "token", "credential", "private"];
/// Stands for a secret: whether it changed is told, never what it is.
const HIDDEN: &str = "(nicht gezeigt)";

/// Fields of one record, by path.
type Fields = BTreeMap<String, String>;

/// The changes of one transaction: pairs of a record's bytes before (none: it was not there) and after (none: it is removed).
pub(crate) fn changes<'a>(
    records: impl Iterator<Item = (Option<&'a [u8]>, Option<&'a [u8]>)>,
) -> Vec<FieldChange> {
    let mut all = Vec::new();
    for (before, after) in records {
        let (kind, before) = read(before);
        let (other, after) = read(after);
        let kind = kind.or(other).unwrap_or_default();
        if !DERIVED.contains(&kind.as_str()) {
            compare(&kind, &before, &after, &mut all);
        }
    }
    let beyond = all.len().saturating_sub(CHANGES_MAX);
    if beyond > 0 {
        let shown = CHANGES_MAX.saturating_sub(1);
        let rest = all.len().saturating_sub(shown);
        all.truncate(shown);
        all.push(FieldChange { field: "…".to_owned(), before: None, after: Some(format!("+{rest}")) });
    }
    all
}

fn read(bytes: Option<&[u8]>) -> (Option<String>, Fields) {
    let mut fields = Fields::new();
    let Some(envelope) = bytes.and_then(|bytes| serde_json::from_slice::<Value>(bytes).ok()) else {
        return (None, fields);
    };
    if let Some(value) = envelope.get("value") {
        flatten("", value, DEPTH_MAX, &mut fields);
    }
    (envelope.get("kind").and_then(Value::as_str).map(str::to_owned), fields)
}

fn compare(kind: &str, before: &Fields, after: &Fields, all: &mut Vec<FieldChange>) {
    let paths: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for path in paths {
        let (old, new) = (before.get(path), after.get(path));
        if old == new {
            continue;
        }
        let secret = is_secret(path);
        let shown = |value: &String| if secret { HIDDEN.to_owned() } else { shortened(value, VALUE_MAX) };
        all.push(FieldChange {
            field: format!("{kind}.{path}"),
            before: old.map(shown),
            after: new.map(shown),
        });
    }
}

/// Leaves by path. Absent and null are the same; an object within a text (parameters) is looked into, so that its secrets are found.
fn flatten(path: &str, value: &Value, depth: usize, into: &mut Fields) {
    let name = path.rsplit('.').next().unwrap_or(path);
    if UNTOLD.contains(&name) {
        return;
    }
    let below = |part: &str| if path.is_empty() { part.to_owned() } else { format!("{path}.{part}") };
    match value {
        Value::Null => {}
        Value::Object(fields) if depth > 0 => {
            for (field, inner) in fields {
                flatten(&below(field), inner, depth.saturating_sub(1), into);
            }
        }
        Value::Array(items) if depth > 0 => {
            for (index, item) in items.iter().enumerate() {
                flatten(&format!("{path}[{index}]"), item, depth.saturating_sub(1), into);
            }
        }
        Value::String(text) => match serde_json::from_str::<Value>(text) {
            Ok(inner @ Value::Object(_)) if depth > 0 => {
                flatten(path, &inner, depth.saturating_sub(1), into);
            }
            _ => {
                into.insert(path.to_owned(), text.clone());
            }
        },
        other => {
            into.insert(path.to_owned(), other.to_string());
        }
    }
}

fn is_secret(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    SECRET.iter().any(|word| path.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(before: Option<&str>, after: Option<&str>) -> Vec<(String, Option<String>, Option<String>)> {
        let record = |value: &str| format!(r#"{{"format":1,"kind":"tenant","value":{value}}}"#).into_bytes();
        let (before, after) = (before.map(record), after.map(record));
        changes(std::iter::once((before.as_deref(), after.as_deref())))
            .into_iter()
            .map(|change| (change.field, change.before, change.after))
            .collect()
    }

    #[test]
    fn only_what_differs_is_told_with_its_path() {
        let found = between(
            Some(r#"{"quota":{"cpu":2,"pods":10},"id":"a","update_time":"x","gone":1}"#),
            Some(r#"{"quota":{"cpu":4,"pods":10},"id":"a","update_time":"y","gone":null,"list":["b"]}"#),
        );
        let told = |text: &str| Some(text.to_owned());
        assert_eq!(
            found,
            [
                ("tenant.gone".to_owned(), told("1"), None),
                ("tenant.list[0]".to_owned(), None, told("b")),
                ("tenant.quota.cpu".to_owned(), told("2"), told("4")),
            ]
        );
    }

    #[test]
    fn a_secret_is_never_told_also_within_a_text_of_parameters() {
        let found = between(
            Some(r#"{"parameters_json":"{\"adminPassword\":\"hunter1\"}"}"#),
            Some(r#"{"parameters_json":"{\"adminPassword\":\"hunter2\",\"tokens\":{\"a\":\"hunter3\"}}"}"#),
        );
        assert_eq!(found.len(), 2, "that they changed is told: {found:?}");
        assert!(!format!("{found:?}").contains("hunter"), "{found:?}");
    }

    #[test]
    fn the_list_is_bounded_and_says_how_many_are_left_out() {
        let many: Vec<String> = (0..100).map(|n| format!(r#""f{n:03}":{n}"#)).collect();
        let found = between(None, Some(&format!("{{{}}}", many.join(","))));
        assert_eq!(found.len(), CHANGES_MAX);
        assert_eq!(found.last().unwrap().2.as_deref(), Some("+69"));
        let long = format!(r#"{{"text":"{}"}}"#, "x".repeat(10_000));
        assert_eq!(between(None, Some(&long))[0].2.as_ref().unwrap().chars().count(), VALUE_MAX);
    }

    #[test]
    fn what_follows_from_other_records_is_left_out() {
        let receipt = br#"{"format":1,"kind":"receipt","value":{"a":1}}"#.as_slice();
        assert!(changes(std::iter::once((None, Some(receipt)))).is_empty());
    }
}
