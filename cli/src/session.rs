//! One run of the program: whom it talks to, as whom, and how it prints.

use std::{path::PathBuf, time::Duration};

use allmende_identity::client::{ClientTls, channel};
use allmende_proto::v1::{
    audit_service_client::AuditServiceClient, billing_service_client::BillingServiceClient,
    budget_service_client::BudgetServiceClient, catalog_service_client::CatalogServiceClient,
    certificate_service_client::CertificateServiceClient, cluster_service_client::ClusterServiceClient,
    instance_service_client::InstanceServiceClient, invoice_service_client::InvoiceServiceClient,
    loan_service_client::LoanServiceClient, member_service_client::MemberServiceClient,
    operation_service_client::OperationServiceClient, pool_service_client::PoolServiceClient,
    quota_service_client::QuotaServiceClient, service_account_service_client::ServiceAccountServiceClient,
    tenant_service_client::TenantServiceClient, usage_service_client::UsageServiceClient,
};
use tonic::{
    Request, Response, Status,
    metadata::{Ascii, MetadataValue},
    transport::Channel,
};

use crate::{
    arguments::Globals,
    config::{self, Config, Context},
    failure::Failure,
    language::Lang,
    output::Printer,
    sign_in,
};

/// Entries asked for at once.
pub(crate) const PAGE_SIZE: i32 = 200;

/// Largest answer taken: documents of invoices come in one piece.
const MAX_ANSWER: usize = 16 << 20;

/// See the module.
pub(crate) struct Session {
    channel: Channel,
    context: Context,
    member: Option<String>,
    request_timeout: Duration,
    /// `Bearer …`, when somebody signed in.
    authorization: Option<MetadataValue<Ascii>>,
    pub(crate) printer: Printer,
    pub(crate) lang: Lang,
}

macro_rules! clients {
    ($($method:ident -> $client:ident),+ $(,)?) => {
        impl Session {
            $(pub(crate) fn $method(&self) -> $client<Channel> {
                $client::new(self.channel.clone()).max_decoding_message_size(MAX_ANSWER)
            })+
        }
    };
}

clients! {
    audits -> AuditServiceClient,
    billing -> BillingServiceClient,
    budgets -> BudgetServiceClient,
    catalog -> CatalogServiceClient,
    certificates -> CertificateServiceClient,
    clusters -> ClusterServiceClient,
    instances -> InstanceServiceClient,
    invoices -> InvoiceServiceClient,
    loans -> LoanServiceClient,
    members -> MemberServiceClient,
    operations -> OperationServiceClient,
    pools -> PoolServiceClient,
    quotas -> QuotaServiceClient,
    service_accounts -> ServiceAccountServiceClient,
    tenants -> TenantServiceClient,
    usage -> UsageServiceClient,
}

/// The files of a context.
pub(crate) fn client_tls(context: &Context) -> Result<ClientTls, Failure> {
    let own = match (&context.cert, &context.key) {
        (Some(cert), Some(key)) => Some((cert.clone(), key.clone())),
        (None, None) => None,
        _ => return Err(Failure::Usage("the context needs both cert and key, or neither".to_owned())),
    };
    Ok(ClientTls { ca: context.ca.clone(), own })
}

/// The metadata that carries the context's access token; it is never shown by `Debug`.
pub(crate) async fn authorization(
    name: &str,
    context: &Context,
) -> Result<Option<MetadataValue<Ascii>>, Failure> {
    let Some(token) = sign_in::access_token(name, context).await? else { return Ok(None) };
    let mut value: MetadataValue<Ascii> = format!("Bearer {token}")
        .parse()
        .map_err(|_| Failure::SignIn("the access token cannot be sent: `allmende login`".to_owned()))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

impl Session {
    /// Reads the configuration and the token of the context. Connects with the first call.
    pub(crate) async fn open(globals: &Globals) -> Result<Self, Failure> {
        let config = Config::read(&config::path()?)?;
        let (name, context) = config.context(globals.context.as_deref())?;
        let channel = channel(&context.endpoint, client_tls(context)?)
            .map_err(|error| Failure::Usage(error.to_string()))?;
        let authorization = authorization(name, context).await?;
        let lang = globals.lang();
        Ok(Self {
            authorization,
            channel,
            context: context.clone(),
            member: globals.member.clone(),
            request_timeout: globals.request_timeout,
            printer: Printer::new(globals.output, lang),
            lang,
        })
    }

    /// The context in use.
    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    /// A call with its deadline.
    pub(crate) fn call<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(self.request_timeout);
        if let Some(value) = &self.authorization {
            request.metadata_mut().insert("authorization", value.clone());
        }
        request
    }

    /// `members/m-05766044`: as given, as `--member` says, or as the context says.
    pub(crate) fn member(&self, given: Option<&str>) -> Result<String, Failure> {
        let id = given.or(self.member.as_deref()).or(self.context.member.as_deref()).ok_or_else(|| {
            Failure::Usage("for which member? Say --member ID, or set it in the context".to_owned())
        })?;
        Ok(under("members", id))
    }

    /// `members/…/tenants/prod` from `prod` or from a full name.
    pub(crate) fn tenant(&self, text: &str) -> Result<String, Failure> {
        if text.starts_with("members/") {
            return Ok(text.to_owned());
        }
        Ok(format!("{}/{}", self.member(None)?, under("tenants", text)))
    }

    /// `members/…/tenants/prod/instances/db` from `prod/db` or from a full name.
    pub(crate) fn instance(&self, text: &str) -> Result<String, Failure> {
        if text.starts_with("members/") {
            return Ok(text.to_owned());
        }
        match text.split_once('/') {
            Some((tenant, instance)) if !instance.is_empty() && !instance.contains('/') => {
                Ok(format!("{}/instances/{instance}", self.tenant(tenant)?))
            }
            _ => Err(Failure::Usage(format!(
                "`{text}`: an instance is written TENANT/INSTANCE, for example prod/db"
            ))),
        }
    }

    /// `members/…/{collection}/{id}` from the id or from a full name.
    pub(crate) fn of_member(&self, collection: &str, text: &str) -> Result<String, Failure> {
        if text.starts_with("members/") {
            return Ok(text.to_owned());
        }
        Ok(format!("{}/{}", self.member(None)?, under(collection, text)))
    }

    /// The member's kubeconfig, for what only the cluster knows.
    pub(crate) fn kubeconfig(&self, given: Option<PathBuf>) -> Result<PathBuf, Failure> {
        given.or_else(|| self.context.kubeconfig.clone()).ok_or_else(|| {
            Failure::Usage(
                "credentials are read from the cluster: say --kubeconfig FILE, or set it in the context"
                    .to_owned(),
            )
        })
    }
}

/// `clusters/local-1` from `local-1`; a full name stays.
pub(crate) fn under(collection: &str, id: &str) -> String {
    if id.starts_with(&format!("{collection}/")) { id.to_owned() } else { format!("{collection}/{id}") }
}

/// The part of a name after its collection.
pub(crate) fn id_of(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// Sends a change; its id is told when it fails.
pub(crate) async fn change<T>(
    answer: impl Future<Output = Result<Response<T>, Status>>,
    request_id: &str,
) -> Result<T, Failure> {
    answer.await.map(Response::into_inner).map_err(|status| Failure::change(status, request_id))
}

/// Reads.
pub(crate) async fn read<T>(answer: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, Failure> {
    answer.await.map(Response::into_inner).map_err(Failure::read)
}

/// All pages of a list: `list!(session.tenants().list_tenants(request) → tenants)`.
macro_rules! list {
    ($session:ident.$client:ident().$rpc:ident($request:expr) => $field:ident) => {{
        let mut request = $request;
        let page_size = &mut request.page_size;
        *page_size = $crate::session::PAGE_SIZE;
        let mut all = Vec::new();
        loop {
            let page = $crate::session::read($session.$client().$rpc($session.call(request.clone()))).await?;
            all.extend(page.$field);
            if page.next_page_token.is_empty() {
                break all;
            }
            request.page_token = page.next_page_token;
        }
    }};
}
pub(crate) use list;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_name_is_completed_and_a_full_one_stays() {
        assert_eq!(under("clusters", "local-1"), "clusters/local-1");
        assert_eq!(under("clusters", "clusters/local-1"), "clusters/local-1");
        assert_eq!(id_of("members/m-1/tenants/prod"), "prod");
    }
}
