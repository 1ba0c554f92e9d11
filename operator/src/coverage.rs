//! Whether a found object already is what we want: the one question before every repair. Pure.

use serde_json::Value;

use crate::quantity::parse_milli;

/// Whether `found` holds everything that `desired` says. What the API server or others added beside it does not count, except within
/// lists: a list is wanted as it is, so that a rule that somebody added to a policy is seen.
#[must_use]
pub fn covers(found: &Value, desired: &Value) -> bool {
    match (found, desired) {
        (Value::Object(found), Value::Object(desired)) => {
            desired.iter().all(|(key, wanted)| match found.get(key) {
                Some(value) => covers(value, wanted),
                None => is_empty(wanted),
            })
        }
        (Value::Array(found), Value::Array(desired)) => {
            found.len() == desired.len()
                && found.iter().zip(desired).all(|(value, wanted)| covers(value, wanted))
        }
        (Value::String(found), Value::String(desired)) => found == desired || same_quantity(found, desired),
        (found, desired) => found == desired || (is_empty(found) && is_empty(desired)),
    }
}

/// What the API server leaves out when it writes an object.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

/// The API server writes quantities in its own form: `1000m` comes back as `1`.
fn same_quantity(found: &str, desired: &str) -> bool {
    matches!((parse_milli(found), parse_milli(desired)), (Some(found), Some(desired)) if found == desired)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_others_add_to_a_map_is_no_drift() {
        let found = json!({"metadata": {"labels": {"ours": "1", "theirs": "2"}, "uid": "x"}, "status": {}});
        assert!(covers(&found, &json!({"metadata": {"labels": {"ours": "1"}}})));
        assert!(!covers(&found, &json!({"metadata": {"labels": {"ours": "2"}}})));
        assert!(!covers(&found, &json!({"metadata": {"labels": {"missing": "1"}}})));
    }

    #[test]
    fn what_others_add_to_a_list_is_drift() {
        let wanted = json!({"spec": {"ingress": [{"from": [{"podSelector": {}}]}]}});
        assert!(covers(&wanted, &wanted));
        assert!(!covers(&json!({"spec": {"ingress": [{"from": [{"podSelector": {}}]}, {}]}}), &wanted));
        assert!(!covers(&json!({"spec": {}}), &wanted));
    }

    #[test]
    fn the_same_amount_in_another_form_is_no_drift() {
        assert!(covers(
            &json!({"hard": {"cpu": "1", "memory": "5G"}}),
            &json!({"hard": {"cpu": "1000m", "memory": "5000000000"}})
        ));
        assert!(!covers(&json!({"hard": {"cpu": "2"}}), &json!({"hard": {"cpu": "1000m"}})));
    }
}
