//! The catalogue: read by everybody with an identity, loaded by the cooperative's operator.

use allmende_domain::{catalog::Offering, ids::OfferingId, violation::FieldViolation};
use allmende_proto::v1;
use allmende_store::{Txn, Versioned, keys};

use crate::{
    authz::Scope,
    context::Context,
    convert::{catalog as convert, fields::Fields},
    core::Core,
    error::AppError,
    pagination::{Page, PageRequest},
};

/// Use cases over offerings.
#[derive(Clone)]
pub struct Catalog {
    /// Shared parts.
    pub core: Core,
}

impl Catalog {
    /// One offering.
    ///
    /// # Errors
    /// NOT_FOUND.
    pub async fn get(
        &self,
        context: &Context,
        id: &OfferingId,
        name: &str,
    ) -> Result<Versioned<Offering>, AppError> {
        self.core.authorizer.require(context, Scope::Known).await?;
        self.core.store.find(&keys::offering(id)).await?.ok_or_else(|| AppError::not_found(name))
    }

    /// All offerings.
    ///
    /// # Errors
    /// A page token of another list.
    pub async fn list(
        &self,
        context: &Context,
        page: &PageRequest,
    ) -> Result<Page<Versioned<Offering>>, AppError> {
        self.core.authorizer.require(context, Scope::Known).await?;
        self.core.page(&keys::offerings(), page).await
    }

    /// Publishes a version; the offering is made when new. A published version never changes.
    ///
    /// # Errors
    /// All wrong fields at once; ALREADY_EXISTS for a version that is there.
    pub async fn publish(
        &self,
        context: &Context,
        request: &v1::PublishOfferingVersionRequest,
    ) -> Result<Offering, AppError> {
        let change = self.core.change(context, Scope::Cooperative, request).await?;
        let mut fields = Fields::new();
        let id: Option<OfferingId> =
            fields.parse("name", request.name.strip_prefix("offerings/").unwrap_or_default());
        if request.title.trim().is_empty() {
            fields.wrong("title", "is needed");
        }
        let version = convert::read_version(&mut fields, "version", request.version.as_ref(), context.now);
        if let Some(version) = &version {
            check_schema(&mut fields, &version.parameters_schema);
        }
        let (id, version) = fields.finish(id.zip(version))?;
        let key = keys::offering(&id);
        self.core
            .commit(&change, || async {
                let found = self.core.store.find(&key).await?;
                let mut next = found.as_ref().map_or_else(
                    || Offering {
                        id: id.clone(),
                        title: String::new(),
                        description: String::new(),
                        versions: vec![],
                    },
                    |found| found.value.clone(),
                );
                if next.versions.iter().any(|present| present.version == version.version) {
                    let resource = format!("offerings/{id} version {}", version.version);
                    return Err(AppError::AlreadyExists { resource });
                }
                next.title.clone_from(&request.title);
                next.description.clone_from(&request.description);
                next.versions.push(version.clone());
                let summary = format!("Version {} mit Chart {}", version.version, version.chart);
                let txn = Txn::new().expect_as_read(&key, found.as_ref()).put(&key, &next).and(change.audit(
                    context.row.rpc,
                    None,
                    &request.name,
                    summary,
                    "",
                ));
                Ok((txn, next))
            })
            .await
    }
}

fn check_schema(fields: &mut Fields, schema: &str) {
    let path = "version.parameters_schema";
    let Ok(value) = serde_json::from_str::<serde_json::Value>(schema) else {
        fields.push(FieldViolation::new(path, "must be JSON"));
        return;
    };
    if let Err(error) = jsonschema::validator_for(&value) {
        fields.push(FieldViolation::new(path, format!("must be a JSON Schema: {error}")));
    }
    if value.get("additionalProperties") != Some(&serde_json::Value::Bool(false)) {
        fields.push(FieldViolation::new(path, "must be closed: \"additionalProperties\": false"));
    }
}
