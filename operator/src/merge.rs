//! JSON merge patches that also take away. Pure.
//!
//! A merge patch keeps what it does not name, and server-side apply keeps what another manager owns. Where the whole of something is ours, a
//! key that is no longer wanted has to be named with `null`.

use serde_json::Value;

/// The patch that makes `present` equal to `next`; what both have in common is in it too.
#[must_use]
pub fn patch(present: &Value, mut next: Value) -> Value {
    take_away(present, &mut next);
    next
}

fn take_away(present: &Value, next: &mut Value) {
    let (Value::Object(present), Value::Object(next)) = (present, next) else { return };
    for (key, value) in present {
        take_away(value, next.entry(key.as_str()).or_insert(Value::Null));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_no_longer_said_is_taken_away_and_lists_are_whole() {
        let present = json!({ "release": { "nextRetryTime": "t", "name": "db" }, "steps": [1, 2], "of": 1 });
        let next = json!({ "release": { "name": "db" }, "steps": [2], "message": "bereit", "of": {} });
        let expected = json!({ "release": { "name": "db", "nextRetryTime": null }, "steps": [2], "message": "bereit", "of": {} });
        assert_eq!(patch(&present, next), expected);
    }
}
