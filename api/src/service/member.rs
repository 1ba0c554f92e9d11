//! `MemberService`.

use std::sync::Arc;

use allmende_proto::v1::{self, member_service_server::MemberService};
use allmende_store::keys;
use tonic::{Request, Streaming};

use super::{Answer, Apps, answer, page, split, written};
use crate::{
    app::{
        member::{MemberDataStream, RightsOf},
        register::Upload,
    },
    authz::Scope,
    context::Context,
    convert::{fields::Fields, grant as grants, member as convert},
    core::Change,
    error::AppError,
    names,
    status::unreadable,
};

/// Largest register edition that is taken, bytes of CSV.
const REGISTER_MAX: usize = 32 << 20;

/// See the module.
#[derive(Clone)]
pub struct MemberApi(pub Arc<Apps>);

#[tonic::async_trait]
impl MemberService for MemberApi {
    async fn create_member(&self, request: Request<v1::CreateMemberRequest>) -> Answer<v1::Member> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let member = self.0.members.create(&context, &request).await?;
            Ok(convert::write_value(&member))
        })
        .await
    }

    async fn get_member(&self, request: Request<v1::GetMemberRequest>) -> Answer<v1::Member> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let member = self.0.members.get(&context, &names::member(&request.name)?, &request.name).await?;
            Ok(convert::write(&member))
        })
        .await
    }

    async fn list_members(
        &self,
        request: Request<v1::ListMembersRequest>,
    ) -> Answer<v1::ListMembersResponse> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let list = format!("members land={}", request.land);
            let page = page(request.page_size, &request.page_token, &list)?;
            let found = self.0.members.list(&context, &page, &request.land).await?;
            let (members, next_page_token) = written(found, convert::write);
            Ok(v1::ListMembersResponse { members, next_page_token })
        })
        .await
    }

    async fn update_member(&self, request: Request<v1::UpdateMemberRequest>) -> Answer<v1::Member> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let name = request.member.as_ref().map_or("", |member| member.name.as_str());
            let member = self.0.members.update(&context, &names::member(name)?, &request).await?;
            Ok(convert::write_value(&member))
        })
        .await
    }

    type ExportMemberDataStream = MemberDataStream;

    async fn exit_member(&self, request: Request<v1::ExitMemberRequest>) -> Answer<v1::Member> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let id = names::member(&request.name)?;
            let member = self.0.members.exit(&context, &id, &request).await?;
            Ok(convert::write_value(&member))
        })
        .await
    }

    async fn export_member_data(
        &self,
        request: Request<v1::ExportMemberDataRequest>,
    ) -> Answer<MemberDataStream> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let member = names::member(&request.name)?;
            let documents = &self.0.invoices.documents;
            self.0.members.export(&context, &member, &request.name, documents).await
        })
        .await
    }

    async fn create_bill_to(&self, request: Request<v1::CreateBillToRequest>) -> Answer<v1::BillTo> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let member = names::member(&request.parent)?;
            let bill_to = self.0.members.create_bill_to(&context, &member, &request).await?;
            Ok(convert::write_bill_to(&bill_to, String::new()))
        })
        .await
    }

    async fn get_bill_to(&self, request: Request<v1::GetBillToRequest>) -> Answer<v1::BillTo> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let (member, id) = names::bill_to(&request.name)?;
            let bill_to = self.0.members.get_bill_to(&context, (&member, &id), &request.name).await?;
            Ok(convert::write_bill_to(&bill_to.value, bill_to.etag()))
        })
        .await
    }

    async fn list_bill_tos(
        &self,
        request: Request<v1::ListBillTosRequest>,
    ) -> Answer<v1::ListBillTosResponse> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let member = names::member(&request.parent)?;
            let page = page(request.page_size, &request.page_token, &format!("{}/billTos", request.parent))?;
            let found = self.0.members.bill_tos(&context, &member, &request.parent, &page).await?;
            let (bill_tos, next_page_token) =
                written(found, |row| convert::write_bill_to(&row.value, row.etag()));
            Ok(v1::ListBillTosResponse { bill_tos, next_page_token })
        })
        .await
    }

    async fn create_grant(&self, request: Request<v1::CreateGrantRequest>) -> Answer<v1::Grant> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let member = names::member(&request.parent)?;
            let grant = self.0.members.create_grant(&context, &member, &request).await?;
            Ok(grants::write_grant(&grant))
        })
        .await
    }

    async fn list_grants(&self, request: Request<v1::ListGrantsRequest>) -> Answer<v1::ListGrantsResponse> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let member = names::member(&request.parent)?;
            let page = page(request.page_size, &request.page_token, &format!("{}/grants", request.parent))?;
            let found = self.0.members.grants(&context, &member, &request.parent, &page).await?;
            let (grants, next_page_token) = written(found, |row| grants::write_grant(&row.value));
            Ok(v1::ListGrantsResponse { grants, next_page_token })
        })
        .await
    }

    async fn revoke_grant(&self, request: Request<v1::RevokeGrantRequest>) -> Answer<v1::Grant> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let (member, id) = names::grant(&request.name)?;
            let grant = self.0.members.revoke_grant(&context, (&member, &id), &request).await?;
            Ok(grants::write_grant(&grant))
        })
        .await
    }

    async fn list_rights(&self, request: Request<v1::ListRightsRequest>) -> Answer<v1::ListRightsResponse> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let mut fields = Fields::new();
            let at = match &request.time {
                None => Some(context.now),
                given => fields.time("time", given.as_ref()),
            };
            let at = fields.finish(at)?;
            let time = request.time.as_ref().map(|_| at.to_string()).unwrap_or_default();
            let list = format!("{}/rights time={time}", request.parent);
            let page = page(request.page_size, &request.page_token, &list)?;
            let member = names::member_or_all(&request.parent)?;
            let of = match &member {
                None => RightsOf::Everybody,
                Some(id) => RightsOf::Member(id, &request.parent),
            };
            let found = self.0.members.rights(&context, of, at, &page).await?;
            let (rights, next_page_token) = written(found, grants::write_right);
            Ok(v1::ListRightsResponse { rights, next_page_token })
        })
        .await
    }

    async fn get_caller(&self, request: Request<v1::GetCallerRequest>) -> Answer<v1::Caller> {
        answer(async {
            let (context, _) = split(request, &self.0.clock)?;
            let rights = self.0.members.own_rights(&context).await?;
            Ok(v1::Caller {
                principal: context.caller.identity.to_string(),
                certificate: context.caller.bound_to.map(|bound| bound.to_string()).unwrap_or_default(),
                rights: rights.iter().map(grants::write_right).collect(),
            })
        })
        .await
    }

    async fn import_register(
        &self,
        request: Request<Streaming<v1::ImportRegisterRequest>>,
    ) -> Answer<v1::RegisterEdition> {
        answer(async {
            let (context, mut stream) = split(request, &self.0.clock)?;
            self.import(&context, &mut stream).await
        })
        .await
    }

    async fn list_register_editions(
        &self,
        request: Request<v1::ListRegisterEditionsRequest>,
    ) -> Answer<v1::ListRegisterEditionsResponse> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            let core = &self.0.members.core;
            core.authorizer.require(&context, Scope::Known).await?;
            let page = page(request.page_size, &request.page_token, "registerEditions")?;
            let found = core.page(&keys::register_editions(), &page).await?;
            let (editions, next_page_token) = written(found, |row| convert::write_edition(&row.value));
            Ok(v1::ListRegisterEditionsResponse { editions, next_page_token })
        })
        .await
    }

    async fn get_register_entry(
        &self,
        request: Request<v1::GetRegisterEntryRequest>,
    ) -> Answer<v1::RegisterEntry> {
        answer(async {
            let (context, request) = split(request, &self.0.clock)?;
            self.0.members.core.authorizer.require(&context, Scope::Known).await?;
            let found = self.0.members.registers.find(&request.register_key).await?;
            let name = format!("register entry {}", request.register_key);
            let (entry, edition) = found.ok_or_else(|| AppError::not_found(name))?;
            Ok(convert::write_entry(&entry, &edition))
        })
        .await
    }
}

impl MemberApi {
    async fn import(
        &self,
        context: &Context,
        stream: &mut Streaming<v1::ImportRegisterRequest>,
    ) -> Result<v1::RegisterEdition, AppError> {
        let core = &self.0.members.core;
        let actor = core.authorizer.require(context, Scope::Cooperative).await?;
        let mut upload = Upload::default();
        while let Some(part) = stream.message().await.map_err(|error| unreadable(&error))? {
            if !part.edition.is_empty() {
                upload.edition = part.edition;
                upload.population_as_of = part.population_as_of;
                upload.source = part.source;
            }
            upload.municipalities.extend_from_slice(&part.municipalities_csv);
            upload.counties.extend_from_slice(&part.counties_csv);
            if upload.municipalities.len().saturating_add(upload.counties.len()) > REGISTER_MAX {
                let description = "a register edition of more than 32 MiB is not taken".to_owned();
                return Err(AppError::LimitExceeded { description });
            }
        }
        // The whole edition has an id of its own, its date: no request id is needed to count once.
        let change = Change::new(actor, "", &v1::ImportRegisterRequest::default(), false, context.now)?;
        let edition = self.0.members.registers.import(&change, context.row.rpc, upload).await?;
        Ok(convert::write_edition(&edition))
    }
}
