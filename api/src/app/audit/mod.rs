//! The audit: kept (refused attempts written, entries sealed) by [`Keeper`], read by [`Audits`].

mod archive;
mod keeper;
mod list;
mod metrics;
mod refusals;
mod seal;

use std::{pin::Pin, sync::Arc};

use allmende_domain::ids::MemberId;
use allmende_evidence::{SigningKey, export};
use allmende_proto::v1;
use allmende_store::{AuditHead, Versioned, keys};
use futures::{Stream, stream};

use crate::{authz::Scope, context::Context, convert::audit as convert, core::Core, error::AppError};

pub use archive::{Archive, links};
pub use keeper::Keeper;
pub use list::{Filter, Listed};
pub use metrics::AuditMetrics;
pub use refusals::Refusals;
pub use seal::Sealer;

/// Segments that one step of an export or a list reads.
const SEGMENTS_AT_ONCE: usize = 16;

/// Messages of an export.
pub type ExportStream = Pin<Box<dyn Stream<Item = Result<v1::ExportAuditResponse, tonic::Status>> + Send>>;

/// Use cases over the audit.
#[derive(Clone)]
pub struct Audits {
    /// Shared parts.
    pub core: Core,
    /// What was refused and is not written yet.
    pub refusals: Refusals,
    /// Of the keeper.
    pub metrics: AuditMetrics,
}

impl Audits {
    /// What writes refused attempts and seals. Without a key it seals nothing: what is sealed is signed.
    pub fn keeper(&self, key: Option<SigningKey>) -> Keeper {
        Keeper::new(self, key.map(Arc::new))
    }

    /// The signed end of a chain.
    ///
    /// # Errors
    /// NOT_FOUND before anything was sealed, and where the caller may not know.
    pub async fn head(
        &self,
        context: &Context,
        member: Option<&MemberId>,
        name: &str,
    ) -> Result<Versioned<AuditHead>, AppError> {
        self.authorise(context, member, name).await?;
        let found = self.core.store.find(&keys::audit_head(member)).await?;
        found.ok_or_else(|| AppError::not_found(format!("{name}/auditHead")))
    }

    /// A whole chain up to its present head.
    ///
    /// # Errors
    /// As [`head`](Self::head).
    pub async fn export(
        &self,
        context: &Context,
        member: Option<&MemberId>,
        name: &str,
    ) -> Result<ExportStream, AppError> {
        let head = self.head(context, member, name).await?.value;
        let first = v1::ExportAuditResponse {
            part: Some(v1::export_audit_response::Part::Head(convert::write_head(&head))),
        };
        let read =
            Export { core: self.core.clone(), member: member.cloned(), last: head.head.sequence, after: 0 };
        let lines =
            stream::try_unfold(read, |read| async move { read.next().await.map_err(tonic::Status::from) });
        let all = stream::once(async { Ok(first) });
        Ok(Box::pin(futures::StreamExt::chain(all, lines)))
    }

    async fn authorise(
        &self,
        context: &Context,
        member: Option<&MemberId>,
        name: &str,
    ) -> Result<(), AppError> {
        self.core.authorizer.require(context, Scope::of(member, name)).await.map(|_| ())
    }
}

/// Where an export stands.
struct Export {
    core: Core,
    member: Option<MemberId>,
    last: u64,
    /// Number of the last link that was sent.
    after: u64,
}

impl Export {
    async fn next(mut self) -> Result<Option<(v1::ExportAuditResponse, Self)>, AppError> {
        if self.after >= self.last {
            return Ok(None);
        }
        let member = self.member.as_ref();
        let from = keys::audit_segment(member, self.after);
        let range = keys::audit_segments(member);
        let rows = self.core.store.scan(&range, Some(from.raw()), SEGMENTS_AT_ONCE).await?;
        let mut lines = String::new();
        for row in &rows {
            for link in links(self.core.archive.as_ref(), row).await? {
                if link.sequence <= self.last {
                    lines.push_str(&export::line(&link));
                    self.after = link.sequence;
                }
            }
        }
        if lines.is_empty() {
            return Err(AppError::internal(format!(
                "the audit chain ends before its head, after {}",
                self.after
            )));
        }
        let part = Some(v1::export_audit_response::Part::Lines(lines));
        Ok(Some((v1::ExportAuditResponse { part }, self)))
    }
}
