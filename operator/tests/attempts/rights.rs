//! E07, E08, E10, E21, E24: more rights, by binding, role, token, another name or a certificate.

use serde_json::{Value, json};

use super::Row;
use crate::walls::{
    ask::{Ask, Who, each},
    objects::{RBAC, account, binding, named, pod, role, rule, subject},
    yard::{OTHER, OTHER_SERVICES, OWN, OWN_SERVICES, Yard, core, rights},
};

const MEMBERS: [Who; 2] = [Who::Admin, Who::Account];
const ALL: [Who; 3] = [Who::Admin, Who::Account, Who::Cluster];

pub(super) async fn rows(yard: &Yard) -> Vec<Row> {
    let own = role("own", rule("", "pods", "get"));
    yard.allowed(&Ask::post(Who::Admin, rights(OWN, "roles"), &own)).await;
    vec![e07(yard).await, e08(yard).await, e10(), e21(), e24()]
}

async fn e07(yard: &Yard) -> Row {
    let bindings = rights(OWN, "rolebindings");
    let own = || json!([account("app", OWN)]);
    let greater = ["cluster-admin", "admin", "edit", "allmende-operator", "allmende:release", "system:node"];
    let mut asks = each(&MEMBERS, |who| {
        greater
            .iter()
            .map(|role| Ask::post(who, &bindings, &binding("more", "ClusterRole", role, own())))
            .collect()
    });
    let people = [
        subject("Group", "allmende:m-05766044:admin"),
        subject("User", "m-05766044-admin"),
        account("default", OTHER),
        account("allmende-operator", "allmende-system"),
    ];
    let cluster = [
        subject("Group", "system:authenticated"),
        subject("Group", "system:serviceaccounts"),
        subject("User", "system:anonymous"),
    ];
    let bind = |who, to: &Value| {
        Ask::post(who, &bindings, &binding("to", "ClusterRole", "allmende:workspace-viewer", json!([to])))
    };
    asks.extend(each(&MEMBERS, |who| people.iter().chain(&cluster).map(|to| bind(who, to)).collect()));
    asks.extend(cluster.iter().map(|to| bind(Who::Cluster, to)));
    let squatted = binding("allmende:mine", "ClusterRole", "allmende:workspace-viewer", own());
    asks.extend(each(&MEMBERS, |who| vec![Ask::post(who, &bindings, &squatted)]));
    let group = json!([subject("Group", "allmende:m-05374048:viewer")]);
    let ops = json!([{"op": "replace", "path": "/subjects", "value": group}]);
    for (name, callers) in [("app", &MEMBERS[..]), ("allmende:workspace-admin", &ALL[..])] {
        let path = format!("{bindings}/{name}");
        let merge = named("rbac.authorization.k8s.io/v1", "RoleBinding", name, json!({"subjects": group}));
        let mut present = yard.read(&path).await;
        present["subjects"] = group.clone();
        asks.extend(each(callers, |who| Ask::patches(who, &path, &merge, &ops)));
        asks.extend(each(callers, |who| vec![Ask::put(who, &path, &present)]));
    }
    let everywhere = named(
        "rbac.authorization.k8s.io/v1",
        "ClusterRoleBinding",
        "mine",
        json!({
            "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "allmende:workspace-admin"}, "subjects": own(),
        }),
    );
    asks.extend(each(&MEMBERS, |who| {
        let elsewhere = [OTHER, OTHER_SERVICES, OWN_SERVICES, "kube-system"];
        let body = binding("in", "ClusterRole", "allmende:workspace-viewer", own());
        let there = elsewhere.into_iter().map(|name| Ask::post(who, rights(name, "rolebindings"), &body));
        there
            .chain([Ask::post(who, "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", &everywhere)])
            .collect()
    }));
    Row::new(
        "E07",
        "bind a greater role, or a role to somebody else; change the subjects of a binding that is there",
        "six greater roles, seven subjects, five other places; four kinds of patch and PUT on the own and on the managed binding",
        asks,
    )
}

async fn e08(yard: &Yard) -> Row {
    let rules = [
        rule("*", "*", "*"),
        rule("", "*", "get"),
        rule("", "*/log", "get"),
        rule("", "secrets", "*"),
        rule(RBAC, "roles", "escalate"),
        rule(RBAC, "clusterroles", "bind"),
        rule("", "users", "impersonate"),
        rule("", "nodes", "get"),
        rule("allmende.eu", "tenants", "update"),
    ];
    let path = rights(OWN, "roles");
    let mut asks = each(&MEMBERS, |who| {
        rules.iter().map(|rules| Ask::post(who, &path, &role("more", rules.clone()))).collect()
    });
    asks.extend(rules[..7].iter().map(|rules| Ask::post(Who::Cluster, &path, &role("more", rules.clone()))));
    let own = format!("{path}/own");
    let present = yard.read(&own).await;
    for rules in [&rules[0], &rules[4]] {
        let ops = json!([{"op": "replace", "path": "/rules", "value": rules}]);
        let mut more = present.clone();
        more["rules"] = rules.clone();
        asks.extend(each(&ALL, |who| Ask::patches(who, &own, &role("own", rules.clone()), &ops)));
        asks.extend(each(&ALL, |who| vec![Ask::put(who, &own, &more)]));
    }
    let wide = named("rbac.authorization.k8s.io/v1", "ClusterRole", "more", json!({"rules": rules[0]}));
    asks.extend(each(&MEMBERS, |who| {
        let all = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
        let mut asks = vec![Ask::post(who, all, &wide)];
        let ops = json!([{"op": "replace", "path": "/rules", "value": rules[0]}]);
        asks.extend(Ask::patches(who, &format!("{all}/allmende:workspace-admin"), &wide, &ops));
        asks
    }));
    Row::new(
        "E08",
        "make a role with wildcards, `escalate`, `bind`, `impersonate` or foreign resources, or widen one",
        "nine sets of rules by POST, two by four kinds of patch and PUT, cluster roles too",
        asks,
    )
}

fn e10() -> Row {
    let mut asks = each(&MEMBERS, |who| {
        let runs = pod("as-release", |pod| pod["spec"]["serviceAccountName"] = json!("allmende-release"));
        vec![Ask::post(who, core(OWN, "pods"), &runs), Ask::post(who, core(OWN_SERVICES, "pods"), &runs)]
    });
    let runs = pod("as-release", |pod| pod["spec"]["serviceAccountName"] = json!("allmende-release"));
    asks.push(Ask::post(Who::Cluster, core(OWN_SERVICES, "pods"), &runs));
    let token = named("authentication.k8s.io/v1", "TokenRequest", "", json!({"spec": {}}));
    asks.extend(each(&[Who::Admin, Who::Account, Who::Release], |who| {
        let accounts =
            [(OWN_SERVICES, "allmende-release"), (OWN, "app"), (OWN, "default"), (OTHER, "default")];
        let mint = |(namespace, name)| {
            Ask::post(who, core(namespace, &format!("serviceaccounts/{name}/token")), &token)
        };
        accounts.into_iter().map(mint).collect()
    }));
    let release = core(OWN_SERVICES, "serviceaccounts/allmende-release/token");
    asks.push(Ask::post(Who::Cluster, release, &token));
    let endless = |account: &str| {
        let metadata = json!({"annotations": {"kubernetes.io/service-account.name": account}});
        named(
            "v1",
            "Secret",
            "endless",
            json!({"metadata": metadata, "type": "kubernetes.io/service-account-token"}),
        )
    };
    for (who, namespace, account) in [
        (Who::Admin, OWN, "app"),
        (Who::Account, OWN, "app"),
        (Who::Release, OWN_SERVICES, "allmende-release"),
        (Who::Cluster, OWN_SERVICES, "allmende-release"),
    ] {
        asks.push(Ask::post(who, core(namespace, "secrets"), &endless(account)));
    }
    let audience = pod("elsewhere", |pod| {
        let source = json!({"serviceAccountToken": {"path": "t", "audience": "vault.example.org"}});
        pod["spec"]["volumes"] = json!([{"name": "t", "projected": {"sources": [source]}}]);
    });
    asks.extend(each(&ALL, |who| vec![Ask::post(who, core(OWN, "pods"), &audience)]));
    Row::new(
        "E10",
        "run as the operator's account, or get a token: of a managed account, without an end, for a foreign audience",
        "pods, `serviceaccounts/token`, secrets that hold tokens, projected tokens",
        asks,
    )
}

fn e21() -> Row {
    let masks: [&[(&str, &str)]; 5] = [
        &[("Impersonate-User", "m-05766044-admin")],
        &[("Impersonate-User", "m-05374048-admin"), ("Impersonate-Group", "system:masters")],
        &[("Impersonate-User", "m-05374048-admin"), ("Impersonate-Uid", "1")],
        &[("Impersonate-User", "m-05374048-admin"), ("Impersonate-Extra-Scopes", "all")],
        &[("Impersonate-User", "system:serviceaccount:allmende-system:allmende-operator")],
    ];
    let asks = each(&[Who::Admin, Who::Account, Who::Release], |who| {
        let wear = |mask: &&[(&'static str, &'static str)]| {
            mask.iter()
                .fold(Ask::get(who, core(OTHER, "secrets")), |ask, (name, value)| ask.with(name, value))
        };
        masks.iter().map(wear).collect()
    });
    Row::new("E21", "ask under another name", "`Impersonate-User`, `-Group`, `-Uid`, `-Extra-…`", asks)
}

fn e24() -> Row {
    let all = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
    let request = |signer: &str| {
        named(
            "certificates.k8s.io/v1",
            "CertificateSigningRequest",
            "mine",
            json!({"spec": {
                "signerName": signer, "request": "LS0tLS1CRUdJTi==", "usages": ["client auth"],
                "username": "system:serviceaccount:allmende-system:allmende-operator", "groups": ["system:masters"],
            }}),
        )
    };
    let approved = named(
        "certificates.k8s.io/v1",
        "CertificateSigningRequest",
        "mine",
        json!({"status": {
            "conditions": [{"type": "Approved", "status": "True", "reason": "x", "message": "x"}],
        }}),
    );
    let asks = each(&[Who::Admin, Who::Account, Who::Release], |who| {
        let signers = ["kubernetes.io/kube-apiserver-client", "kubernetes.io/kube-apiserver-client-kubelet"];
        let mut asks: Vec<Ask> = signers.iter().map(|signer| Ask::post(who, all, &request(signer))).collect();
        let approval = format!("{all}/mine/approval");
        asks.push(Ask::put(who, &approval, &approved));
        asks.extend(Ask::patches(who, &approval, &approved, &json!([])));
        asks
    });
    Row::new(
        "E24",
        "have a certificate signed in the name of the operator or of `system:masters`, and approve it",
        "two signers by POST, `approval` by PUT and four kinds of patch",
        asks,
    )
}
