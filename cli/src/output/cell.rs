//! One field of a message as text for people.

use allmende_proto::v1::Resources;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, ReflectMessage, Value};

use super::money;
use crate::{language::Lang, quantity::resources_text};

/// What stands where nothing is.
pub(super) const NOTHING: &str = "-";

/// The field at `path` (`population.inhabitants`).
pub(super) fn at(message: &DynamicMessage, path: &str, lang: Lang) -> String {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let Some(field) = message.descriptor().get_field_by_name(first) else { return NOTHING.to_owned() };
    if field.supports_presence() && !message.has_field(&field) {
        return NOTHING.to_owned();
    }
    let value = message.get_field(&field);
    match (rest, value.as_ref()) {
        (None, value) => text(&field, value, lang),
        (Some(rest), Value::Message(inner)) => at(inner, rest, lang),
        // Dated lists: the newest is last.
        (Some(rest), Value::List(items)) => match items.last() {
            Some(Value::Message(inner)) => at(inner, rest, lang),
            _ => NOTHING.to_owned(),
        },
        _ => NOTHING.to_owned(),
    }
}

/// A value of a field.
pub(super) fn text(field: &FieldDescriptor, value: &Value, lang: Lang) -> String {
    match value {
        Value::List(items) if items.is_empty() => NOTHING.to_owned(),
        Value::List(items) => {
            let texts: Vec<String> = items.iter().map(|item| text(field, item, lang)).collect();
            texts.join("; ")
        }
        Value::Map(entries) => {
            let mut texts: Vec<String> = entries
                .iter()
                .map(|(key, value)| {
                    format!("{}={}", key.as_str().unwrap_or(NOTHING), value.as_str().unwrap_or(NOTHING))
                })
                .collect();
            texts.sort();
            texts.join(", ")
        }
        Value::Message(inner) => message(inner, lang),
        Value::EnumNumber(number) => enumeration(field, *number),
        Value::Bool(yes) => if *yes { lang.pick("ja", "yes") } else { lang.pick("nein", "no") }.to_owned(),
        Value::String(text) if text.is_empty() => NOTHING.to_owned(),
        Value::String(text) => text.clone(),
        Value::I64(micro) if field.name().ends_with("micro_euro") => money::micro_euro(*micro, lang),
        Value::I32(points) if field.name().ends_with("basis_points") => percent(*points, lang),
        Value::I64(bytes) if field.name().ends_with("_bytes") => crate::quantity::bytes_text(*bytes),
        Value::I32(number) => number.to_string(),
        Value::I64(number) => number.to_string(),
        Value::U32(number) => number.to_string(),
        Value::U64(number) => number.to_string(),
        Value::Bytes(bytes) => format!("{} bytes", bytes.len()),
        // The contract has no floats.
        Value::F32(_) | Value::F64(_) => NOTHING.to_owned(),
    }
}

/// Messages that are one value to a person.
pub(super) fn is_value(kind: &Kind) -> bool {
    let Kind::Message(descriptor) = kind else { return true };
    let plain =
        ["Resources", "Money", "Interval", "Population"].iter().any(|name| descriptor.name() == *name);
    plain || descriptor.full_name() == "google.protobuf.Timestamp"
}

fn message(inner: &DynamicMessage, lang: Lang) -> String {
    match inner.descriptor().full_name() {
        "allmende.v1.Money" => {
            let cents = inner.get_field_by_name("cents").and_then(|value| value.as_i64()).unwrap_or(0);
            let currency = at(inner, "currency_code", lang);
            money::cents(cents, if currency == NOTHING { "EUR" } else { &currency }, lang)
        }
        "allmende.v1.Resources" => inner
            .transcode_to::<Resources>()
            .map_or_else(|_| NOTHING.to_owned(), |resources| resources_text(&resources)),
        "google.protobuf.Timestamp" => timestamp(inner),
        "allmende.v1.Interval" => {
            format!("{} – {}", at(inner, "start_time", lang), at(inner, "end_time", lang))
        }
        "allmende.v1.Population" => {
            format!("{} ({})", at(inner, "inhabitants", lang), at(inner, "as_of", lang))
        }
        _ => {
            let parts: Vec<String> = inner
                .fields()
                .map(|(field, value)| format!("{}={}", field.name(), text(&field, value, lang)))
                .collect();
            parts.join(" ")
        }
    }
}

fn timestamp(message: &DynamicMessage) -> String {
    let seconds = message.get_field_by_name("seconds").and_then(|value| value.as_i64()).unwrap_or(0);
    jiff::Timestamp::from_second(seconds).map_or_else(|_| NOTHING.to_owned(), |time| time.to_string())
}

/// `READY` for `Tenant.State.STATE_READY`.
fn enumeration(field: &FieldDescriptor, number: i32) -> String {
    let Kind::Enum(descriptor) = field.kind() else { return number.to_string() };
    let Some(value) = descriptor.get_value(number) else { return number.to_string() };
    let zero = descriptor.get_value(0).map(|value| value.name().to_owned()).unwrap_or_default();
    let prefix = zero.strip_suffix("UNSPECIFIED").unwrap_or_default();
    if number == 0 { NOTHING.to_owned() } else { value.name().trim_start_matches(prefix).to_owned() }
}

fn percent(basis_points: i32, lang: Lang) -> String {
    let (whole, rest) = (basis_points / 100, (basis_points % 100).abs());
    if rest == 0 { format!("{whole} %") } else { format!("{whole}{}{rest:02} %", lang.pick(",", ".")) }
}
