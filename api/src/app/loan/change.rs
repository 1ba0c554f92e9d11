//! What people do with a loan.

use allmende_domain::{
    ids::{LoanId, MemberId},
    quota::{
        approval::{Eye, REASON_MAX},
        loan::{Loan, LoanError, LoanTerms, Moment, OverdueDecision, Side},
    },
};
use allmende_proto::v1;
use allmende_store::{Txn, Versioned, keys};

use super::{Loans, moment, refusal::refusal, write};
use crate::{
    app::member::ordering_member,
    authz::Scope,
    context::Context,
    convert::{
        fields::Fields,
        loan::{LoanView, read_decision, read_terms},
    },
    core::{Change, fresh},
    error::AppError,
    requests::ChangeRequest,
};

/// What is done to a loan that is there.
pub enum Act<'a> {
    /// Takes an open offer.
    Take,
    /// A second person agrees.
    Approve(&'a str),
    /// A second person refuses.
    Refuse(&'a str),
    /// Takes it back.
    Withdraw,
    /// The lender calls it back.
    Recall(&'a str),
    /// The borrower gives it back.
    GiveBack,
}

/// One call about one loan.
struct Call<'a> {
    context: &'a Context,
    change: &'a Change,
    member: &'a MemberId,
    name: &'a str,
    at: Moment,
}

impl Loans {
    /// Offers a loan.
    ///
    /// # Errors
    /// All wrong fields at once; more than is idle, with the numbers; who cannot lend.
    pub async fn offer(
        &self,
        context: &Context,
        lender: &MemberId,
        request: &v1::OfferLoanRequest,
    ) -> Result<LoanView, AppError> {
        let change = self.core.change(context, Scope::Member(lender, &request.parent), request).await?;
        let at = moment(context.now)?;
        let mut fields = Fields::new();
        let terms = read_terms(&mut fields, request.loan.as_ref(), at.today);
        let terms = fields.finish(terms)?;
        let id: LoanId = fresh()?;
        let name = format!("{}/loans/{id}", request.parent);
        let call = Call { context, change: &change, member: lender, name: &name, at };
        self.core.commit(&change, || self.offer_once(&call, &id, &terms)).await
    }

    async fn offer_once(
        &self,
        call: &Call<'_>,
        id: &LoanId,
        terms: &LoanTerms,
    ) -> Result<(Txn, LoanView), AppError> {
        let lender = call.member;
        let owner = ordering_member(&self.core, call.context, lender, &format!("members/{lender}")).await?;
        if !terms.prices.is_empty() && owner.value.tax_profile_at(terms.from).is_none() {
            let text =
                "a price needs the tax profiles of both members, and the lender has none on the first day";
            return Err(AppError::invalid("loan.prices", text));
        }
        let (found, account) = self.account(lender, &terms.cluster).await?;
        let requester = &call.change.actor.principal;
        let loan = Loan::offer(id.clone(), &account, terms.clone(), requester, call.at)
            .map_err(|error| call.refusal(Side::Lender, terms, error))?;
        let txn = write(None, &loan)
            .expect_unchanged(&owner)
            .expect_as_read(&keys::account(lender, &terms.cluster), found.as_ref())
            .and(call.audit(format!("Leihe angeboten: {}", terms.amount), ""));
        Ok((txn, self.view(loan, Some(lender)).await?))
    }

    /// Does something to a loan, for the member that the name is under.
    ///
    /// # Errors
    /// NOT_FOUND for a loan of others; see the domain's refusals.
    pub async fn act(
        &self,
        context: &Context,
        (member, id): (&MemberId, &LoanId),
        (name, request): (&str, &impl ChangeRequest),
        act: Act<'_>,
    ) -> Result<LoanView, AppError> {
        let change = self.core.change(context, Scope::Member(member, name), request).await?;
        if let Act::Recall(reason) = act {
            must_have_reason(reason)?;
        }
        let call = Call { context, change: &change, member, name, at: moment(context.now)? };
        self.core.commit(&change, || self.act_once(&call, id, &act)).await
    }

    async fn act_once(
        &self,
        call: &Call<'_>,
        id: &LoanId,
        act: &Act<'_>,
    ) -> Result<(Txn, LoanView), AppError> {
        let unknown = || AppError::not_found(call.name);
        let found = self.core.store.find(&keys::loan(id)).await?.ok_or_else(unknown)?;
        if let Act::Take = act {
            return self.take(call, &found).await;
        }
        let side = found.value.side_of(call.member).ok_or_else(unknown)?;
        let loan = &found.value;
        let refused = |error| call.refusal(side, &loan.terms, error);
        let (next, accounts, words) = match act {
            Act::Approve(comment) => return self.approve(call, &found, side, comment).await,
            Act::Refuse(reason) => {
                let next = loan.refuse(side, &call.eye()?, reason, call.at).map_err(refused)?;
                (next, Txn::new(), ("Leihe abgelehnt", *reason))
            }
            Act::Withdraw => {
                (loan.withdraw(side, call.at).map_err(refused)?, Txn::new(), ("Leihe zurückgezogen", ""))
            }
            Act::Recall(reason) => {
                if side == Side::Borrower {
                    let what = "only its lender calls it back; to give it back, return it";
                    return Err(refused(LoanError::State { state: loan.state, what }));
                }
                if !loan.state.is_outstanding() {
                    let what = "only an active loan can be called back";
                    return Err(refused(LoanError::State { state: loan.at(call.at).state, what }));
                }
                let accounts = self.accounts(loan).await?;
                let mut parties = accounts.parties.clone();
                let (next, borrower) = loan.recall(reason, &parties.borrower, call.at).map_err(refused)?;
                parties.borrower = borrower;
                (next, accounts.write(&parties), ("Leihe gekündigt", *reason))
            }
            Act::GiveBack => {
                if side == Side::Lender {
                    let what = "only its borrower gives it back; to have it back, recall it";
                    return Err(refused(LoanError::State { state: loan.state, what }));
                }
                if !loan.state.is_outstanding() {
                    let what = "only a loan that was given can be given back";
                    return Err(refused(LoanError::State { state: loan.at(call.at).state, what }));
                }
                let accounts = self.accounts(loan).await?;
                let shown = self.shown(&accounts.parties.borrower).await??;
                let (next, parties) = loan.give_back(&accounts.parties, &shown, call.at).map_err(refused)?;
                (next, accounts.write(&parties), ("Leihe zurückgegeben", ""))
            }
            Act::Take => return Err(unknown()),
        };
        let txn = write(Some(&found), &next).and(accounts).and(call.audit(words.0.to_owned(), words.1));
        Ok((txn, self.view(next, Some(call.member)).await?))
    }

    async fn take(&self, call: &Call<'_>, found: &Versioned<Loan>) -> Result<(Txn, LoanView), AppError> {
        let loan = found.value.at(call.at);
        let borrower = call.member;
        let is_side = loan.side_of(borrower).is_some();
        if !is_side && loan.state != allmende_domain::quota::loan::LoanState::Open {
            return Err(AppError::not_found(call.name));
        }
        let owner = ordering_member(&self.core, call.context, borrower, call.name).await?;
        if !loan.terms.prices.is_empty() && owner.value.tax_profile_at(loan.terms.from).is_none() {
            let description = "has a price, which needs the tax profiles of both members, and the borrower has none on the first day";
            return Err(AppError::WrongState {
                resource: call.name.to_owned(),
                description: description.to_owned(),
            });
        }
        let (seen, account) = self.account(borrower, &loan.terms.cluster).await?;
        let requester = &call.change.actor.principal;
        let next = found
            .value
            .take(&account, requester, call.at)
            .map_err(|error| call.refusal(Side::Borrower, &loan.terms, error))?;
        let txn = write(Some(found), &next)
            .expect_unchanged(&owner)
            .expect_as_read(&keys::account(borrower, &loan.terms.cluster), seen.as_ref())
            .and(call.audit(format!("Leihe gewünscht: {}", loan.terms.amount), ""));
        Ok((txn, self.view(next, Some(borrower)).await?))
    }

    /// The borrower's last agreement lets the loan begin in the same transaction, unless its first day lies ahead.
    async fn approve(
        &self,
        call: &Call<'_>,
        found: &Versioned<Loan>,
        side: Side,
        comment: &str,
    ) -> Result<(Txn, LoanView), AppError> {
        let loan = &found.value;
        let refused = |error| call.refusal(side, &loan.terms, error);
        let agreed = loan.approve(side, &call.eye()?, comment, call.at).map_err(refused)?;
        let (next, accounts) = if agreed.is_agreed() && agreed.terms.from <= call.at.today {
            let accounts = self.accounts(&agreed).await?;
            let (next, parties) = agreed.begin(&accounts.parties, call.at).map_err(refused)?;
            (next, accounts.write(&parties))
        } else {
            (agreed, Txn::new())
        };
        let summary = format!("Leihe freigegeben: {}", loan.terms.amount);
        let txn = write(Some(found), &next).and(accounts).and(call.audit(summary, comment));
        Ok((txn, self.view(next, Some(call.member)).await?))
    }

    /// Decides about what is overdue.
    ///
    /// # Errors
    /// NOT_FOUND; wrong fields; FAILED_PRECONDITION when it is not overdue.
    pub async fn decide(
        &self,
        context: &Context,
        (member, id): (&MemberId, &LoanId),
        request: &v1::DecideOverdueLoanRequest,
    ) -> Result<LoanView, AppError> {
        let change = self.core.change(context, Scope::Cooperative, request).await?;
        let mut fields = Fields::new();
        let decision = read_decision(&mut fields, request);
        if !(1..=REASON_MAX).contains(&request.reason.trim().chars().count()) {
            fields.wrong("reason", format!("a reason of 1 to {REASON_MAX} characters is needed"));
        }
        let decision = fields.finish(decision)?;
        let at = moment(context.now)?;
        let name = &request.name;
        self.core
            .commit(&change, || async {
                let unknown = || AppError::not_found(name);
                let found = self.core.store.find(&keys::loan(id)).await?.ok_or_else(unknown)?;
                let loan = &found.value;
                loan.side_of(member).ok_or_else(unknown)?;
                let refused =
                    |error| refusal(Side::Lender, (name, &account_name(&loan.lender, &loan.terms)), error);
                if !loan.state.is_outstanding() {
                    let what = "only what is overdue is decided on";
                    return Err(refused(LoanError::State { state: loan.at(at).state, what }));
                }
                let accounts = self.accounts(loan).await?;
                let (next, parties) =
                    loan.decide_overdue(&decision, &accounts.parties, at).map_err(refused)?;
                let summary = match (&decision, &request.decision) {
                    (OverdueDecision::Extend(day), _) => format!("Frist der Leihe verlängert bis {day}"),
                    (OverdueDecision::Leave, _) => "Überfällige Leihe belassen".to_owned(),
                    (
                        OverdueDecision::WriteOff,
                        Some(v1::decide_overdue_loan_request::Decision::WriteOffResolution(number)),
                    ) => format!("Leihe abgeschrieben, Beschluss {number}"),
                    (OverdueDecision::WriteOff, _) => "Leihe abgeschrieben".to_owned(),
                };
                // Of both members' accounts: an entry of the cooperative's chain.
                let audit = change.audit(context.row.rpc, None, name, summary, &request.reason);
                let txn = write(Some(&found), &next).and(accounts.write(&parties)).and(audit);
                Ok((txn, self.view(next, None).await?))
            })
            .await
    }
}

impl Call<'_> {
    /// Who acts, where several must agree.
    fn eye(&self) -> Result<Eye, AppError> {
        self.change.actor.eye.clone().ok_or_else(|| AppError::Forbidden {
            description:
                "agreeing and refusing are for people: a service account is nobody's second pair of eyes"
                    .to_owned(),
        })
    }

    fn refusal(&self, side: Side, terms: &LoanTerms, error: LoanError) -> AppError {
        refusal(side, (self.name, &account_name(self.member, terms)), error)
    }

    fn audit(&self, summary: String, reason: &str) -> Txn {
        self.change.audit(self.context.row.rpc, Some(self.member), self.name, summary, reason)
    }
}

fn account_name(member: &MemberId, terms: &LoanTerms) -> String {
    format!("members/{member}/entitlements/{}", terms.cluster)
}

fn must_have_reason(reason: &str) -> Result<(), AppError> {
    if (1..=REASON_MAX).contains(&reason.trim().chars().count()) {
        return Ok(());
    }
    Err(AppError::invalid("reason", format!("a reason of 1 to {REASON_MAX} characters is needed")))
}
