//! Tables of messages.

use comfy_table::{ContentArrangement, Table, presets};
use prost_reflect::{DynamicMessage, FieldDescriptor, ReflectMessage, Value};

use super::{cell, label};
use crate::language::Lang;

/// One row a message.
pub(super) fn list(messages: &[DynamicMessage], columns: &[&str], lang: Lang) -> String {
    let headers = columns.iter().map(|column| label::of(column, lang).to_uppercase()).collect();
    let rows =
        messages.iter().map(|message| columns.iter().map(|path| cell::at(message, path, lang)).collect());
    plain(headers, rows.collect())
}

/// Rows under headers.
pub(super) fn plain(headers: Vec<String>, rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(headers);
    table.add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// Everything one message says: single values first, then what it contains, then its lists as tables.
pub(super) fn detail(message: &DynamicMessage, lang: Lang) -> String {
    let mut text = String::new();
    let mut later = Vec::new();
    let mut values = Vec::new();
    let mut fields: Vec<(FieldDescriptor, &Value)> = message.fields().collect();
    fields.sort_by_key(|(field, _)| field.number());
    for (field, value) in fields {
        if cell::is_value(&field.kind()) || field.is_map() {
            values.push((label::of(field.name(), lang), cell::text(&field, value, lang)));
        } else {
            later.push((field, value));
        }
    }
    let width = values.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0);
    for (label, value) in values {
        let padding = " ".repeat(width - label.chars().count());
        text.push_str(&format!("{label}{padding}  {}\n", value.replace('\n', "\n    ")));
    }
    for (field, value) in later {
        let inner = match value {
            Value::Message(inner) => detail(inner, lang),
            Value::List(items) => messages(items, lang),
            _ => continue,
        };
        if !inner.trim().is_empty() {
            let lines: Vec<String> = inner.lines().map(|line| format!("  {line}")).collect();
            text.push_str(&format!("{}:\n{}\n", label::of(field.name(), lang), lines.join("\n").trim_end()));
        }
    }
    text
}

/// A list of messages: a table of the single values that any of them has; longer ones one after the other.
fn messages(items: &[Value], lang: Lang) -> String {
    let messages: Vec<DynamicMessage> = items.iter().filter_map(Value::as_message).cloned().collect();
    let Some(first) = messages.first() else { return String::new() };
    let nested = messages
        .iter()
        .any(|m| m.fields().any(|(field, _)| !cell::is_value(&field.kind()) && !field.is_map()));
    if nested {
        return messages.iter().map(|message| detail(message, lang)).collect::<Vec<_>>().join("\n");
    }
    let descriptor = first.descriptor();
    let columns: Vec<FieldDescriptor> =
        descriptor.fields().filter(|field| messages.iter().any(|message| message.has_field(field))).collect();
    let names: Vec<&str> = columns.iter().map(FieldDescriptor::name).collect();
    list(&messages, &names, lang)
}

#[cfg(test)]
mod tests {
    use allmende_proto::v1::{Invoice, InvoiceLine, Money, Resources, Tenant, tenant};

    use super::*;
    use crate::document::Named;

    fn tenant() -> Tenant {
        Tenant {
            name: "members/m-05766044/tenants/prod".into(),
            cluster: "clusters/local-1".into(),
            state: tenant::State::Ready as i32,
            workspace_quota: Some(Resources {
                cpu_milli: 4000,
                memory_bytes: 16 << 30,
                ..Resources::default()
            }),
            create_time: Some(prost_types::Timestamp { seconds: 1_790_000_000, nanos: 0 }),
            ..Tenant::default()
        }
    }

    #[test]
    fn a_list_shows_states_and_amounts_as_people_write_them() {
        let text = list(
            &[tenant().reflect()],
            &["name", "state", "workspace_quota", "bill_to", "create_time"],
            Lang::De,
        );
        for part in
            ["NAME", "members/m-05766044/tenants/prod", "READY", "4 CPU, 16Gi RAM", " - ", "2026-09-21T"]
        {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
        assert!(!text.contains("STATE_"), "{text}");
    }

    #[test]
    fn the_detail_of_an_invoice_has_its_lines_and_sums_in_the_language() {
        let net = Some(Money { currency_code: "EUR".into(), cents: 123_456 });
        let line =
            InvoiceLine { id: "1".into(), title: "vCPU".into(), net: net.clone(), ..InvoiceLine::default() };
        let invoice =
            Invoice { number: "MPG-2026-000001".into(), net, lines: vec![line], ..Invoice::default() };
        let german = detail(&invoice.reflect(), Lang::De);
        assert_eq!(german.matches("1.234,56 €").count(), 2, "{german}");
        assert!(german.contains("MPG-2026-000001") && german.contains("vCPU"), "{german}");
        let english = detail(&invoice.reflect(), Lang::En);
        assert_eq!(english.matches("EUR 1,234.56").count(), 2, "{english}");
    }
}
