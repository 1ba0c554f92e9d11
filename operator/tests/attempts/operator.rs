//! O01 to O06: what somebody who stole the operator's account cannot do.

use serde_json::{Value, json};

use super::Row;
use crate::walls::{
    ask::{Ask, Who},
    objects::{account, binding, named, network_policy, pod, role, rule, subject},
    yard::{OTHER, OTHER_SERVICES, OWN, OWN_SERVICES, PREFLIGHT, SYSTEM, core, network, rights},
};

const THIEF: Who = Who::Operator;

pub(crate) fn rows() -> Vec<Row> {
    vec![o01(), o02(), o03(), o04(), o05(), o06()]
}

fn o01() -> Row {
    let asks = SYSTEM.into_iter().flat_map(|namespace| {
        let viewer = binding("in", "ClusterRole", "allmende:workspace-viewer", json!([account("app", OWN)]));
        let labelled =
            |kind: &str, name: &str| named("v1", kind, name, json!({"metadata": {"labels": {"x": "y"}}}));
        let ops = json!([{"op": "add", "path": "/metadata/labels", "value": {"x": "y"}}]);
        let mut asks = vec![
            Ask::post(THIEF, core(namespace, "secrets"), &named("v1", "Secret", "planted", json!({}))),
            Ask::post(
                THIEF,
                core(namespace, "serviceaccounts"),
                &named("v1", "ServiceAccount", "planted", json!({})),
            ),
            Ask::post(
                THIEF,
                core(namespace, "resourcequotas"),
                &named("v1", "ResourceQuota", "planted", json!({})),
            ),
            Ask::post(
                THIEF,
                core(namespace, "limitranges"),
                &named("v1", "LimitRange", "planted", json!({"spec": {"limits": []}})),
            ),
            Ask::post(THIEF, network(namespace, "networkpolicies"), &network_policy("planted", json!({}))),
            Ask::post(THIEF, rights(namespace, "rolebindings"), &viewer),
        ];
        asks.extend(Ask::patches(
            THIEF,
            &core(namespace, "serviceaccounts/default"),
            &labelled("ServiceAccount", "default"),
            &ops,
        ));
        asks
    });
    Row::new(
        "O01",
        "write in a namespace that is no tenant's",
        "six kinds by POST, one by four kinds of patch, in three namespaces",
        asks.collect(),
    )
}

fn o02() -> Row {
    let bindings = rights(OWN, "rolebindings");
    let me = json!([account("allmende-operator", "allmende-system")]);
    let mut asks: Vec<Ask> =
        ["cluster-admin", "admin", "edit", "view", "system:controller:namespace-controller"]
            .iter()
            .map(|role| Ask::post(THIEF, &bindings, &binding("more", "ClusterRole", role, me.clone())))
            .collect();
    for to in ["system:authenticated", "system:serviceaccounts", "system:masters"] {
        let everybody = json!([subject("Group", to)]);
        asks.push(Ask::post(
            THIEF,
            &bindings,
            &binding("all", "ClusterRole", "allmende:workspace-admin", everybody.clone()),
        ));
        let one = format!("{bindings}/allmende:workspace-admin");
        let merge = named(
            "rbac.authorization.k8s.io/v1",
            "RoleBinding",
            "allmende:workspace-admin",
            json!({"subjects": everybody}),
        );
        let ops = json!([{"op": "replace", "path": "/subjects", "value": everybody}]);
        asks.extend(Ask::patches(THIEF, &one, &merge, &ops));
    }
    let group = "/apis/rbac.authorization.k8s.io/v1";
    asks.push(Ask::post(THIEF, rights(OWN, "roles"), &role("more", rule("", "pods", "get"))));
    asks.push(Ask::post(
        THIEF,
        format!("{group}/clusterroles"),
        &named("rbac.authorization.k8s.io/v1", "ClusterRole", "more", json!({})),
    ));
    let wide = named(
        "rbac.authorization.k8s.io/v1",
        "ClusterRole",
        "allmende:release",
        json!({"rules": rule("*", "*", "*")}),
    );
    let ops = json!([{"op": "replace", "path": "/rules", "value": rule("*", "*", "*")}]);
    asks.extend(Ask::patches(THIEF, &format!("{group}/clusterroles/allmende:release"), &wide, &ops));
    let everywhere = named(
        "rbac.authorization.k8s.io/v1",
        "ClusterRoleBinding",
        "more",
        json!({
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "allmende:release"}, "subjects": me,
        }),
    );
    asks.push(Ask::post(THIEF, format!("{group}/clusterrolebindings"), &everywhere));
    let token = named("authentication.k8s.io/v1", "TokenRequest", "", json!({"spec": {}}));
    for (namespace, name) in
        [(OWN, "default"), (OWN, "app"), ("kube-system", "namespace-controller"), ("kube-system", "default")]
    {
        asks.push(Ask::post(THIEF, core(namespace, &format!("serviceaccounts/{name}/token")), &token));
    }
    for mask in ["m-05766044-admin", "system:kube-controller-manager"] {
        asks.push(Ask::get(THIEF, core(OTHER, "pods")).with("Impersonate-User", mask));
    }
    Row::new(
        "O02",
        "get more rights, or give them to everybody",
        "five greater roles, three groups of the cluster by POST and four kinds of patch, roles, tokens of four accounts, other names",
        asks,
    )
}

fn o03() -> Row {
    let kinds = "/apis/allmende.eu/v1alpha1";
    let policies = "/apis/admissionregistration.k8s.io/v1";
    let mut asks: Vec<Ask> =
        SYSTEM.into_iter().map(|name| Ask::delete(THIEF, format!("/api/v1/namespaces/{name}"))).collect();
    asks.push(Ask::delete(THIEF, format!("{kinds}/tenants/{OTHER}")));
    asks.push(Ask::delete(THIEF, format!("{kinds}/namespaces/{OWN_SERVICES}/serviceinstances/db")));
    asks.push(Ask::delete(
        THIEF,
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/tenants.allmende.eu",
    ));
    for name in ["rights", "own-namespaces", "managed-objects"] {
        for kind in ["validatingadmissionpolicies", "validatingadmissionpolicybindings"] {
            let path = format!("{policies}/{kind}/allmende-operator-{name}");
            let open = json!({"spec": {"validationActions": ["Audit"]}});
            asks.push(Ask::delete(THIEF, &path));
            asks.extend(Ask::patches(THIEF, &path, &open, &json!([{"op": "remove", "path": "/spec"}])));
        }
    }
    for kind in ["resourcequotas", "limitranges"] {
        asks.push(Ask::delete(THIEF, core(OWN, &format!("{kind}/allmende"))));
    }
    asks.push(Ask::delete(THIEF, network(OWN, "networkpolicies/allmende")));
    Row::new(
        "O03",
        "delete what nobody ordered to be deleted, or the policies themselves",
        "namespaces, a tenant, an instance, our definitions; policies and bindings by DELETE and four kinds of patch; quota and network policy",
        asks,
    )
}

fn o04() -> Row {
    let run = |namespace: &str| Ask::post(THIEF, core(namespace, "pods"), &pod("mine", |_| {}));
    let deployment: Value = named("apps/v1", "Deployment", "mine", json!({}));
    let asks = vec![
        run(OWN),
        run("kube-system"),
        Ask::post(THIEF, format!("/apis/apps/v1/namespaces/{OWN}/deployments"), &deployment),
        Ask::post(THIEF, core(OWN, "pods/web/exec?command=sh&stdout=1"), &json!({})),
        Ask::get(THIEF, core(OWN, "pods/web/log")),
        Ask::get(THIEF, core(OWN, "pods/web/proxy/")),
        Ask::get(THIEF, core("kube-system", "configmaps")),
        Ask::get(THIEF, core(OWN, "configmaps/db-secret")),
        Ask::get(THIEF, "/api/v1/nodes"),
        Ask::get(THIEF, "/api/v1/persistentvolumes"),
        Ask::delete(THIEF, "/api/v1/persistentvolumes/of-lemgo"),
    ];
    Row::new(
        "O04",
        "run something, or look at nodes, volumes and configuration",
        "pods, deployments, exec, log, proxy; five kinds to read",
        asks,
    )
}

/// A name that it need not guess: this secret is there.
const FOREIGN: &str = "foreign";

fn o05() -> Row {
    let mut asks: Vec<Ask> =
        ["", "?limit=1", "?watch=1&timeoutSeconds=1", "?labelSelector=allmende.eu/managed-by"]
            .iter()
            .flat_map(|question| {
                let all =
                    ["secrets", "pods"].map(|kind| Ask::get(THIEF, format!("/api/v1/{kind}{question}")));
                // Where it handles credentials it knows them by name, and only so.
                let tenants = [OWN, OWN_SERVICES, OTHER, OTHER_SERVICES];
                let there =
                    tenants.map(|namespace| Ask::get(THIEF, core(namespace, &format!("secrets{question}"))));
                all.into_iter().chain(there)
            })
            .collect();
    let patch = named("v1", "Secret", FOREIGN, json!({"stringData": {"token": "x"}}));
    let ops = json!([{"op": "add", "path": "/data", "value": {"token": "eA=="}}]);
    for namespace in SYSTEM.into_iter().chain([PREFLIGHT]) {
        let one = core(namespace, &format!("secrets/{FOREIGN}"));
        asks.extend(
            ["secrets", "secrets?watch=1&timeoutSeconds=1", "pods"]
                .map(|kind| Ask::get(THIEF, core(namespace, kind))),
        );
        asks.extend([Ask::get(THIEF, &one), Ask::put(THIEF, &one, &patch), Ask::delete(THIEF, &one)]);
        asks.extend(
            ["secrets", "persistentvolumeclaims"].map(|kind| Ask::delete(THIEF, core(namespace, kind))),
        );
        asks.extend(Ask::patches(THIEF, &one, &patch, &ops));
    }
    Row::new(
        "O05",
        "read, list, watch or change secrets that are none of a tenant's services, or list all of a tenant's",
        "four questions to the whole cluster and to four namespaces of tenants; in four others by name: GET, PUT, DELETE, four kinds of patch",
        asks,
    )
}

fn o06() -> Row {
    let mut asks = Vec::new();
    let signs = json!({
        "labels": {"allmende.eu/managed-by": "allmende-operator", "pod-security.kubernetes.io/enforce": "restricted"},
        "annotations": {"allmende.eu/desired-name": "members/m-05374048/tenants/prod"},
    });
    let ops = json!([
        {"op": "add", "path": "/metadata/labels/allmende.eu~1managed-by", "value": "allmende-operator"},
        {"op": "add", "path": "/metadata/labels/pod-security.kubernetes.io~1enforce", "value": "restricted"},
    ]);
    let (to_itself, own) = (
        json!([account("allmende-operator", "allmende-system")]),
        ["allmende:operator-services", "allmende:operator-workspace"],
    );
    for namespace in SYSTEM.into_iter().chain([PREFLIGHT]) {
        let path = format!("/api/v1/namespaces/{namespace}");
        let adopted = named("v1", "Namespace", namespace, json!({"metadata": signs}));
        asks.extend(Ask::patches(THIEF, &path, &adopted, &ops));
        asks.extend(own.map(|role| {
            Ask::post(
                THIEF,
                rights(namespace, "rolebindings"),
                &binding(role, "ClusterRole", role, to_itself.clone()),
            )
        }));
    }
    for namespace in [OWN, OTHER_SERVICES] {
        let path = format!("/api/v1/namespaces/{namespace}");
        for key in ["pod-security.kubernetes.io/enforce", "allmende.eu/managed-by"] {
            let other =
                named("v1", "Namespace", namespace, json!({"metadata": {"labels": {key: "privileged"}}}));
            let pointer = format!("/metadata/labels/{}", key.replace('/', "~1"));
            asks.extend(Ask::patches(
                THIEF,
                &path,
                &other,
                &json!([{"op": "replace", "path": pointer, "value": "privileged"}]),
            ));
            asks.extend(
                Ask::patches(THIEF, &path, &other, &json!([{"op": "remove", "path": pointer}]))
                    .into_iter()
                    .nth(2),
            );
        }
    }
    asks.push(Ask::post(THIEF, "/api/v1/namespaces", &named("v1", "Namespace", "without-walls", json!({}))));
    for role in own {
        let everywhere = named(
            "rbac.authorization.k8s.io/v1",
            "ClusterRoleBinding",
            role,
            json!({"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}, "subjects": to_itself}),
        );
        asks.push(Ask::post(THIEF, "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", &everywhere));
    }
    Row::new(
        "O06",
        "make a namespace of others its own, take Pod Security from a tenant's, bind its own roles elsewhere",
        "labels and annotations of four namespaces and labels of two tenants' by four kinds of patch, a namespace without them, both roles in four places and in all",
        asks,
    )
}
