//! Lemgo lends Wiehl memory: offered, taken, used, called back, refused, given back. And what time does to loans.

use allmende_api::app::loan::LoanKeeper;
use allmende_proto::v1::{
    self, cluster_service_client::ClusterServiceClient, loan_service_client::LoanServiceClient,
    member_service_client::MemberServiceClient, quota_service_client::QuotaServiceClient,
    tenant_service_client::TenantServiceClient,
};
use allmende_store::{Store, StoreConfig, keys};
use tonic::{Code, Status};

use super::support::{self, Api, CLUSTER, LEMGO, OPERATOR, WIEHL, reason};

const LEMGO_2: &str = "allmende://principal/lemgo-2";
const WIEHL_2: &str = "allmende://principal/wiehl-2";
const GIB: i64 = 1 << 30;

struct World {
    api: Api,
    store: Store,
}

type Loans = LoanServiceClient<tonic::transport::Channel>;

impl World {
    async fn new() -> Self {
        let api = Api::start().await;
        api.furnished().await;
        support::set_entitlement(&api, "m-05374048", 2).await.unwrap();
        for (member, identity, second) in [("m-05766044", LEMGO, LEMGO_2), ("m-05374048", WIEHL, WIEHL_2)] {
            let grant = v1::Grant {
                principal: second.into(),
                role: v1::Role::Approver.into(),
                deputy: true,
                valid_until: Some(prost_types::Timestamp { seconds: 1_900_000_000, nanos: 0 }),
                ..Default::default()
            };
            let request = v1::CreateGrantRequest {
                parent: format!("members/{member}"),
                grant: Some(grant),
                ..Default::default()
            };
            MemberServiceClient::new(api.channel(identity)).create_grant(request).await.unwrap();
        }
        let store = Store::connect(&StoreConfig::new(vec![api.etcd.endpoint()])).await.unwrap();
        Self { api, store }
    }

    fn loans(&self, identity: &str) -> Loans {
        LoanServiceClient::new(self.api.channel(identity))
    }

    fn keeper(&self) -> LoanKeeper {
        LoanKeeper::new(self.api.audits.core.clone())
    }

    async fn pass(&self, time: &str) {
        self.api.set_clock(time);
        self.keeper().pass(time.parse().unwrap()).await.unwrap();
    }

    async fn offer(&self, gib: i64, from: &str, until: &str) -> Result<v1::Loan, Status> {
        let request = v1::OfferLoanRequest {
            parent: "members/m-05766044".into(),
            loan: Some(loan(gib, from, until)),
            ..Default::default()
        };
        self.loans(LEMGO).offer_loan(request).await.map(tonic::Response::into_inner)
    }

    /// Offered and agreed to by the lender, taken by the borrower; gives the id.
    async fn taken(&self, gib: i64, from: &str, until: &str) -> String {
        let offered = self.offer(gib, from, until).await.unwrap();
        let id = offered.name.rsplit('/').next().unwrap().to_owned();
        approve(self.loans(LEMGO_2), &lemgo(&id)).await.unwrap();
        self.loans(WIEHL).take_loan(named(&wiehl(&id))).await.unwrap();
        id
    }

    async fn active(&self, gib: i64) -> String {
        let id = self.taken(gib, "2026-11-24", "2026-12-31").await;
        let loan = approve(self.loans(WIEHL_2), &wiehl(&id)).await.unwrap();
        assert_eq!(loan.state(), v1::loan::State::Active);
        id
    }

    async fn state(&self, id: &str) -> v1::loan::State {
        self.stored(id).await.state()
    }

    async fn stored(&self, id: &str) -> v1::Loan {
        let request = v1::GetLoanRequest { name: lemgo(id) };
        self.loans(LEMGO).get_loan(request).await.unwrap().into_inner()
    }

    async fn account(&self, identity: &str, member: &str) -> v1::Entitlement {
        let name = format!("members/{member}/entitlements/local-1");
        let request = v1::GetEntitlementRequest { name };
        QuotaServiceClient::new(self.api.channel(identity))
            .get_entitlement(request)
            .await
            .unwrap()
            .into_inner()
    }

    async fn tenant(&self, gib: i64) -> Result<(), Status> {
        let request = v1::CreateTenantRequest {
            parent: "members/m-05374048".into(),
            tenant_id: "prod".into(),
            tenant: Some(v1::Tenant {
                cluster: "clusters/local-1".into(),
                workspace_quota: Some(memory(gib)),
                ..Default::default()
            }),
            ..Default::default()
        };
        TenantServiceClient::new(self.api.channel(WIEHL)).create_tenant(request).await.map(|_| ())
    }

    async fn resize(&self, gib: i64) -> Result<(), Status> {
        let tenant = v1::Tenant {
            name: "members/m-05374048/tenants/prod".into(),
            workspace_quota: Some(memory(gib)),
            ..Default::default()
        };
        let mask = prost_types::FieldMask { paths: vec!["workspace_quota".into()] };
        let request =
            v1::UpdateTenantRequest { tenant: Some(tenant), update_mask: Some(mask), ..Default::default() };
        TenantServiceClient::new(self.api.channel(WIEHL)).update_tenant(request).await.map(|_| ())
    }

    /// The cluster tells of Wiehl's tenant; gives what was refused.
    async fn report(&self, generation: u64, enforced_gib: i64) -> usize {
        let key = keys::tenant(&"m-05374048".parse().unwrap(), &"prod".parse().unwrap());
        let tenant = self.store.find(&key).await.unwrap().unwrap().value;
        let identity = self.store.identity();
        let request = v1::ReportObservationsRequest {
            name: "clusters/local-1".into(),
            store_id: identity.store_id.clone(),
            epoch: identity.epoch,
            observations: vec![v1::Observation {
                name: tenant.name(),
                uid: tenant.uid.to_string(),
                generation,
                phase: v1::observation::Phase::Ready.into(),
                enforced_quota: Some(memory(enforced_gib)),
                ..Default::default()
            }],
            ..Default::default()
        };
        let answer = ClusterServiceClient::new(self.api.channel(CLUSTER)).report_observations(request).await;
        answer.unwrap().into_inner().refused.len()
    }
}

fn memory(gib: i64) -> v1::Resources {
    v1::Resources { memory_bytes: gib * GIB, ..Default::default() }
}

fn loan(gib: i64, from: &str, until: &str) -> v1::Loan {
    v1::Loan {
        cluster: "clusters/local-1".into(),
        amount: Some(memory(gib)),
        from: from.into(),
        until: until.into(),
        notice_days: 7,
        ..Default::default()
    }
}

fn lemgo(id: &str) -> String {
    format!("members/m-05766044/loans/{id}")
}

fn wiehl(id: &str) -> String {
    format!("members/m-05374048/loans/{id}")
}

fn named(name: &str) -> v1::TakeLoanRequest {
    v1::TakeLoanRequest { name: name.into(), ..Default::default() }
}

async fn approve(mut loans: Loans, name: &str) -> Result<v1::Loan, Status> {
    let request = v1::ApproveLoanRequest { name: name.into(), ..Default::default() };
    loans.approve_loan(request).await.map(tonic::Response::into_inner)
}

async fn recall(mut loans: Loans, name: &str, reason: &str) -> Result<v1::Loan, Status> {
    let request = v1::RecallLoanRequest { name: name.into(), reason: reason.into(), ..Default::default() };
    loans.recall_loan(request).await.map(tonic::Response::into_inner)
}

async fn give_back(mut loans: Loans, name: &str) -> Result<v1::Loan, Status> {
    let request = v1::ReturnLoanRequest { name: name.into(), ..Default::default() };
    loans.return_loan(request).await.map(tonic::Response::into_inner)
}

async fn offers(mut loans: Loans, member: &str) -> Vec<v1::Loan> {
    let request = v1::ListLoansRequest { parent: member.into(), offers: true, ..Default::default() };
    loans.list_loans(request).await.unwrap().into_inner().loans
}

#[tokio::test]
async fn a_loan_needs_two_on_each_side_is_called_back_and_returns_only_when_the_cluster_shows_it() {
    let world = World::new().await;
    let too_much = world.offer(21, "2026-11-24", "2026-12-31").await.unwrap_err();
    assert_eq!((too_much.code(), reason(&too_much).as_str()), (Code::ResourceExhausted, "QUOTA_EXCEEDED"));
    let offered = world.offer(8, "2026-11-24", "2026-12-31").await.unwrap();
    let id = offered.name.rsplit('/').next().unwrap().to_owned();
    assert_eq!(offered.state(), v1::loan::State::Offered);
    assert!(offers(world.loans(WIEHL), "members/m-05374048").await.is_empty());
    let own = approve(world.loans(LEMGO), &lemgo(&id)).await.unwrap_err();
    assert_eq!(own.code(), Code::PermissionDenied, "{own}");
    assert_eq!(
        world.loans(WIEHL).take_loan(named(&wiehl(&id))).await.unwrap_err().code(),
        Code::NotFound,
        "before it is open nobody else knows of it"
    );
    let open = approve(world.loans(LEMGO_2), &lemgo(&id)).await.unwrap();
    assert_eq!(open.state(), v1::loan::State::Open);
    let decision = &open.lender_approval.unwrap().decisions[0];
    assert!(decision.deputy && decision.deputy_until.is_some(), "told as i. V., with its dates");

    // The other member sees the offer and nothing else.
    let seen = offers(world.loans(WIEHL), "members/m-05374048").await.remove(0);
    assert_eq!(
        (seen.name.as_str(), seen.lender_display_name.as_str()),
        (wiehl(&id).as_str(), "Lemgo, Stadt")
    );
    assert!(seen.lender_approval.is_none() && seen.create_time.is_none());
    let oneself = world.loans(LEMGO).take_loan(named(&lemgo(&id))).await.unwrap_err();
    assert_eq!(oneself.code(), Code::InvalidArgument, "{oneself}");
    let taken = world.loans(WIEHL).take_loan(named(&wiehl(&id))).await.unwrap().into_inner();
    assert_eq!(taken.state(), v1::loan::State::Taken);
    assert_eq!(approve(world.loans(WIEHL), &wiehl(&id)).await.unwrap_err().code(), Code::PermissionDenied);
    let active = approve(world.loans(WIEHL_2), &wiehl(&id)).await.unwrap();
    assert_eq!(active.state(), v1::loan::State::Active);
    let (lender, borrower) =
        (world.account(LEMGO, "m-05766044").await, world.account(WIEHL, "m-05374048").await);
    assert_eq!((lender.lent.unwrap(), borrower.borrowed.unwrap()), (memory(8), memory(8)));
    assert_eq!(
        (lender.available.unwrap().memory_bytes, borrower.available.unwrap().memory_bytes),
        (12 * GIB, 12 * GIB)
    );

    // No chain: what is borrowed is not lent on.
    let chain = v1::OfferLoanRequest {
        parent: "members/m-05374048".into(),
        loan: Some(loan(1, "2026-11-24", "2026-12-31")),
        ..Default::default()
    };
    let chain = world.loans(WIEHL).offer_loan(chain).await.unwrap_err();
    assert!(chain.code() == Code::FailedPrecondition && chain.message().contains("not lent on"), "{chain}");

    world.tenant(10).await.unwrap();
    world.report(1, 10).await;
    let used = give_back(world.loans(WIEHL), &wiehl(&id)).await.unwrap_err();
    assert!(used.message().contains("10Gi held, 4Gi allowed"), "{used}");
    assert_eq!(
        recall(world.loans(LEMGO), &lemgo(&id), " ").await.unwrap_err().code(),
        Code::InvalidArgument,
        "with a reason"
    );
    let not_lender = recall(world.loans(WIEHL), &wiehl(&id), "x").await.unwrap_err();
    assert_eq!(not_lender.code(), Code::FailedPrecondition, "{not_lender}");
    let recalled = recall(world.loans(LEMGO), &lemgo(&id), "Eigenbedarf").await.unwrap();
    assert_eq!((recalled.state(), recalled.due_date.as_str()), (v1::loan::State::Recalled, "2026-12-01"));
    let again = recall(world.loans(LEMGO), &lemgo(&id), "Eigenbedarf").await.unwrap_err();
    assert!(again.code() == Code::FailedPrecondition && again.message().contains("before"), "{again}");

    let more = world.resize(11).await.unwrap_err();
    assert_eq!((more.code(), reason(&more).as_str()), (Code::ResourceExhausted, "LOAN_RECALLED"));
    assert!(more.message().contains(&format!("limit {}, used {}, asked {GIB}", 4 * GIB, 10 * GIB)), "{more}");
    let exit = v1::ExitMemberRequest {
        name: "members/m-05766044".into(),
        last_day: "2026-12-31".into(),
        reason: "Austritt".into(),
        ..Default::default()
    };
    let exit = MemberServiceClient::new(world.api.channel(OPERATOR)).exit_member(exit).await.unwrap_err();
    assert!(exit.code() == Code::FailedPrecondition && exit.message().contains("loans"), "{exit}");

    // Shrunk, and the cluster has not said so yet; then it says it late, wrongly, in the wrong order, and at last truly.
    world.resize(4).await.unwrap();
    let unshown = give_back(world.loans(WIEHL), &wiehl(&id)).await.unwrap_err();
    assert!(unshown.message().contains("not confirmed"), "{unshown}");
    assert_eq!(world.report(1, 4).await, 0, "of an older generation: stored, and it releases nothing");
    assert!(give_back(world.loans(WIEHL), &wiehl(&id)).await.is_err());
    world.report(2, 10).await;
    assert!(give_back(world.loans(WIEHL), &wiehl(&id)).await.is_err(), "it still shows more");
    assert_eq!(world.report(1, 4).await, 1, "a reordered report is refused");
    assert!(give_back(world.loans(WIEHL), &wiehl(&id)).await.is_err());
    world.report(2, 4).await;
    let back = give_back(world.loans(WIEHL), &wiehl(&id)).await.unwrap();
    assert_eq!(back.state(), v1::loan::State::Returned);
    assert_eq!(
        give_back(world.loans(WIEHL), &wiehl(&id)).await.unwrap_err().code(),
        Code::FailedPrecondition
    );
    let lender = world.account(LEMGO, "m-05766044").await;
    assert_eq!((lender.lent.unwrap(), lender.available.unwrap().memory_bytes), (memory(0), 20 * GIB));
    assert_eq!(world.account(WIEHL, "m-05374048").await.borrowed.unwrap(), memory(0));
}

#[tokio::test]
async fn time_alone_lets_loans_begin_end_and_become_overdue_and_evicts_nothing() {
    let world = World::new().await;
    // Nobody takes it.
    let offered = world.offer(1, "2026-11-24", "2026-11-25").await.unwrap();
    let unseen = offered.name.rsplit('/').next().unwrap().to_owned();
    // Agreed by both, and its first day lies ahead.
    let id = world.taken(8, "2026-12-01", "2026-12-31").await;
    let agreed = approve(world.loans(WIEHL_2), &wiehl(&id)).await.unwrap();
    assert_eq!(agreed.state(), v1::loan::State::Taken);
    world.pass("2026-11-26T10:00:00Z").await;
    assert_eq!(world.state(&unseen).await, v1::loan::State::Expired);
    assert_eq!(world.state(&id).await, v1::loan::State::Taken);
    world.pass("2026-12-01T10:00:00Z").await;
    assert_eq!(world.state(&id).await, v1::loan::State::Active);
    world.tenant(10).await.unwrap();
    world.report(1, 10).await;

    // Its end comes like a recall: the notice runs for the last week.
    world.pass("2026-12-24T10:00:00Z").await;
    let ending = world.stored(&id).await;
    assert_eq!((ending.state(), ending.due_date.as_str()), (v1::loan::State::Recalled, "2026-12-31"));
    assert_eq!(reason(&world.resize(11).await.unwrap_err()), "LOAN_RECALLED");
    let decide = |decision, reason: &str| v1::DecideOverdueLoanRequest {
        name: lemgo(&id),
        decision: Some(decision),
        reason: reason.into(),
        ..Default::default()
    };
    use v1::decide_overdue_loan_request::Decision;
    let mut operator = world.loans(OPERATOR);
    let early = operator.decide_overdue_loan(decide(Decision::Leave(true), "x")).await.unwrap_err();
    assert_eq!(early.code(), Code::FailedPrecondition, "{early}");
    world.pass("2027-01-01T10:00:00Z").await;
    assert_eq!(world.state(&id).await, v1::loan::State::Overdue);
    assert_eq!(world.account(WIEHL, "m-05374048").await.reserved.unwrap(), memory(10), "nothing is evicted");
    let past = operator.decide_overdue_loan(decide(Decision::ExtendUntil("2027-01-01".into()), "x")).await;
    assert_eq!(past.unwrap_err().code(), Code::InvalidArgument);
    let extend = decide(Decision::ExtendUntil("2027-01-15".into()), "Umzug läuft");
    let extended = operator.decide_overdue_loan(extend).await.unwrap().into_inner();
    assert_eq!((extended.state(), extended.due_date.as_str()), (v1::loan::State::Recalled, "2027-01-15"));
    world.pass("2027-01-16T10:00:00Z").await;
    let before = world.account(LEMGO, "m-05766044").await.guaranteed.unwrap().memory_bytes;
    let missing = operator.decide_overdue_loan(decide(Decision::WriteOffResolution(" ".into()), "x")).await;
    assert_eq!(missing.unwrap_err().code(), Code::InvalidArgument);
    let write_off = decide(Decision::WriteOffResolution("V 1/2027".into()), "dauerhaft gebraucht");
    let written = operator.decide_overdue_loan(write_off).await.unwrap().into_inner();
    assert_eq!(written.state(), v1::loan::State::WrittenOff);
    let (lender, borrower) =
        (world.account(LEMGO, "m-05766044").await, world.account(WIEHL, "m-05374048").await);
    assert_eq!(before - lender.guaranteed.unwrap().memory_bytes, 8 * GIB);
    assert_eq!((lender.lent.unwrap(), borrower.borrowed.unwrap()), (memory(0), memory(0)));
    assert_eq!(borrower.guaranteed.unwrap().memory_bytes, 12 * GIB);
    // An ended loan is looked at no more.
    let live = world.store.snapshot(&keys::loans_live()).await.unwrap().0;
    assert!(live.is_empty(), "{live:?}");
}

#[tokio::test]
async fn what_was_called_back_goes_back_by_itself_when_it_is_free_and_wishes_can_be_taken_back() {
    let world = World::new().await;
    let id = world.active(4).await;
    recall(world.loans(LEMGO), &lemgo(&id), "Eigenbedarf").await.unwrap();
    world.pass("2026-11-24T10:00:30Z").await;
    assert_eq!(world.state(&id).await, v1::loan::State::Returned);

    let id = world.taken(4, "2026-11-24", "2026-12-31").await;
    let withdraw = |name: &str| v1::WithdrawLoanRequest { name: name.into(), ..Default::default() };
    world.loans(WIEHL).withdraw_loan(withdraw(&wiehl(&id))).await.unwrap();
    assert_eq!(world.state(&id).await, v1::loan::State::Open);
    let refuse = |name: &str| v1::RefuseLoanRequest {
        name: name.into(),
        reason: "zu teuer".into(),
        ..Default::default()
    };
    world.loans(WIEHL).take_loan(named(&wiehl(&id))).await.unwrap();
    world.loans(WIEHL_2).refuse_loan(refuse(&wiehl(&id))).await.unwrap();
    assert_eq!(world.state(&id).await, v1::loan::State::Open, "left to others");
    world.loans(LEMGO).withdraw_loan(withdraw(&lemgo(&id))).await.unwrap();
    assert_eq!(world.state(&id).await, v1::loan::State::Withdrawn);
    let gone = world.loans(WIEHL).get_loan(v1::GetLoanRequest { name: wiehl(&id) }).await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound, "it is no offer any more, and never was Wiehl's loan");

    let mut priced = loan(1, "2026-11-24", "2026-12-31");
    priced.prices = vec![v1::LoanPrice { resource: "requests.memory".into(), micro_euro: 1_000_000 }];
    let request = v1::OfferLoanRequest {
        parent: "members/m-05766044".into(),
        loan: Some(priced),
        ..Default::default()
    };
    let priced = world.loans(LEMGO).offer_loan(request.clone()).await.unwrap().into_inner();
    assert_eq!(priced.prices[0].micro_euro, 1_000_000, "both have tax profiles: it is kept and shown");
    let mut unpriced = request;
    unpriced.loan.as_mut().unwrap().prices[0].resource = "requests.cpu".into();
    let unpriced = world.loans(LEMGO).offer_loan(unpriced).await.unwrap_err();
    assert_eq!(support::wrong_fields(&unpriced), ["loan.prices[requests.cpu]"]);
    let mut bad = loan(0, "2026-11-23", "2026-11-22");
    (bad.notice_days, bad.cluster) = (-1, "local-1".into());
    let request =
        v1::OfferLoanRequest { parent: "members/m-05766044".into(), loan: Some(bad), ..Default::default() };
    let bad = world.loans(LEMGO).offer_loan(request).await.unwrap_err();
    assert_eq!(support::wrong_fields(&bad), ["loan.cluster", "loan.notice_days"]);
}
