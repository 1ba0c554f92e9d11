//! `ServiceAccountService`.

use std::sync::Arc;

use allmende_proto::v1::{self, service_account_service_server::ServiceAccountService};
use tonic::Request;

use super::{Answer, Apps, answer, page, split, written};
use crate::{
    convert::{fields::time, service_account as convert},
    names,
};

/// See the module.
#[derive(Clone)]
pub struct ServiceAccountApi(pub Arc<Apps>);

#[tonic::async_trait]
impl ServiceAccountService for ServiceAccountApi {
    async fn create_service_account(
        &self,
        request: Request<v1::CreateServiceAccountRequest>,
    ) -> Answer<v1::ServiceAccount> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let member = names::member(&request.parent)?;
            let account = self.0.service_accounts.create(&context, &member, &request).await?;
            Ok(convert::write(&account, String::new()))
        })
        .await
    }

    async fn get_service_account(
        &self,
        request: Request<v1::GetServiceAccountRequest>,
    ) -> Answer<v1::ServiceAccount> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let (member, id) = names::service_account(&request.name)?;
            let found = self.0.service_accounts.get(&context, (&member, &id), &request.name).await?;
            Ok(convert::write(&found.value, found.etag()))
        })
        .await
    }

    async fn list_service_accounts(
        &self,
        request: Request<v1::ListServiceAccountsRequest>,
    ) -> Answer<v1::ListServiceAccountsResponse> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let member = names::member(&request.parent)?;
            let list = format!("{}/serviceAccounts", request.parent);
            let page = page(request.page_size, &request.page_token, &list)?;
            let found = self.0.service_accounts.list(&context, &member, &request.parent, &page).await?;
            let (service_accounts, next_page_token) =
                written(found, |row| convert::write(&row.value, row.etag()));
            Ok(v1::ListServiceAccountsResponse { service_accounts, next_page_token })
        })
        .await
    }

    async fn update_service_account(
        &self,
        request: Request<v1::UpdateServiceAccountRequest>,
    ) -> Answer<v1::ServiceAccount> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let name = request.service_account.as_ref().map_or("", |account| account.name.as_str());
            let (member, id) = names::service_account(name)?;
            let account = self.0.service_accounts.update(&context, (&member, &id), &request).await?;
            Ok(convert::write(&account, String::new()))
        })
        .await
    }

    async fn delete_service_account(
        &self,
        request: Request<v1::DeleteServiceAccountRequest>,
    ) -> Answer<v1::ServiceAccount> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let (member, id) = names::service_account(&request.name)?;
            let account = self.0.service_accounts.delete(&context, (&member, &id), &request).await?;
            Ok(convert::write(&account, String::new()))
        })
        .await
    }

    async fn issue_service_account_credential(
        &self,
        request: Request<v1::IssueServiceAccountCredentialRequest>,
    ) -> Answer<v1::IssueServiceAccountCredentialResponse> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let (member, id) = names::service_account(&request.parent)?;
            let issued = self.0.service_accounts.issue(&context, (&member, &id), &request).await?;
            let renew_time = Some(time(issued.renew_time()));
            Ok(v1::IssueServiceAccountCredentialResponse {
                credential: Some(convert::write_credential(&request.parent, &issued.credential)),
                // Signed to see that it can be; not given.
                certificate_chain: if request.validate_only { String::new() } else { issued.chain },
                renew_time,
                shortened: issued.shortened,
            })
        })
        .await
    }

    async fn list_service_account_credentials(
        &self,
        request: Request<v1::ListServiceAccountCredentialsRequest>,
    ) -> Answer<v1::ListServiceAccountCredentialsResponse> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let (member, id) = names::service_account(&request.parent)?;
            let list = format!("{}/credentials", request.parent);
            let page = page(request.page_size, &request.page_token, &list)?;
            let accounts = &self.0.service_accounts;
            let found = accounts.credentials(&context, (&member, &id), &request.parent, &page).await?;
            let (credentials, next_page_token) =
                written(found, |credential| convert::write_credential(&request.parent, credential));
            Ok(v1::ListServiceAccountCredentialsResponse { credentials, next_page_token })
        })
        .await
    }

    async fn revoke_service_account_credential(
        &self,
        request: Request<v1::RevokeServiceAccountCredentialRequest>,
    ) -> Answer<v1::ServiceAccount> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let (member, id, credential) = names::service_account_credential(&request.name)?;
            let of = (&member, &id, &credential);
            let account = self.0.service_accounts.revoke(&context, of, &request).await?;
            Ok(convert::write(&account, String::new()))
        })
        .await
    }
}
