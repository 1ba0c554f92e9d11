//! A sound request for every RPC of the contract, made from its descriptors: as much as an authorised caller needs to get past the wall.

use prost::Message;
use prost_types::{DescriptorProto, FileDescriptorSet, MethodDescriptorProto, field_descriptor_proto::Type};

/// An id that is well-formed.
pub const UUID: &str = "0190f7a2-2222-7000-8000-000000000001";

/// One RPC.
pub struct Rpc {
    /// `allmende.v1.TenantService/GetTenant`.
    pub name: String,
    pub client_streaming: bool,
    input: DescriptorProto,
}

/// Ids that only the running API gives.
#[derive(Default)]
pub struct Known {
    pub grant: String,
    pub operation: String,
    pub loan: String,
    pub credential: String,
}

/// All of them, in the order of the contract.
pub fn all() -> Vec<Rpc> {
    let set = FileDescriptorSet::decode(allmende_proto::FILE_DESCRIPTOR_SET).unwrap();
    let message = |name: &str| {
        let short = name.rsplit('.').next().unwrap();
        set.file.iter().flat_map(|file| &file.message_type).find(|one| one.name() == short).unwrap().clone()
    };
    let mut all = Vec::new();
    for file in set.file.iter().filter(|file| file.package() == "allmende.v1") {
        for service in &file.service {
            for method in &service.method {
                let MethodDescriptorProto { name: Some(name), input_type: Some(input), .. } = method else {
                    continue;
                };
                all.push(Rpc {
                    name: format!("allmende.v1.{}/{name}", service.name()),
                    client_streaming: method.client_streaming(),
                    input: message(input),
                });
            }
        }
    }
    all
}

impl Rpc {
    /// The path of a request.
    pub fn path(&self) -> String {
        format!("/{}", self.name)
    }

    fn method(&self) -> &str {
        self.name.rsplit('/').next().unwrap()
    }

    /// The resource that the RPC is about, for a member.
    pub fn resource(&self, member: &str, known: &Known) -> String {
        let of_member = |rest: &str| format!("members/{member}{rest}");
        let method = self.method();
        match method {
            "GetBillTo" => of_member("/billTos/main"),
            "SetBudget" | "GetBudget" | "RecountBudget" => of_member("/billTos/main/budgets/2026"),
            "RevokeGrant" => of_member(&format!("/grants/{}", known.grant)),
            "GetTenant" | "UpdateTenant" | "DeleteTenant" | "CreateInstance" | "ListInstances" => {
                of_member("/tenants/prod")
            }
            "RevokeCertificates" => format!("allmende://member/{member}"),
            "RevokeServiceAccountCredential" => {
                of_member(&format!("/serviceAccounts/ci/credentials/{}", known.credential))
            }
            "GetServiceAccount"
            | "UpdateServiceAccount"
            | "DeleteServiceAccount"
            | "IssueServiceAccountCredential"
            | "ListServiceAccountCredentials" => of_member("/serviceAccounts/ci"),
            "GetOperation" => of_member(&format!("/operations/{}", known.operation)),
            "GetEntitlement" | "SetEntitlement" => of_member("/entitlements/local-1"),
            "GetInvoice" | "GetInvoiceDocument" => of_member("/invoices/2026-000001"),
            "OfferLoan" => of_member(""),
            "GetPoolRun" => "poolRules/none/runs/2026-11-01".to_owned(),
            _ if method.ends_with("Loan") => of_member(&format!("/loans/{}", known.loan)),
            _ if self.name.contains(".PoolService/") => "poolRules/none".to_owned(),
            "GetCluster"
            | "UpdateClusterCapacity"
            | "FollowDesiredState"
            | "ReportObservations"
            | "ReportFacts" => "clusters/local-1".to_owned(),
            "GetOffering" | "PublishOfferingVersion" => "offerings/postgresql".to_owned(),
            "GetRun" | "FinalizeRun" => "runs/2026-10".to_owned(),
            _ if method.ends_with("Instance") || method.ends_with("InstanceCredentials") => {
                of_member("/tenants/prod/instances/db")
            }
            _ if self.first_is_a_cluster() => "clusters/local-1".to_owned(),
            _ => of_member(""),
        }
    }

    /// RPCs of clusters that this list does not know by name.
    fn first_is_a_cluster(&self) -> bool {
        self.name.contains(".ClusterService/") || self.name.contains(".CertificateService/")
    }

    /// The message with `resource` in its first field (or in the first field of that), as a preview where there is one.
    pub fn body(&self, resource: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        if let Some(first) = self.input.field.iter().find(|field| field.number() == 1) {
            match first.r#type() {
                Type::String => text(&mut bytes, resource),
                Type::Message => {
                    let mut inner = Vec::new();
                    text(&mut inner, resource);
                    bytes.extend([0x0a, u8::try_from(inner.len()).unwrap()]);
                    bytes.extend(inner);
                }
                _ => {}
            }
        }
        if let Some(number) = self.number("validate_only") {
            bytes.extend([u8::try_from(number << 3).unwrap(), 1]);
        }
        bytes
    }

    /// The number of a field.
    pub fn number(&self, field: &str) -> Option<i32> {
        self.input.field.iter().find(|one| one.name() == field).map(|one| one.number())
    }
}

fn text(bytes: &mut Vec<u8>, value: &str) {
    bytes.extend([0x0a, u8::try_from(value.len()).unwrap()]);
    bytes.extend_from_slice(value.as_bytes());
}
