//! The golden month through a real etcd, from acceptance to the last document.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use allmende_billing::{BillingError, Progress};
use allmende_domain::{
    period::Period,
    run::RunState,
    usage::{FactKind, LifecycleFact},
};
use allmende_store::{Commit, PeriodState, StoredSegment, Txn, keys};
use world::{STEPS, World, golden, now};

fn october() -> Period {
    "2026-10".parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_golden_month_is_billed_to_the_cent() {
    let world = World::golden().await;
    assert_eq!(world.bill(golden::period()).await.len(), STEPS);
    world.assert_golden().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn billed_twice_from_the_same_inputs_it_gives_the_same_bytes() {
    let (one, other) = (World::golden().await, World::golden().await);
    one.bill(golden::period()).await;
    other.bill(golden::period()).await;
    let (first, second) = (one.run(golden::period()).await.value, other.run(golden::period()).await.value);
    assert_eq!((first.cut_digest, first.result_digest), (second.cut_digest, second.result_digest));
    let files = one.files(golden::period());
    assert_eq!(files.len(), 12 * 3 + 1, "three forms of each invoice, and the cut");
    assert!(files == other.files(golden::period()), "the documents differ");
    assert_eq!(one.counter().await, other.counter().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_after_the_freeze_changes_nothing_about_the_run() {
    let world = World::golden().await;
    let mut worker = world.worker();
    while world.run(golden::period()).await.value.state <= RunState::Freezing {
        worker.step(golden::period()).await.unwrap();
    }
    let mut list = golden::price_list(&golden::golden());
    list.prices[0].price.0 *= 2;
    world.commit(Txn::new().put(&keys::price_list(&list.id), &list)).await;
    let (members, _) = world.store.snapshot(&keys::members()).await.unwrap();
    for mut member in members {
        member.value.shares[0].count += 7;
        world.commit(Txn::new().put(&member.key, &member.value)).await;
    }
    // A worker that knows nothing of the cut but what was kept.
    world.work_off(&mut world.worker(), golden::period()).await;
    world.finalize(golden::period()).await;
    world.work_off(&mut world.worker(), golden::period()).await;
    world.assert_golden().await;
}

fn fact(kind: FactKind, id: &str, occurred: &str) -> LifecycleFact {
    LifecycleFact {
        id: format!("{id:0>64}"),
        member: "m-05766044".parse().unwrap(),
        subject: "members/m-05766044/tenants/prod".into(),
        uid: "019a0000-0000-7000-8000-000000000001".parse().unwrap(),
        kind,
        generation: 1,
        occurred: occurred.parse().unwrap(),
        received: now(),
        amounts: allmende_domain::resources::Resources {
            cpu_milli: 1000,
            ..allmende_domain::resources::Resources::ZERO
        },
        workspace: false,
        bill_to: "main".parse().unwrap(),
        accounting_reference: String::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fact_that_comes_after_the_freeze_is_billed_in_the_next_period() {
    let world = World::golden().await;
    let period_key = keys::period(golden::period());
    // What the API has read while the period was open …
    let open = world.store.find(&period_key).await.unwrap();
    let mut worker = world.worker();
    worker.step(golden::period()).await.unwrap();
    let ready = fact(FactKind::Ready, "1", "2026-09-20T10:00:00Z");
    let late = Txn::new()
        .expect_as_read(&period_key, open.as_ref())
        .put(&keys::fact(&ready.member, &ready.id), &ready);
    // … no longer holds, so the fact cannot slip into the closed month.
    assert_eq!(world.store.commit(late).await.unwrap(), Commit::Conflict);
    let moved = LifecycleFact { occurred: october().start().unwrap(), ..ready };
    let ended = fact(FactKind::Ended, "2", "2026-10-03T22:00:00Z");
    for fact in [&moved, &ended] {
        world.commit(Txn::new().put(&keys::fact(&fact.member, &fact.id), fact)).await;
    }
    world.work_off(&mut worker, golden::period()).await;
    world.finalize(golden::period()).await;
    world.work_off(&mut worker, golden::period()).await;
    world.assert_golden().await;

    world.begin(october()).await;
    world.bill(october()).await;
    let invoices = world.invoices().await;
    let of_october: Vec<_> = invoices.iter().filter(|invoice| invoice.period == october()).collect();
    assert_eq!(of_october.len(), 1);
    assert_eq!(of_october[0].number, "MPG-2026-000013", "the number range goes on");
    let line = &of_october[0].lines[0];
    assert_eq!((line.quantity.to_string().as_str(), line.net.0), ("72", 89), "1 vCPU × 72 h × 0.0123");
    assert_eq!(line.subject, "members/m-05766044/tenants/prod");
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_chained_through_their_number_range() {
    let world = World::golden().await;
    world.bill(golden::period()).await;
    let mut invoices = world.invoices().await;
    invoices.sort_by(|a, b| a.number.cmp(&b.number));
    let mut before = String::new();
    for invoice in &invoices {
        let chained = [before.as_bytes(), b"\n", &serde_json::to_vec(&invoice.record()).unwrap()].concat();
        assert_eq!(invoice.record_digest, allmende_store::objects::sha256(&chained), "{}", invoice.number);
        before.clone_from(&invoice.record_digest);
    }
    assert_eq!(world.counter().await.last_digest, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_without_prices_fails_in_words_and_leaves_the_period_open() {
    let world = World::with(|cut| cut.price_lists.clear()).await;
    assert_eq!(world.worker().step(golden::period()).await.unwrap(), Progress::Failed);
    let run = world.run(golden::period()).await.value;
    assert_eq!((run.state, run.message.as_str()), (RunState::Failed, "no price list is in force in 2026-09"));
    let (entries, _) = world.store.snapshot(&keys::audit_all()).await.unwrap();
    let failed = entries.iter().find(|row| row.value.action == "billing/FailRun").unwrap();
    assert!(failed.value.summary.contains("no price list"), "{}", failed.value.summary);
    assert!(
        world.store.find(&keys::period(golden::period())).await.unwrap().is_none(),
        "the period was never closed"
    );
    // The treasurer brings in what was missing, and begins anew.
    let list = golden::price_list(&golden::golden());
    world.commit(Txn::new().put(&keys::price_list(&list.id), &list)).await;
    world.begin(golden::period()).await;
    world.bill(golden::period()).await;
    world.assert_golden().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inputs_that_turn_wrong_between_trial_and_freeze_open_the_period_again() {
    let world = World::golden().await;
    let mut worker = world.worker();
    worker.step(golden::period()).await.unwrap();
    let closed = world.store.find(&keys::period(golden::period())).await.unwrap().unwrap();
    assert!(closed.value.closed);
    let member = "m-05766044".parse().unwrap();
    world.commit(Txn::new().delete(&keys::bill_to(&member, &"main".parse().unwrap()))).await;
    world.work_off(&mut worker, golden::period()).await;
    let run = world.run(golden::period()).await.value;
    assert_eq!(
        (run.state, run.message.as_str()),
        (RunState::Failed, "member m-05766044 has no bill-to main")
    );
    let state = world.store.find(&keys::period(golden::period())).await.unwrap().unwrap().value;
    assert_eq!(state, PeriodState { closed: false, closed_at: None });
    assert!(world.invoices().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invoice_that_could_not_become_a_document_never_gets_a_number() {
    // BT-49 is mandatory in an XRechnung. The API asks for it; this is what happens if it lacks all the same.
    let world = World::with(|cut| cut.bill_tos[0].electronic_address.clear()).await;
    assert_eq!(world.worker().step(golden::period()).await.unwrap(), Progress::Failed);
    let message = world.run(golden::period()).await.value.message;
    assert!(message.contains("no valid XRechnung"), "{message}");
    assert!(world.store.find(&keys::counter("MPG-2026")).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_that_differs_from_what_was_reviewed_gets_no_number() {
    let world = World::golden().await;
    let mut worker = world.worker();
    world.work_off(&mut worker, golden::period()).await;
    let (drafts, _) = world.store.snapshot(&keys::invoices_all()).await.unwrap();
    let mut changed = drafts[3].value.clone();
    changed.lines[0].title.push('!');
    world.commit(Txn::new().put(&drafts[3].key, &changed)).await;
    world.finalize(golden::period()).await;
    let error = worker.step(golden::period()).await.unwrap_err();
    assert!(matches!(error, BillingError::Inconsistent { .. }), "{error}");
    assert!(world.store.find(&keys::counter("MPG-2026")).await.unwrap().is_none(), "no number was given");
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_of_another_month_is_not_billed() {
    let world = World::golden().await;
    let mut segment =
        golden::segments(&"m-05766044".parse().unwrap(), &golden::golden()["usage"]["05766044"]).remove(0);
    segment.id = "october".into();
    (segment.start, segment.end) = (october().start().unwrap(), october().end().unwrap());
    let stored = StoredSegment { segment: segment.clone(), source: "test".into(), received: now() };
    world.commit(Txn::new().put(&keys::segment(&segment.member, &segment.id), &stored)).await;
    world.bill(golden::period()).await;
    world.assert_golden().await;
}
