//! Request bodies from files: YAML or JSON in proto JSON form, read by the contract's own descriptors.

use std::path::Path;

use allmende_proto::FILE_DESCRIPTOR_SET;
use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::Value;
use std::{io::Read, sync::LazyLock};

use crate::failure::Failure;

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(FILE_DESCRIPTOR_SET).expect("the descriptors of the contract are sound")
});

/// A message of the contract that knows its name.
pub(crate) trait Named: prost::Message + Default {
    /// Within `allmende.v1`.
    const NAME: &'static str;

    /// Its descriptor.
    fn descriptor() -> MessageDescriptor {
        POOL.get_message_by_name(&format!("allmende.v1.{}", Self::NAME))
            .expect("the message is in the contract")
    }

    /// The same message, to be looked at by field.
    fn reflect(&self) -> DynamicMessage {
        let mut message = DynamicMessage::new(Self::descriptor());
        message.transcode_from(self).expect("a message fits its own descriptor");
        message
    }
}

macro_rules! named {
    ($($name:ident),+ $(,)?) => {
        $(impl Named for allmende_proto::v1::$name {
            const NAME: &'static str = stringify!($name);
        })+

        #[cfg(test)]
        const NAMES: &[&str] = &[$(stringify!($name)),+];
    };
}

named!(
    AllocationKey,
    AuditEntry,
    AuditHead,
    BillTo,
    Budget,
    RecountBudgetResponse,
    Caller,
    Cluster,
    ClusterCertificate,
    CreateJoinTokenResponse,
    RevokeClusterCertificatesResponse,
    CertificateRevocation,
    IssueServiceAccountCredentialResponse,
    ServiceAccount,
    ServiceAccountCredential,
    Cost,
    CostLine,
    CreateAllocationKeyRequest,
    CreateInstanceResponse,
    CreateMemberRequest,
    CreatePoolRuleRequest,
    CreatePotRequest,
    CreatePriceListRequest,
    CreateTenantResponse,
    CredentialsReference,
    Entitlement,
    GetUsageResponse,
    WatchQuotaResponse,
    Grant,
    ImportUsageRequest,
    ImportUsageResponse,
    Instance,
    Invoice,
    Issuer,
    Loan,
    Member,
    MemberDivision,
    Offering,
    Operation,
    Pool,
    PoolRule,
    PoolRun,
    Pot,
    PreflightReport,
    PreviewDivisionResponse,
    PriceList,
    PublishOfferingVersionRequest,
    RegisterEdition,
    RegisterEntry,
    Reservation,
    Right,
    Run,
    SetIssuerRequest,
    ShrinkPlan,
    StoreState,
    Tenant,
    UpdateTenantResponse,
    UsageSegment,
);

/// All messages of a file: one object, or a list of them.
pub(crate) fn read<M: Named>(path: &Path) -> Result<Vec<M>, Failure> {
    let mut text = String::new();
    if path == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).map_err(|error| Failure::file(path, &error))?;
    } else {
        text = std::fs::read_to_string(path).map_err(|error| Failure::file(path, &error))?;
    }
    parse(&text).map_err(|reason| Failure::Usage(format!("{}: {reason}", path.display())))
}

/// The one message of a file.
pub(crate) fn read_one<M: Named>(path: &Path) -> Result<M, Failure> {
    let mut all = read(path)?;
    match (all.pop(), all.is_empty()) {
        (Some(one), true) => Ok(one),
        _ => Err(Failure::Usage(format!("{}: expected one object", path.display()))),
    }
}

fn parse<M: Named>(text: &str) -> Result<Vec<M>, String> {
    // YAML is read as such; JSON goes first because its errors are clearer for JSON.
    let value: Value = if text.trim_start().starts_with(['{', '[']) {
        serde_json::from_str(text).map_err(|error| error.to_string())?
    } else {
        serde_saphyr::from_str(text).map_err(|error| error.to_string())?
    };
    let items = match value {
        Value::Array(items) => items,
        one => vec![one],
    };
    let several = items.len() > 1;
    items
        .into_iter()
        .enumerate()
        .map(|(index, item)| {
            message(item)
                .map_err(|reason| if several { format!("entry {}: {reason}", index + 1) } else { reason })
        })
        .collect()
}

fn message<M: Named>(mut value: Value) -> Result<M, String> {
    let descriptor = M::descriptor();
    fold_json(&mut value, &descriptor);
    let message = DynamicMessage::deserialize(descriptor, value).map_err(|error| error.to_string())?;
    message.transcode_to().map_err(|error| error.to_string())
}

/// Fields that hold JSON text (`values_json`, `parameters_schema`) may be written as plain objects.
fn fold_json(value: &mut Value, descriptor: &MessageDescriptor) {
    let Value::Object(fields) = value else { return };
    for (name, content) in fields {
        let field = descriptor.get_field_by_json_name(name).or_else(|| descriptor.get_field_by_name(name));
        if let Some(field) = field {
            fold_field(content, &field);
        }
    }
}

fn fold_field(content: &mut Value, field: &FieldDescriptor) {
    match field.kind() {
        Kind::String if content.is_object() && !field.is_map() => {
            *content = Value::String(content.to_string())
        }
        Kind::Message(inner) if !field.is_map() => match content {
            Value::Array(items) => items.iter_mut().for_each(|item| fold_json(item, &inner)),
            one => fold_json(one, &inner),
        },
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use allmende_proto::v1::{CreatePotRequest, CreatePriceListRequest, PublishOfferingVersionRequest};

    use super::*;

    #[test]
    fn every_named_message_is_in_the_contract() {
        for name in NAMES {
            assert!(POOL.get_message_by_name(&format!("allmende.v1.{name}")).is_some(), "{name}");
        }
    }

    #[test]
    fn yaml_and_json_give_the_same_request() {
        let yaml = "priceListId: pl-2026\npriceList:\n  validFrom: 2026-01-01\n  prices:\n  - meter: vcpu\n    \
                    unit: UNIT_HOUR\n    microEuro: 12000\n    title: vCPU\n";
        let json = r#"{"price_list_id":"pl-2026","price_list":{"valid_from":"2026-01-01",
            "prices":[{"meter":"vcpu","unit":"UNIT_HOUR","micro_euro":"12000","title":"vCPU"}]}}"#;
        let read: Vec<CreatePriceListRequest> = parse(yaml).unwrap();
        assert_eq!(read, parse(json).unwrap());
        assert_eq!(read[0].price_list.as_ref().unwrap().prices[0].micro_euro, 12_000);
    }

    #[test]
    fn a_list_gives_several_requests_and_a_misspelt_field_is_told_with_its_entry() {
        let all: Vec<CreatePotRequest> = parse("- potId: a\n- potId: b\n").unwrap();
        assert_eq!(all.len(), 2);
        let reason = parse::<CreatePotRequest>("- potId: a\n- pot_idd: b\n").unwrap_err();
        assert!(reason.contains("entry 2") && reason.contains("pot_idd"), "{reason}");
    }

    #[test]
    fn json_inside_a_field_may_be_written_as_an_object() {
        let yaml = "name: offerings/postgresql\nversion:\n  version: 1.0.0\n  parametersSchema: {type: object}\n  \
                    plans:\n  - id: small\n    valuesJson: {resources: {cpu: 250m}}\n  bindingFields: {host: '{service}'}\n";
        let read: Vec<PublishOfferingVersionRequest> = parse(yaml).unwrap();
        let version = read[0].version.as_ref().unwrap();
        assert_eq!(version.parameters_schema, r#"{"type":"object"}"#);
        assert_eq!(version.plans[0].values_json, r#"{"resources":{"cpu":"250m"}}"#);
        assert_eq!(version.binding_fields["host"], "{service}");
    }
}
