//! `ClusterService`.

use std::sync::Arc;

use allmende_proto::v1::{self, cluster_service_server::ClusterService};
use tonic::Request;

use super::{Answer, Apps, answer, page, split, written};
use crate::{app::cluster::DesiredStream, convert::cluster as convert, names};

/// See the module.
#[derive(Clone)]
pub struct ClusterApi(pub Arc<Apps>);

#[tonic::async_trait]
impl ClusterService for ClusterApi {
    type FollowDesiredStateStream = DesiredStream;

    async fn create_cluster(&self, request: Request<v1::CreateClusterRequest>) -> Answer<v1::Cluster> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let cluster = self.0.clusters.create(&context, &request).await?;
            Ok(convert::write_value(&cluster, None))
        })
        .await
    }

    async fn get_cluster(&self, request: Request<v1::GetClusterRequest>) -> Answer<v1::Cluster> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let id = names::cluster(&request.name)?;
            let known = self.0.clusters.get(&context, &id, &request.name).await?;
            Ok(convert::write_known(&known))
        })
        .await
    }

    async fn list_clusters(
        &self,
        request: Request<v1::ListClustersRequest>,
    ) -> Answer<v1::ListClustersResponse> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let page = page(request.page_size, &request.page_token, "clusters")?;
            let found = self.0.clusters.list(&context, &page).await?;
            let (clusters, next_page_token) =
                written(found, |(cluster, seen)| convert::write(cluster, seen.as_ref()));
            Ok(v1::ListClustersResponse { clusters, next_page_token })
        })
        .await
    }

    async fn update_cluster_capacity(
        &self,
        request: Request<v1::UpdateClusterCapacityRequest>,
    ) -> Answer<v1::Cluster> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let id = names::cluster(&request.name)?;
            let cluster = self.0.clusters.set_capacity(&context, &id, &request).await?;
            Ok(convert::write_value(&cluster, None))
        })
        .await
    }

    async fn raise_store_epoch(
        &self,
        request: Request<v1::RaiseStoreEpochRequest>,
    ) -> Answer<v1::StoreState> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let raised = self.0.clusters.raise_epoch(&context, &request).await?;
            Ok(v1::StoreState { store_id: raised.store_id, epoch: raised.epoch })
        })
        .await
    }

    async fn follow_desired_state(
        &self,
        request: Request<v1::FollowDesiredStateRequest>,
    ) -> Answer<DesiredStream> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            self.0.clusters.follow(&context, &names::cluster(&request.name)?, &request).await
        })
        .await
    }

    async fn report_observations(
        &self,
        request: Request<v1::ReportObservationsRequest>,
    ) -> Answer<v1::ReportObservationsResponse> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let id = names::cluster(&request.name)?;
            let refused = self.0.clusters.observe(&context, &id, &request).await?;
            Ok(v1::ReportObservationsResponse { refused })
        })
        .await
    }
}
