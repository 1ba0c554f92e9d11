//! A store that was put back to a backup: the chains say so, verify again, and whoever kept a head of what is gone is told in words.

use std::time::Duration;

use allmende_evidence::export::{Finding, RESTORE_ACTION};
use allmende_proto::v1::cluster_service_client::ClusterServiceClient;
use etcd_client::{Client, GetOptions, PutOptions};

use super::{
    ALL, AUDITOR, Api, LEMGO, LEMGO_NAME, OPERATOR, VerifyingKey, entries, export, exported, key, support, v1,
};

const PREFIX: &str = "/allmende/";

async fn backup(client: &Client) -> Vec<(Vec<u8>, Vec<u8>)> {
    let all = client.kv_client().get(PREFIX, Some(GetOptions::new().with_prefix())).await.unwrap();
    all.kvs().iter().map(|kv| (kv.key().to_vec(), kv.value().to_vec())).collect()
}

async fn put_back(client: &Client, backup: Vec<(Vec<u8>, Vec<u8>)>) {
    let everything = etcd_client::DeleteOptions::new().with_prefix();
    client.kv_client().delete(PREFIX, Some(everything)).await.unwrap();
    for (key, value) in backup {
        client.kv_client().put(key, value, None::<PutOptions>).await.unwrap();
    }
}

async fn order(api: &Api, tenant: &str) {
    let mut tenants = v1::tenant_service_client::TenantServiceClient::new(api.channel(LEMGO));
    let request = v1::CreateTenantRequest { tenant_id: tenant.into(), ..support::tenant_request(1) };
    tenants.create_tenant(request).await.unwrap();
}

#[tokio::test]
async fn after_a_restore_every_chain_says_where_it_goes_on_and_a_head_that_is_gone_is_found() {
    let api = Api::start().await;
    api.furnished().await;
    let client = Client::connect([api.etcd.endpoint()], None).await.unwrap();
    let keeper = api.audits.keeper(Some(key()));
    order(&api, "one").await;
    keeper.pass(false).await.unwrap();
    let (_, in_backup) = exported(&api, LEMGO, LEMGO_NAME).await;
    let kept = backup(&client).await;
    order(&api, "two").await;
    keeper.pass(false).await.unwrap();
    let (_, lost) = exported(&api, LEMGO, LEMGO_NAME).await;
    assert_eq!(lost.sequence, in_backup.sequence + 1);

    put_back(&client, kept).await;
    let request = v1::RaiseStoreEpochRequest { reason: "Sicherung 02:00".into(), ..Default::default() };
    ClusterServiceClient::new(api.channel(OPERATOR)).raise_store_epoch(request).await.unwrap();
    tokio::time::timeout(Duration::from_secs(60), order(&api, "three")).await.unwrap();
    keeper.pass(false).await.unwrap();

    let (lines, head) = exported(&api, LEMGO, LEMGO_NAME).await;
    let keys: [VerifyingKey; 1] = [key().verifying_key().clone()];
    let against = |earlier| export::verify(lines.as_bytes(), &head, &[earlier], &keys);
    let verified = against(in_backup.clone()).unwrap();
    assert_eq!(verified.entries, in_backup.sequence + 2, "the marker, and the order after it");
    let all = entries(&lines);
    let marker = &all[usize::try_from(in_backup.sequence).unwrap()].entry;
    assert_eq!((marker.action.as_str(), marker.actor.as_str()), (RESTORE_ACTION, "allmende://component/api"));
    assert!(marker.summary.contains(&in_backup.digest.to_string()), "{}", marker.summary);
    let Err(Finding::Forked(fork)) = against(lost) else { panic!("the lost entry is not missed") };
    assert!(fork.to_string().contains("put back to a backup; entry"), "{fork}");

    let (whole, whole_head) = exported(&api, AUDITOR, ALL).await;
    assert!(
        export::verify(whole.as_bytes(), &whole_head, &[], &keys).is_ok(),
        "also under the new id of the store"
    );
    let raised: Vec<_> =
        entries(&whole).into_iter().filter(|sealed| sealed.entry.action == RESTORE_ACTION).collect();
    assert!(
        raised.iter().any(|sealed| sealed.entry.summary.contains("das Protokoll geht nach Nr. ")),
        "{raised:?}"
    );

    order(&api, "four").await;
    keeper.pass(false).await.unwrap();
    let (lines, _) = exported(&api, LEMGO, LEMGO_NAME).await;
    let markers = entries(&lines).iter().filter(|sealed| sealed.entry.action == RESTORE_ACTION).count();
    assert_eq!(markers, 1, "said once");
}
