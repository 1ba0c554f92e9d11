//! Parameters: checked against the offering's JSON schema, every error with its place, then laid over the plan's values.

use allmende_domain::violation::{FieldViolation, ViolationReason};
use serde_json::{Map, Value};

use crate::error::AppError;

/// The chart value under which validated parameters lie. Platform values have places of their own, which no parameter reaches.
const PLACE: &str = "parameters";
/// Errors that one refusal lists.
const ERRORS: usize = 50;

/// Checks the parameters of an order and gives the chart's values as a JSON object.
///
/// # Errors
/// Every violation of the schema, by JSON path.
pub(super) fn values(parameters: &str, schema: &str, plan_values: &str) -> Result<String, AppError> {
    let field = "instance.parameters_json";
    let text = if parameters.trim().is_empty() { "{}" } else { parameters };
    let parsed: Value = serde_json::from_str(text)
        .map_err(|error| violation(field.to_owned(), format!("must be a JSON object: {error}")))?;
    if !parsed.is_object() {
        return Err(violation(field.to_owned(), "must be a JSON object".to_owned()));
    }
    let schema: Value = serde_json::from_str(schema).map_err(AppError::internal)?;
    let validator = jsonschema::validator_for(&schema).map_err(AppError::internal)?;
    let wrong: Vec<FieldViolation> = validator
        .iter_errors(&parsed)
        .take(ERRORS)
        .map(|error| {
            let path = error.instance_path().to_string().replace('/', ".");
            FieldViolation::new(format!("{field}{path}"), error.to_string())
                .because(ViolationReason::ParametersInvalid)
        })
        .collect();
    if !wrong.is_empty() {
        return Err(AppError::Invalid(wrong));
    }
    let mut values: Map<String, Value> = serde_json::from_str(plan_values).map_err(AppError::internal)?;
    let place = values.entry(PLACE).or_insert_with(|| Value::Object(Map::new()));
    merge(place, &parsed);
    Ok(Value::Object(values).to_string())
}

/// Objects are merged, everything else is replaced.
fn merge(below: &mut Value, above: &Value) {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            for (key, value) in above {
                merge(below.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (below, above) => *below = above.clone(),
    }
}

fn violation(field: String, text: String) -> AppError {
    AppError::Invalid(vec![FieldViolation::new(field, text).because(ViolationReason::ParametersInvalid)])
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = r#"{"type":"object","additionalProperties":false,
        "properties":{"database":{"type":"string","pattern":"^[a-z]+$"},"connections":{"type":"integer","maximum":500}}}"#;

    #[test]
    fn all_violations_of_the_schema_are_told_with_their_places() {
        let error = values(r#"{"database":"A B","connections":5000,"x":1}"#, SCHEMA, "{}").unwrap_err();
        let AppError::Invalid(wrong) = error else { panic!("{error:?}") };
        let mut fields: Vec<&str> = wrong.iter().map(|v| v.field.as_str()).collect();
        fields.sort_unstable();
        assert_eq!(
            fields,
            [
                "instance.parameters_json",
                "instance.parameters_json.connections",
                "instance.parameters_json.database"
            ]
        );
    }

    #[test]
    fn parameters_lie_under_their_own_key_over_the_plans() {
        let plan = r#"{"storage":{"size":"5Gi"},"parameters":{"database":"app","connections":100}}"#;
        let merged: Value =
            serde_json::from_str(&values(r#"{"connections":50}"#, SCHEMA, plan).unwrap()).unwrap();
        assert_eq!(
            merged,
            serde_json::json!({"storage":{"size":"5Gi"},"parameters":{"database":"app","connections":50}})
        );
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for bad in ["[]", "1", "{", "null"] {
            assert!(values(bad, SCHEMA, "{}").is_err(), "{bad}");
        }
        assert!(values("", SCHEMA, "{}").is_ok());
    }
}
