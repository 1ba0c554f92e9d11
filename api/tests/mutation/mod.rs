//! Requests made from the descriptors, spoiled as bytes.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    reason = "each test binary uses a part of this"
)]

use std::fmt;

use allmende_proto::FILE_DESCRIPTOR_SET;
use prost::{Message, bytes::Bytes};
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value,
};

/// Where a run begins; the same seed makes the same requests.
#[derive(Debug, Clone, Copy)]
pub struct Seed(u64);

impl Seed {
    /// `ALLMENDE_SEED`, else one of the clock.
    pub fn from_environment() -> Self {
        let fresh = || u64::from(std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos());
        Self(std::env::var("ALLMENDE_SEED").map_or_else(|_| fresh(), |text| text.parse().unwrap()))
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Texts that have broken servers before, beside names that exist here.
const TEXTS: &[&str] = &[
    "",
    "members/m-05766044",
    "members/m-05374048",
    "members/m-05766044/tenants/prod",
    "members/-",
    "members/m-05766044/../m-05374048",
    "members/m-05766044/tenants/prod/instances/db",
    "members/m-05766044/entitlements/local-1",
    "clusters/local-1",
    "offerings/postgresql",
    "m-05766044%2F..",
    "prod",
    "db",
    "0190b0a0-0000-7000-8000-000000000001",
    "2026-09",
    "2026-13",
    "9999-12-31",
    "2026-11-24T10:00:00Z",
    "-1",
    "1e400",
    "NaN",
    "0.000000000000000000000000000000001",
    "999999999999999999999999",
    "12,50",
    "\u{0}",
    "\u{202e}gnol",
    "ＬＥＭＧＯ",
    "😀",
    "{\"a\":",
    "[[[[[[[[[[[[[[[[",
    "*",
    "' OR 1=1 --",
    "../../etc/passwd",
    "05766044",
    "05766044-KST4711-12",
    "name",
    "etag",
];

const NUMBERS: &[i64] = &[0, 1, -1, 2, 7, 1000, 1 << 31, i64::MAX, i64::MIN, i64::MAX - 1, 1 << 53];

/// A source of requests.
pub struct Requests {
    state: u64,
    methods: Vec<(String, MessageDescriptor)>,
}

impl Requests {
    pub fn new(seed: Seed) -> Self {
        let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).unwrap();
        let methods = pool
            .services()
            .flat_map(|service| service.methods().collect::<Vec<_>>())
            .map(|method| {
                (format!("/{}/{}", method.parent_service().full_name(), method.name()), method.input())
            })
            .collect();
        Self { state: seed.0, methods }
    }

    pub fn rpcs(&self) -> usize {
        self.methods.len()
    }

    /// SplitMix64 (Steele, Lea, Flood 2014).
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }

    fn once_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    /// A method and the bytes of a message for it.
    pub fn next_request(&mut self) -> (String, Vec<u8>) {
        let pick = self.below(self.methods.len());
        let (path, input) = self.methods[pick].clone();
        let mut body = self.message(&input, 0).encode_to_vec();
        if self.once_in(3) {
            self.spoil(&mut body);
        }
        (path, body)
    }

    fn message(&mut self, descriptor: &MessageDescriptor, depth: usize) -> DynamicMessage {
        let mut message = DynamicMessage::new(descriptor.clone());
        for field in descriptor.fields() {
            if depth > 4 || self.once_in(4) {
                continue;
            }
            let value = if field.is_map() {
                let Kind::Message(entry) = field.kind() else { continue };
                let text = self.text();
                let one = self.value(&entry.map_entry_value_field(), depth);
                Value::Map([(MapKey::String(text), one)].into())
            } else if field.is_list() {
                let count = self.below(4);
                Value::List((0..count).map(|_| self.value(&field, depth)).collect())
            } else {
                self.value(&field, depth)
            };
            // A map whose key is no string is left out.
            let _ = message.try_set_field(&field, value);
        }
        message
    }

    fn value(&mut self, field: &FieldDescriptor, depth: usize) -> Value {
        let number = NUMBERS[self.below(NUMBERS.len())];
        let narrow = i32::try_from(number).unwrap_or(if number < 0 { i32::MIN } else { i32::MAX });
        match field.kind() {
            Kind::Double => Value::F64(f64::INFINITY),
            Kind::Float => Value::F32(f32::NAN),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(narrow),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(number),
            Kind::Uint32 | Kind::Fixed32 => Value::U32(narrow.unsigned_abs()),
            Kind::Uint64 | Kind::Fixed64 => Value::U64(number.unsigned_abs()),
            Kind::Bool => Value::Bool(self.once_in(2)),
            Kind::String => Value::String(self.text()),
            Kind::Bytes => {
                let text = self.text();
                Value::Bytes(Bytes::from(text))
            }
            Kind::Message(inner) => Value::Message(self.message(&inner, depth + 1)),
            Kind::Enum(names) => {
                let known = names.values().nth(self.below(names.values().len())).unwrap().number();
                Value::EnumNumber(if self.once_in(5) { narrow } else { known })
            }
        }
    }

    fn text(&mut self) -> String {
        let one = TEXTS[self.below(TEXTS.len())];
        match self.below(20) {
            0 => one.repeat(1 + self.below(2_000)),
            1 => format!("{one}{}", TEXTS[self.below(TEXTS.len())]),
            _ => one.to_owned(),
        }
    }

    /// Bits flipped, bytes cut off, doubled or put in.
    fn spoil(&mut self, body: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let at = self.below(body.len() + 1);
            match self.below(4) {
                0 if at < body.len() => body[at] ^= 1 << self.below(8),
                1 => body.truncate(at),
                2 => body.insert(at, self.next().to_le_bytes()[0]),
                _ => body.extend_from_within(..at),
            }
        }
    }
}
