//! Offerings.

use allmende_domain::catalog::{FootprintPart, Offering, OfferingVersion, Plan, SecretField};
use allmende_proto::v1;
use allmende_store::Versioned;
use jiff::Timestamp;

use super::{
    fields::{Fields, time},
    resources,
};

/// An offering with its etag.
pub fn write(offering: &Versioned<Offering>) -> v1::Offering {
    v1::Offering { etag: offering.etag(), ..write_value(&offering.value) }
}

/// An offering that is not stored (preview).
pub fn write_value(offering: &Offering) -> v1::Offering {
    v1::Offering {
        name: format!("offerings/{}", offering.id),
        title: offering.title.clone(),
        description: offering.description.clone(),
        versions: offering.versions.iter().map(write_version).collect(),
        etag: String::new(),
    }
}

fn write_version(version: &OfferingVersion) -> v1::OfferingVersion {
    v1::OfferingVersion {
        version: version.version.clone(),
        chart: version.chart.clone(),
        parameters_schema: version.parameters_schema.clone(),
        plans: version
            .plans
            .iter()
            .map(|plan| v1::Plan {
                id: plan.id.to_string(),
                title: plan.title.clone(),
                values_json: plan.values_json.clone(),
                footprint: footprint(&plan.footprint),
            })
            .collect(),
        secret_fields: version
            .secret_fields
            .iter()
            .map(|f| v1::CatalogSecretField { key: f.key.clone(), value: f.value.clone(), bound: f.bound })
            .collect(),
        binding_fields: version.binding_fields.clone(),
        timeout_seconds: version.timeout_seconds,
        publish_time: Some(time(version.publish_time)),
    }
}

/// The parts of a footprint.
pub fn footprint(parts: &[FootprintPart]) -> Vec<v1::FootprintPart> {
    parts
        .iter()
        .map(|part| v1::FootprintPart {
            title: part.title.clone(),
            resources: Some(resources::write(&part.resources)),
        })
        .collect()
}

/// A version to publish, with the domain's rules asked.
pub fn read_version(
    fields: &mut Fields,
    path: &str,
    message: Option<&v1::OfferingVersion>,
    now: Timestamp,
) -> Option<OfferingVersion> {
    let message = fields.needed(path, message)?;
    let mut plans = Vec::new();
    for (index, plan) in message.plans.iter().enumerate() {
        let place = format!("{path}.plans[{index}]");
        plans.extend(read_plan(fields, &place, plan));
    }
    let version = OfferingVersion {
        version: message.version.clone(),
        chart: message.chart.clone(),
        parameters_schema: message.parameters_schema.clone(),
        plans,
        secret_fields: message
            .secret_fields
            .iter()
            .map(|f| SecretField { key: f.key.clone(), value: f.value.clone(), bound: f.bound })
            .collect(),
        binding_fields: message.binding_fields.clone(),
        timeout_seconds: message.timeout_seconds,
        publish_time: now,
    };
    fields.wrong_under(path, version.violations());
    Some(version)
}

fn read_plan(fields: &mut Fields, path: &str, plan: &v1::Plan) -> Option<Plan> {
    let id = fields.parse(&format!("{path}.id"), &plan.id);
    if serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&plan.values_json).is_err() {
        fields.wrong(format!("{path}.values_json"), "must be a JSON object");
    }
    let mut footprint = Vec::new();
    for (index, part) in plan.footprint.iter().enumerate() {
        let place = format!("{path}.footprint[{index}].resources");
        if let Some(resources) = resources::read(fields, &place, part.resources.as_ref()) {
            footprint.push(FootprintPart { title: part.title.clone(), resources });
        }
    }
    Some(Plan { id: id?, title: plan.title.clone(), values_json: plan.values_json.clone(), footprint })
}
