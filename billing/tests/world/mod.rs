//! The golden month in a real etcd, with a folder for documents.

#![allow(dead_code, unreachable_pub, reason = "each test that includes it uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a fixture fails by panicking")]

#[path = "../../../crates/domain/tests/golden/mod.rs"]
pub mod golden;

use std::{collections::BTreeMap, sync::Arc};

use allmende_billing::{Progress, Worker};
use allmende_domain::{
    audit::AuditEntry,
    closing::Step,
    invoice::{Invoice, InvoiceState},
    period::Period,
    run::{Cut, Run, RunState},
};
use allmende_store::{
    Commit, Counter, Store, StoreConfig, StoredSegment, Txn, Versioned, keys,
    objects::{DocumentStore, sha256},
};
use allmende_testkit::etcd::TestEtcd;
use jiff::{Timestamp, civil::date};
use tempfile::TempDir;

/// Steps of the golden run: four before the drafts, twelve drafts, review, twelve numbers, one, twelve times documents, the end.
pub const STEPS: usize = 4 + 12 + 1 + 12 + 1 + 12 + 1;

pub struct World {
    pub etcd: TestEtcd,
    pub folder: TempDir,
    pub store: Store,
    pub documents: DocumentStore,
}

pub fn now() -> Timestamp {
    "2026-10-05T08:00:00Z".parse().unwrap()
}

impl World {
    /// With all inputs of the golden month, changed by `change`, and an accepted run.
    pub async fn with(change: impl FnOnce(&mut Cut)) -> Self {
        let etcd = TestEtcd::start().await;
        let folder = tempfile::tempdir().unwrap();
        let store = Store::connect(&StoreConfig::new(vec![etcd.endpoint()])).await.unwrap();
        let documents = DocumentStore::open(folder.path()).await.unwrap();
        let world = Self { etcd, folder, store, documents };
        let mut cut = golden::cut(&golden::golden());
        change(&mut cut);
        world.seed(&cut).await;
        world.begin(cut.period).await;
        world
    }

    pub async fn golden() -> Self {
        Self::with(|_| ()).await
    }

    async fn seed(&self, cut: &Cut) {
        let mut txns = vec![Txn::new().put(&keys::issuer(), &cut.issuer)];
        txns.extend(cut.members.iter().map(|m| Txn::new().put(&keys::member(&m.id), m)));
        txns.extend(cut.bill_tos.iter().map(|b| Txn::new().put(&keys::bill_to(&b.member, &b.id), b)));
        txns.extend(cut.price_lists.iter().map(|l| Txn::new().put(&keys::price_list(&l.id), l)));
        txns.extend(cut.keys.iter().map(|k| Txn::new().put(&keys::allocation_key(&k.id), k)));
        txns.extend(cut.pots.iter().map(|p| Txn::new().put(&keys::pot(&p.id), p)));
        txns.extend(cut.segments.iter().map(|segment| {
            let stored = StoredSegment { segment: segment.clone(), source: "golden".into(), received: now() };
            Txn::new().put(&keys::segment(&segment.member, &segment.id), &stored)
        }));
        for txn in txns {
            self.commit(txn).await;
        }
    }

    pub async fn commit(&self, txn: Txn) {
        assert!(matches!(self.store.commit(txn).await.unwrap(), Commit::Committed(_)));
    }

    /// Accepts a run, as the API does.
    pub async fn begin(&self, period: Period) {
        let run = Run::accepted(period, date(2026, 10, 5), "", now());
        self.commit(Txn::new().put(&keys::run(period), &run)).await;
    }

    /// Lets the drafts be issued, as the API does.
    pub async fn finalize(&self, period: Period) {
        let run = self.run(period).await;
        assert_eq!(run.value.state, RunState::Review, "{}", run.value.message);
        let next = Run { state: RunState::Issuing, invoices_done: 0, ..run.value.clone() };
        self.commit(Txn::new().expect_unchanged(&run).put(&run.key, &next)).await;
    }

    pub async fn run(&self, period: Period) -> Versioned<Run> {
        self.store.find(&keys::run(period)).await.unwrap().unwrap()
    }

    pub fn worker(&self) -> Worker {
        Worker::new(self.store.clone(), self.documents.clone(), Arc::new(now))
    }

    /// Steps until nothing is left, and tells them.
    pub async fn work_off(&self, worker: &mut Worker, period: Period) -> Vec<Step> {
        let mut steps = Vec::new();
        loop {
            match worker.step(period).await.unwrap() {
                Progress::Done(step) => steps.push(step),
                Progress::Again => {}
                Progress::Idle | Progress::Failed => return steps,
            }
        }
    }

    /// From acceptance to the end with one worker.
    pub async fn bill(&self, period: Period) -> Vec<Step> {
        let mut worker = self.worker();
        let mut steps = self.work_off(&mut worker, period).await;
        self.finalize(period).await;
        steps.extend(self.work_off(&mut worker, period).await);
        steps
    }

    pub async fn invoices(&self) -> Vec<Invoice> {
        let (rows, _) = self.store.snapshot(&keys::invoices_all()).await.unwrap();
        rows.into_iter().map(|row| row.value).collect()
    }

    pub async fn counter(&self) -> Counter {
        self.store.find(&keys::counter("MPG-2026")).await.unwrap().unwrap().value
    }

    /// What lies in the documents' folder of a period, by name.
    pub fn files(&self, period: Period) -> BTreeMap<String, Vec<u8>> {
        let folder = self.folder.path().join(period.to_string());
        std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| {
                (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(path).unwrap())
            })
            .collect()
    }

    /// Everything that must hold of the golden month after its end, however it got there.
    /// Every number given is in its member's audit, every turn of the run in the cooperative's, each once.
    async fn assert_audited(&self, invoices: &[Invoice]) {
        let (entries, _) = self.store.snapshot(&keys::audit_all()).await.unwrap();
        let count = |action: &str, target: &str| {
            let fits =
                |row: &&Versioned<AuditEntry>| row.value.action == action && row.value.target == target;
            entries.iter().filter(fits).count()
        };
        for action in ["billing/ClosePeriod", "billing/FreezeCut", "billing/OpenReview", "billing/CloseRun"] {
            assert_eq!(count(action, &format!("runs/{}", golden::period())), 1, "{action}");
        }
        for invoice in invoices {
            let target = format!("members/{}/invoices/{}", invoice.member, invoice.id);
            assert_eq!(count("billing/IssueInvoice", &target), 1, "{target}");
            let entry = entries.iter().find(|row| row.value.target == target).unwrap();
            assert_eq!(entry.value.member.as_ref(), Some(&invoice.member));
            assert_eq!(entry.value.actor, "allmende://component/billing");
            assert!(entry.value.summary.contains(&invoice.record_digest), "{}", entry.value.summary);
        }
    }

    pub async fn assert_golden(&self) {
        let run = self.run(golden::period()).await.value;
        assert_eq!(
            (run.state, run.invoices_done, run.invoices_total),
            (RunState::Closed, 12, 12),
            "{}",
            run.message
        );
        assert_eq!((run.net.0, run.vat.0, run.gross.0), (2_480_001, 471_198, 2_951_199));
        let invoices = self.invoices().await;
        assert_eq!(invoices.len(), 12, "no draft is left");
        let mut numbers: Vec<&str> = invoices.iter().map(|invoice| invoice.number.as_str()).collect();
        numbers.sort_unstable();
        let expected: Vec<String> = (1..=12).map(|number| format!("MPG-2026-{number:06}")).collect();
        assert_eq!(numbers, expected, "each number once, none left out");
        assert_eq!(self.counter().await.last, 12);
        self.assert_audited(&invoices).await;
        let golden = golden::golden();
        for (key, want) in golden["invoices"].as_object().unwrap() {
            let member = allmende_domain::ids::MemberId::from_register_key(key).unwrap();
            let invoice = invoices.iter().find(|invoice| invoice.member == member).unwrap();
            assert_eq!(invoice.state, InvoiceState::Issued);
            for (have, field) in [(invoice.net, "net"), (invoice.vat, "vat"), (invoice.gross, "gross")] {
                assert_eq!(have.0, golden::cents(want[field].as_str().unwrap()), "{member} {field}");
            }
            assert_eq!(invoice.documents.len(), 3);
            for document in &invoice.documents {
                let content = self.documents.get(&document.name).await.unwrap().unwrap();
                assert_eq!(
                    (sha256(&content), content.len() as i64),
                    (document.sha256.clone(), document.size)
                );
            }
        }
    }
}
