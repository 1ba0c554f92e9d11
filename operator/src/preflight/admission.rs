//! Our admission policies: are they there, do they refuse, and does the API server really ask them? Tried with a dry run of something that
//! everybody but the operator is refused: a namespace that looks managed. Nothing is made.

use std::time::Duration;

use allmende_crds::names;
use k8s_openapi::api::{
    admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding},
    core::v1::Namespace,
};
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::json;
use tokio::time::Instant;

use super::{NAME, report::Verdict};

/// On everything that Allmende's charts install.
const OURS: &str = "app.kubernetes.io/part-of=allmende";
/// The namespace that is never made. The account of the chart's Job may name this one only.
const CANARY: &str = "allmende-preflight-canary";
/// How the API server names the policy that refused: `ValidatingAdmissionPolicy '<release>-namespace-labels' with binding …`. Another
/// policy's no, or RBAC's, proves nothing.
const REFUSED_BY: [&str; 2] = ["ValidatingAdmissionPolicy", "-namespace-labels' with binding"];
/// Policies act a moment after they were written.
const ACTS_WITHIN: Duration = Duration::from_secs(20);
/// Pause between two tries.
const AGAIN: Duration = Duration::from_millis(500);

/// Looks at the policies and tries one.
pub async fn check(client: &Client) -> Verdict {
    let ours = ListParams::default().labels(OURS);
    let policies = match Api::<ValidatingAdmissionPolicy>::all(client.clone()).list(&ours).await {
        Ok(list) => list.items,
        Err(kube::Error::Api(status)) if status.code == 404 => return not_served(),
        Err(error) => return Verdict::unreadable("admission policies", &error),
    };
    let bindings = match Api::<ValidatingAdmissionPolicyBinding>::all(client.clone()).list(&ours).await {
        Ok(list) => list.items,
        Err(error) => return Verdict::unreadable("bindings of admission policies", &error),
    };
    if let Err(verdict) = installed(&policies, &bindings) {
        return verdict;
    }
    let until = Instant::now() + ACTS_WITHIN;
    loop {
        let answer = canary(client).await;
        if answer != Answer::LetThrough || Instant::now() >= until {
            return judge(policies.len(), &answer);
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// What became of the dry run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Our policy said no.
    Refused,
    /// Nobody did.
    LetThrough,
    /// Somebody else did, or there was no answer.
    Other(String),
}

async fn canary(client: &Client) -> Answer {
    let namespace = json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": { "name": CANARY, "labels": { names::LABEL_MANAGED_BY: names::OPERATOR } },
    });
    // Applied and not created: a create cannot be allowed by name, and nothing more must be allowed than this.
    let dry_run = PatchParams { dry_run: true, ..PatchParams::apply(NAME) };
    match Api::<Namespace>::all(client.clone()).patch(CANARY, &dry_run, &Patch::Apply(namespace)).await {
        Ok(_) => Answer::LetThrough,
        Err(kube::Error::Api(status)) if REFUSED_BY.iter().all(|text| status.message.contains(text)) => {
            Answer::Refused
        }
        Err(kube::Error::Api(status)) => Answer::Other(status.message.clone()),
        Err(error) => Answer::Other(error.to_string()),
    }
}

/// Whether our policies are there, fail closed and deny.
///
/// # Errors
/// The verdict, when they are not.
pub fn installed(
    policies: &[ValidatingAdmissionPolicy],
    bindings: &[ValidatingAdmissionPolicyBinding],
) -> Result<(), Verdict> {
    // A policy without validations only writes into the audit log.
    let refuses = |policy: &&ValidatingAdmissionPolicy| {
        policy.spec.as_ref().is_some_and(|spec| spec.validations.iter().flatten().next().is_some())
    };
    let policies: Vec<&ValidatingAdmissionPolicy> = policies.iter().filter(refuses).collect();
    if policies.is_empty() {
        return Err(Verdict::not_proven(
            "the API server knows admission policies, and ours are not installed",
            "install the chart allmende-operator (policies.enabled=true) and check again",
        ));
    }
    let open = |policy: &&&ValidatingAdmissionPolicy| {
        let spec = policy.spec.as_ref();
        spec.is_none_or(|spec| spec.failure_policy.as_deref() == Some("Ignore"))
    };
    let denies = |policy: &ValidatingAdmissionPolicy| {
        let name = policy.name_any();
        bindings.iter().filter_map(|binding| binding.spec.as_ref()).any(|spec| {
            spec.policy_name.as_deref() == Some(name.as_str())
                && spec.validation_actions.iter().flatten().any(|action| action == "Deny")
        })
    };
    let mut wrong: Vec<String> =
        policies.iter().filter(open).map(|policy| format!("{} fails open", policy.name_any())).collect();
    let idle = policies.iter().filter(|policy| !denies(policy));
    wrong.extend(idle.map(|policy| format!("{} denies nothing", policy.name_any())));
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Verdict::failed(
        wrong.join("; "),
        "install the chart allmende-operator again: its policies were changed",
    ))
}

/// Judges the dry run.
pub fn judge(policies: usize, answer: &Answer) -> Verdict {
    match answer {
        Answer::Refused => Verdict::passed(format!("{policies} policies; a forbidden namespace was refused")),
        Answer::LetThrough => Verdict::failed(
            format!("{policies} policies are there, and a forbidden namespace was let through"),
            "look at the API server's flags: --disable-admission-plugins must not name ValidatingAdmissionPolicy",
        ),
        Answer::Other(why) => Verdict::not_proven(
            format!("the dry run was not answered by our policy: {why}"),
            "run with the rights of the chart's preflight account, or as an administrator",
        ),
    }
}

fn not_served() -> Verdict {
    Verdict::failed(
        "the API server does not serve ValidatingAdmissionPolicy in admissionregistration.k8s.io/v1",
        "upgrade the cluster to 1.30 or later, and do not switch the API off (--runtime-config)",
    )
}

#[cfg(test)]
mod tests {
    use super::{super::report::State, *};

    fn policy(name: &str, failure: &str) -> ValidatingAdmissionPolicy {
        let spec = json!({ "failurePolicy": failure, "validations": [{ "expression": "false" }] });
        serde_json::from_value(json!({ "metadata": { "name": name }, "spec": spec })).unwrap()
    }

    fn binding(policy: &str, action: &str) -> ValidatingAdmissionPolicyBinding {
        let spec = json!({ "policyName": policy, "validationActions": [action] });
        serde_json::from_value(json!({ "metadata": { "name": policy }, "spec": spec })).unwrap()
    }

    #[test]
    fn policies_count_only_when_they_fail_closed_and_deny() {
        let state =
            |policies: &[_], bindings: &[_]| installed(policies, bindings).map_err(|verdict| verdict.state);
        assert_eq!(state(&[], &[]), Err(State::NotProven));
        assert_eq!(state(&[policy("a", "Fail")], &[binding("a", "Deny")]), Ok(()));
        assert_eq!(state(&[policy("a", "Ignore")], &[binding("a", "Deny")]), Err(State::Failed));
        assert_eq!(state(&[policy("a", "Fail")], &[binding("a", "Audit")]), Err(State::Failed));
        let one_of_two = [policy("a", "Fail"), policy("b", "Fail")];
        assert_eq!(state(&one_of_two, &[binding("a", "Deny")]), Err(State::Failed));
        let mut notes = policy("notes", "Ignore");
        notes.spec.as_mut().unwrap().validations = None;
        assert_eq!(state(&[policy("a", "Fail"), notes], &[binding("a", "Deny")]), Ok(()));
    }

    #[test]
    fn only_the_no_of_our_own_policy_proves_something() {
        assert_eq!(judge(9, &Answer::Refused).state, State::Passed);
        assert_eq!(judge(9, &Answer::LetThrough).state, State::Failed);
        assert_eq!(judge(9, &Answer::Other("RBAC".into())).state, State::NotProven);
    }
}
