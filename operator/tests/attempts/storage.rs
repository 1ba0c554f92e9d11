//! E20: volumes of others and classes that nobody allowed.

use serde_json::json;

use super::Row;
use crate::walls::{
    ask::{Ask, Who, each},
    objects::{claim, named},
    yard::{OWN, OWN_SERVICES, Yard, core},
};

const ALL: [Who; 3] = [Who::Admin, Who::Account, Who::Cluster];

pub(super) async fn rows(yard: &Yard) -> Vec<Row> {
    let path = core(OWN, "persistentvolumeclaims");
    let bent = [
        json!({"volumeName": "of-lemgo"}),
        json!({"storageClassName": "gold"}),
        json!({"storageClassName": ""}),
        json!({"storageClassName": "", "volumeName": "of-lemgo"}),
    ];
    let mut asks = each(&ALL, |who| {
        bent.iter().map(|spec| Ask::post(who, &path, &claim("out", spec.clone()))).collect()
    });
    asks.extend(bent.iter().map(|spec| {
        Ask::post(Who::Release, core(OWN_SERVICES, "persistentvolumeclaims"), &claim("out", spec.clone()))
    }));
    // Kubernetes itself allows this one: the name may be set once by whoever comes first.
    let one = format!("{path}/data");
    let taken = named("v1", "PersistentVolumeClaim", "data", json!({"spec": {"volumeName": "of-lemgo"}}));
    let ops = json!([{"op": "add", "path": "/spec/volumeName", "value": "of-lemgo"}]);
    let mut present = yard.read(&one).await;
    present["spec"]["volumeName"] = json!("of-lemgo");
    asks.extend(each(&ALL, |who| Ask::patches(who, &one, &taken, &ops)));
    asks.extend(each(&ALL, |who| vec![Ask::put(who, &one, &present)]));
    let freed = named(
        "v1",
        "PersistentVolume",
        "of-lemgo",
        json!({"spec": {"claimRef": {"namespace": OWN, "name": "data"}}}),
    );
    let ops = json!([{"op": "remove", "path": "/spec/claimRef"}]);
    asks.extend(each(&[Who::Admin, Who::Account, Who::Release], |who| {
        let volume = "/api/v1/persistentvolumes/of-lemgo";
        let mut asks = Ask::patches(who, volume, &freed, &ops);
        asks.extend([Ask::get(who, volume), Ask::delete(who, volume)]);
        asks
    }));
    vec![Row::new(
        "E20",
        "claim another member's volume, or a storage class that is not the tenants'",
        "four claims by POST; `volumeName` of a waiting claim by PUT and four kinds of patch; the volume itself",
        asks,
    )]
}
