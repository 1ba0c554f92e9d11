//! Messages of the contract: the first byte chooses one, the rest is decoded; what decodes is read into the domain without a panic.

use std::sync::LazyLock;

use allmende_api::convert::{billing, catalog, cluster, fields::Fields, member, resources, usage};
use allmende_proto::{FILE_DESCRIPTOR_SET, v1};
use jiff::Timestamp;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};

static MESSAGES: LazyLock<Vec<MessageDescriptor>> = LazyLock::new(|| {
    let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).unwrap_or_default();
    pool.all_messages().filter(|message| message.full_name().starts_with("allmende.")).collect()
});

/// How deep a seed's messages nest.
const DEPTH: usize = 4;

pub(crate) fn check(bytes: &[u8]) -> bool {
    let Some((choice, body)) = bytes.split_first() else { return false };
    let chosen = MESSAGES.get(usize::from(*choice) % MESSAGES.len().max(1));
    let message = chosen.and_then(|chosen| DynamicMessage::decode(chosen.clone(), body).ok());
    if let (Some(chosen), Some(message)) = (chosen, &message) {
        // Compared as written: a field that was sent with its default counts as absent then.
        let written = message.encode_to_vec();
        let again = DynamicMessage::decode(chosen.clone(), written.as_slice());
        let again = again.map(|again| again.encode_to_vec());
        assert_eq!(again, Ok(written), "{} changes when it is written", chosen.full_name());
    }
    into_domain(body);
    message.is_some()
}

/// As the services read them, whatever the bytes were meant to be.
fn into_domain(body: &[u8]) {
    let mut fields = Fields::default();
    if let Ok(message) = v1::Observation::decode(body) {
        let _ = cluster::read_observation(&message);
    }
    if let Ok(message) = v1::UsageSegment::decode(body) {
        let _ = usage::read_segment(&mut fields, "segment", &message);
    }
    if let Ok(message) = v1::Resources::decode(body) {
        let _ = resources::read(&mut fields, "resources", Some(&message));
    }
    if let Ok(message) = v1::Pot::decode(body) {
        let _ = billing::read_pot(&mut fields, None, Some(&message));
    }
    if let Ok(message) = v1::PriceList::decode(body) {
        let _ = billing::read_price_list(&mut fields, None, Some(&message));
    }
    if let Ok(message) = v1::AllocationKey::decode(body) {
        let _ = billing::read_key(&mut fields, None, Some(&message));
    }
    if let Ok(message) = v1::Member::decode(body) {
        let _ = member::read_shares(&mut fields, "shares", &message.shares);
        let _ = member::read_tax_profiles(&mut fields, "tax_profiles", &message.tax_profiles);
    }
    if let Ok(message) = v1::OfferingVersion::decode(body) {
        let _ = catalog::read_version(&mut fields, "version", Some(&message), Timestamp::UNIX_EPOCH);
    }
    if let Ok(message) = v1::Issuer::decode(body) {
        let _ = billing::read_issuer(&mut fields, Some(&message));
    }
}

/// One of each kind, with every field set.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let all = MESSAGES.iter().enumerate();
    all.map(|(choice, message)| {
        let mut bytes = vec![u8::try_from(choice % 256).unwrap_or_default()];
        bytes.extend(filled(message, DEPTH).encode_to_vec());
        bytes
    })
    // More kinds than a byte has values: the first ones are chosen.
    .take(256)
    .collect()
}

fn filled(descriptor: &MessageDescriptor, depth: usize) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    for field in descriptor.fields() {
        // A map's and a list's one element is enough to be mutated.
        if let (false, Some(value)) = (field.is_map(), value(&field, depth)) {
            let value = if field.is_list() { Value::List(vec![value]) } else { value };
            message.set_field(&field, value);
        }
    }
    message
}

fn value(field: &FieldDescriptor, depth: usize) -> Option<Value> {
    Some(match field.kind() {
        Kind::Message(_) if depth == 0 => return None,
        Kind::Message(message) => Value::Message(filled(&message, depth - 1)),
        Kind::Enum(kind) => Value::EnumNumber(kind.values().last()?.number()),
        Kind::String => Value::String("2026-09-01".to_owned()),
        Kind::Bytes => Value::Bytes(vec![1, 2, 3].into()),
        Kind::Bool => Value::Bool(true),
        Kind::Double => Value::F64(1.5),
        Kind::Float => Value::F32(1.5),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(-1),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(i64::MAX),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(u32::MAX),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(7),
    })
}
