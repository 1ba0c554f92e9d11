//! Whether the admission policies hold in a namespace: something that they must refuse is tried with a dry run, before anybody gets a
//! right there.

use allmende_crds::names;
use k8s_openapi::api::rbac::v1::{RoleBinding, RoleRef, Subject};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};

use crate::error::Error;

/// How the API server names the policy that refused: `ValidatingAdmissionPolicy '<release>-rights' with binding …`. Another policy's no,
/// or RBAC's, proves nothing.
const REFUSED_BY: [&str; 2] = ["ValidatingAdmissionPolicy", "-rights' with binding"];
/// Name of the object that is never made.
const CANARY: &str = "allmende-canary";
/// All who have a certificate or a token of the cluster, of whichever member.
const EVERYBODY: &str = "system:authenticated";

/// Tries to let everybody look into the namespace.
///
/// # Errors
/// [`Error::WallsNotProven`] when it was not refused by the policy of rights; [`Error::Cluster`] when there was no answer.
pub async fn prove(client: &Client, namespace: &str) -> Result<(), Error> {
    let api: Api<RoleBinding> = Api::namespaced(client.clone(), namespace);
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let not_proven = |answer: String| Error::WallsNotProven { namespace: namespace.to_owned(), answer };
    match api.create(&dry_run, &canary()).await {
        Ok(_) => Err(not_proven("let through".to_owned())),
        Err(kube::Error::Api(status)) if REFUSED_BY.iter().all(|text| status.message.contains(text)) => {
            Ok(())
        }
        Err(kube::Error::Api(status)) if status.code == 403 => {
            Err(not_proven(format!("refused by something else ({})", status.message)))
        }
        Err(error) => Err(Error::cluster(format!("try the policies in namespace {namespace}"))(error)),
    }
}

fn canary() -> RoleBinding {
    let group = "rbac.authorization.k8s.io".to_owned();
    RoleBinding {
        metadata: ObjectMeta { name: Some(CANARY.to_owned()), ..ObjectMeta::default() },
        role_ref: RoleRef {
            api_group: group.clone(),
            kind: "ClusterRole".to_owned(),
            name: names::ROLE_WORKSPACE_VIEWER.to_owned(),
        },
        subjects: Some(vec![Subject {
            api_group: Some(group),
            kind: "Group".to_owned(),
            name: EVERYBODY.to_owned(),
            namespace: None,
        }]),
    }
}
