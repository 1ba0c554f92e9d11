//! `CertificateService`.

use std::sync::Arc;

use allmende_identity::Caller;
use allmende_proto::v1::{self, certificate_service_server::CertificateService};
use tonic::Request;

use super::{Answer, Apps, answer, page, split, written as written_page};
use crate::{
    app::certificate::Given,
    context::Rpc,
    convert::{fields::time, service_account::write_revocation},
    error::AppError,
    names,
};

/// See the module.
#[derive(Clone)]
pub struct CertificateApi(pub Arc<Apps>);

#[tonic::async_trait]
impl CertificateService for CertificateApi {
    async fn create_join_token(
        &self,
        request: Request<v1::CreateJoinTokenRequest>,
    ) -> Answer<v1::CreateJoinTokenResponse> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let id = names::cluster(&request.parent)?;
            let (join_token, end) = self.0.certificates.create_token(&context, &id, &request).await?;
            let expire_time = Some(time(end));
            Ok(v1::CreateJoinTokenResponse { cluster: request.parent, join_token, expire_time })
        })
        .await
    }

    async fn join_cluster(&self, request: Request<v1::JoinClusterRequest>) -> Answer<v1::ClusterCertificate> {
        answer(async {
            let Rpc(row) = request
                .extensions()
                .get::<Rpc>()
                .copied()
                .ok_or_else(|| AppError::internal("a request came past the call layer"))?;
            let (request, now) = (request.into_inner(), self.0.clock.now());
            let id = names::cluster(&request.name).ok();
            let given = self.0.certificates.join(row.rpc, id, &request, now).await?;
            Ok(written(request.name, given))
        })
        .await
    }

    async fn renew_cluster_certificate(
        &self,
        request: Request<v1::RenewClusterCertificateRequest>,
    ) -> Answer<v1::ClusterCertificate> {
        answer(async {
            let caller = Caller::from_extensions(request.extensions());
            let certificate = caller.and_then(|caller| caller.certificate.clone());
            let (context, request) = split(request, &self.0.clock)?;
            let id = names::cluster(&request.name)?;
            let certificate = certificate.as_deref();
            let mut given = self.0.certificates.renew(&context, certificate, &id, &request).await?;
            if request.validate_only {
                // Signed to see that it can be; not given.
                given.chain.clear();
            }
            Ok(written(request.name, given))
        })
        .await
    }

    async fn revoke_cluster_certificates(
        &self,
        request: Request<v1::RevokeClusterCertificatesRequest>,
    ) -> Answer<v1::RevokeClusterCertificatesResponse> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let id = names::cluster(&request.name)?;
            let at = self.0.certificates.revoke(&context, &id, &request).await?;
            let revoke_time = Some(time(at));
            Ok(v1::RevokeClusterCertificatesResponse { revoke_time })
        })
        .await
    }

    async fn revoke_certificates(
        &self,
        request: Request<v1::RevokeCertificatesRequest>,
    ) -> Answer<v1::CertificateRevocation> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let revocation = self.0.revocations.revoke(&context, &request).await?;
            Ok(write_revocation(&revocation))
        })
        .await
    }

    async fn list_certificate_revocations(
        &self,
        request: Request<v1::ListCertificateRevocationsRequest>,
    ) -> Answer<v1::ListCertificateRevocationsResponse> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let page = page(request.page_size, &request.page_token, "certificateRevocations")?;
            let found = self.0.revocations.list(&context, &page).await?;
            let (revocations, next_page_token) = written_page(found, |row| write_revocation(&row.value));
            Ok(v1::ListCertificateRevocationsResponse { revocations, next_page_token })
        })
        .await
    }
}

fn written(name: String, given: Given) -> v1::ClusterCertificate {
    let renew_time = Some(time(given.renew_time()));
    v1::ClusterCertificate {
        name,
        certificate_chain: given.chain,
        serial: given.serial,
        expire_time: Some(time(given.not_after)),
        renew_time,
    }
}
