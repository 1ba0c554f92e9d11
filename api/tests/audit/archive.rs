//! Sealed segments in the object store: read like those in etcd, moved once however often it is tried, and never another content.

use std::path::Path;

use allmende_api::{
    app::audit::{Archive, Keeper},
    authn::Issuers,
};
use allmende_store::{AuditSegment, Txn, Versioned, objects::DocumentStore};
use jiff::SignedDuration;

use super::{
    ALL, AUDITOR, Api, AuditServiceClient, Code, Part, SealedEntry, Store, entries, entry, exported, key,
    keys, listed, nothing, of, store, v1, verify, written,
};

const COUNT: u64 = 160;
const LATER: &str = "2027-06-01T00:00:00Z";

async fn with_archive(folder: &Path) -> Api {
    let objects = DocumentStore::open(folder).await.unwrap();
    let archive = Archive { objects, after: Some(SignedDuration::from_hours(24 * 30)) };
    Api::start_as(Issuers::default(), |apps| apps.with_archive(Some(archive))).await
}

/// Walks through all chains until nothing is left to move. A fresh keeper begins at once.
async fn moved(api: &Api) {
    let keeper: Keeper = api.audits.keeper(Some(key()));
    for _ in 0..20 {
        keeper.pass(false).await.unwrap();
    }
}

async fn segments(store: &Store) -> Vec<Versioned<AuditSegment>> {
    store.snapshot(&keys::audit_segments_all()).await.unwrap().0
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut all = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for found in std::fs::read_dir(folder).unwrap().map(|found| found.unwrap().path()) {
            if found.is_dir() { open.push(found) } else { all.push(found) }
        }
    }
    all.sort();
    all
}

async fn everything(api: &Api) -> (String, Vec<v1::AuditEntry>) {
    let (lines, head) = exported(api, AUDITOR, ALL).await;
    assert_eq!(verify(&lines, &head).unwrap().entries, COUNT);
    let request = v1::ListAuditEntriesRequest { page_size: 7, ..of(ALL) };
    (lines, listed(api, AUDITOR, request, nothing).await)
}

#[tokio::test]
async fn what_lies_in_the_object_store_is_listed_exported_and_verified_like_what_lies_in_etcd() {
    let folder = tempfile::tempdir().unwrap();
    let api = with_archive(folder.path()).await;
    let store = store(&api).await;
    for number in 0..COUNT {
        written(&store, number).await;
    }
    moved(&api).await;
    let before = everything(&api).await;
    assert!(files(folder.path()).is_empty(), "nothing is old enough");
    let rows = segments(&store).await;

    api.set_clock(LATER);
    moved(&api).await;
    assert_eq!(everything(&api).await, before, "the same lines, the same list");
    let after = segments(&store).await;
    assert_eq!(
        after.iter().map(|row| row.key.raw()).collect::<Vec<_>>(),
        rows.iter().map(|row| row.key.raw()).collect::<Vec<_>>()
    );
    let gone = after.iter().filter(|row| row.value.moved.is_some()).count();
    assert!(gone > 4 && after.iter().all(|row| row.value.moved.is_none() || row.value.links.is_empty()));
    let open = after.iter().filter(|row| row.value.moved.is_none()).count();
    let chains = after.iter().map(|row| row.value.chain.clone()).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(open, chains.len(), "of each chain the segment that still grows stays");
    assert_eq!(files(folder.path()).len(), gone);

    // The chains go on, and a search for another time fetches nothing.
    let member = v1::ListAuditEntriesRequest { page_size: 3, ..of("members/m-00000001") };
    let own = listed(&api, AUDITOR, member, nothing).await;
    assert_eq!(own.len(), (0..COUNT).filter(|n| !n.is_multiple_of(5) && n % 4 == 1).count());
    written(&store, COUNT).await;
    moved(&api).await;
    let (lines, head) = exported(&api, AUDITOR, ALL).await;
    assert_eq!(verify(&lines, &head).unwrap().entries, COUNT + 1);
    files(folder.path()).iter().for_each(|file| std::fs::remove_file(file).unwrap());
    let recent = v1::ListAuditEntriesRequest {
        end_time: Some(prost_types::Timestamp { seconds: entry(COUNT).at.as_second() + 1, nanos: 0 }),
        ..of(ALL)
    };
    assert_eq!(listed(&api, AUDITOR, recent, nothing).await.len(), 1, "without any object");
}

#[tokio::test]
async fn who_is_ended_between_the_copy_and_the_exchange_loses_nothing_and_doubles_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let api = with_archive(folder.path()).await;
    let store = store(&api).await;
    for number in 0..COUNT {
        written(&store, number).await;
    }
    moved(&api).await;
    let (before, rows) = (everything(&api).await, segments(&store).await);
    api.set_clock(LATER);
    moved(&api).await;
    let objects = files(folder.path());
    // As it was after the copies and before the exchanges: the objects are there, etcd is as before.
    for (row, now) in rows.iter().zip(segments(&store).await) {
        store.commit(Txn::new().expect_unchanged(&now).put(&now.key, &row.value)).await.unwrap();
    }
    assert_eq!(everything(&api).await, before, "an object that nothing names is not read");
    // Two replicas at once find it.
    tokio::join!(moved(&api), moved(&api));
    assert_eq!(files(folder.path()), objects, "the same objects, none of them twice");
    assert_eq!(everything(&api).await, before);
    assert!(segments(&store).await.iter().filter(|row| row.value.moved.is_some()).count() == objects.len());
}

#[tokio::test]
async fn an_object_that_was_changed_or_is_missing_is_told_and_never_handed_out() {
    let folder = tempfile::tempdir().unwrap();
    let api = with_archive(folder.path()).await;
    let store = store(&api).await;
    for number in 0..COUNT {
        written(&store, number).await;
    }
    api.set_clock(LATER);
    moved(&api).await;
    let file = files(folder.path())
        .into_iter()
        .find(|file| file.components().any(|c| c.as_os_str() == "cooperative"));
    let file = file.unwrap();
    let content = std::fs::read_to_string(&file).unwrap();
    let sealed: SealedEntry = entries(&content).remove(0);
    let forged = content.replacen(&sealed.entry.target, "forged", 1);
    assert_ne!(forged, content);
    for damage in [Some(forged.as_str()), None] {
        match damage {
            Some(text) => std::fs::write(&file, text).unwrap(),
            None => std::fs::remove_file(&file).unwrap(),
        }
        let mut client = AuditServiceClient::new(api.channel(AUDITOR));
        let request = v1::ExportAuditRequest { parent: ALL.into() };
        let mut stream = client.export_audit(request).await.unwrap().into_inner();
        let failed = loop {
            match stream.message().await {
                Ok(Some(v1::ExportAuditResponse { part: Some(Part::Lines(lines)) })) => {
                    assert!(!lines.contains("forged"), "handed out");
                }
                Ok(Some(_)) => {}
                Ok(None) => panic!("the export seems whole"),
                Err(status) => break status,
            }
        };
        assert_eq!(failed.code(), Code::Internal);
        let list = v1::ListAuditEntriesRequest { page_size: 500, ..of(ALL) };
        assert_eq!(client.list_audit_entries(list).await.unwrap_err().code(), Code::Internal);
    }
}
