//! Whether members can sign in to the cluster by OIDC. A cluster does not tell how it authenticates, so it is shown with a token or not at all.

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use kube::{Api, Client, api::PostParams};

use super::report::Verdict;

/// Groups of members begin so: the roles of their namespaces are bound to `allmende:<member>:<role>`.
const GROUP_PREFIX: &str = "allmende:";

/// Asks the API server about a member's token; without one nothing is proven.
pub async fn check(client: &Client, token: Option<String>, issuer: &str, audience: &str) -> Verdict {
    let Some(token) = token else {
        return Verdict::not_proven(
            "a cluster does not tell how it authenticates, and no member's token was given",
            snippet(issuer, audience),
        );
    };
    let review = TokenReview {
        spec: TokenReviewSpec { token: Some(token), audiences: None },
        ..TokenReview::default()
    };
    match Api::<TokenReview>::all(client.clone()).create(&PostParams::default(), &review).await {
        Ok(review) => judge(&review.status.unwrap_or_default(), issuer, audience),
        Err(error) => Verdict::unreadable("the token's review", &error),
    }
}

/// Judges what the API server says of the token.
pub fn judge(status: &TokenReviewStatus, issuer: &str, audience: &str) -> Verdict {
    let user = status.user.clone().unwrap_or_default();
    let groups = user.groups.unwrap_or_default();
    let ours: Vec<String> = groups.into_iter().filter(|group| group.starts_with(GROUP_PREFIX)).collect();
    let name = user.username.unwrap_or_default();
    match (status.authenticated.unwrap_or(false), ours.as_slice()) {
        (false, _) => {
            let why = status.error.clone().unwrap_or_else(|| "no authenticator knows it".to_owned());
            Verdict::failed(format!("the member's token is not accepted: {why}"), snippet(issuer, audience))
        }
        (true, []) => Verdict::failed(
            format!("the token is accepted as {name}, without a group of Allmende ({GROUP_PREFIX}…)"),
            snippet(issuer, audience),
        ),
        (true, _) => Verdict::passed(format!("a member's token is {name} in {}", ours.join(", "))),
    }
}

/// The file for the API server's `--authentication-config`, ready to be copied:
/// <https://kubernetes.io/docs/reference/access-authn-authz/authentication/#using-authentication-configuration>.
pub fn snippet(issuer: &str, audience: &str) -> String {
    format!(
        "start the API server with --authentication-config=FILE, then check with --member-token-file:
apiVersion: apiserver.config.k8s.io/v1  # v1beta1 before Kubernetes 1.34
kind: AuthenticationConfiguration
jwt:  # an entry for each provider, held to the groups of its own members: docs/guides/signing-in.md
  - issuer:
      url: {issuer}
      audiences: [{audience}]
    claimMappings:
      username: {{ claim: sub, prefix: \"allmende:\" }}
      groups: {{ claim: groups, prefix: \"allmende:\" }}"
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::report::State, *};

    fn state(status: serde_json::Value) -> State {
        judge(&serde_json::from_value(status).unwrap(), "https://login.example.org", "kubernetes").state
    }

    #[test]
    fn a_token_proves_something_only_with_a_group_of_allmende() {
        let user =
            |groups: &[&str]| json!({ "authenticated": true, "user": { "username": "u", "groups": groups } });
        assert_eq!(state(user(&["system:authenticated", "allmende:m-05766044:admin"])), State::Passed);
        assert_eq!(state(user(&["system:authenticated"])), State::Failed);
        assert_eq!(state(json!({ "error": "signature" })), State::Failed);
    }

    #[test]
    fn the_snippet_is_yaml_with_the_issuer_and_fits_into_a_report() {
        let text = snippet("https://login.example.org", "kubernetes");
        let (_, yaml) = text.split_once('\n').unwrap();
        let value: serde_json::Value = serde_saphyr::from_str(yaml).unwrap();
        assert_eq!(value["jwt"][0]["issuer"]["url"], "https://login.example.org");
        assert_eq!(value["jwt"][0]["claimMappings"]["groups"]["prefix"], "allmende:");
        assert!(text.len() < 2000);
    }
}
