//! `allmende loan`.

use allmende_proto::v1::{
    ApproveLoanRequest, DecideOverdueLoanRequest, GetLoanRequest, ListLoansRequest, Loan, LoanPrice,
    OfferLoanRequest, RecallLoanRequest, RefuseLoanRequest, ReturnLoanRequest, TakeLoanRequest,
    WithdrawLoanRequest, decide_overdue_loan_request::Decision,
};
use clap::{Args, Subcommand};

use crate::{
    arguments::ChangeArgs,
    failure::Failure,
    quantity::ResourceArgs,
    session::{Session, change, list, read, under},
};

/// What is offered.
#[derive(Debug, Args)]
pub(crate) struct OfferArgs {
    /// On which cluster
    #[arg(long, value_name = "ID")]
    cluster: String,
    #[command(flatten)]
    amount: ResourceArgs,
    /// First day
    #[arg(long, value_name = "DATE")]
    from: String,
    /// Last day
    #[arg(long, value_name = "DATE")]
    until: String,
    /// Days from the call back to the day by which it must be back
    #[arg(long, value_name = "DAYS", default_value_t = 14)]
    notice_days: u16,
    /// Price per unit (vCPU, GiB, else piece) and month in euro: `requests.memory=1.50` (several: once each)
    #[arg(long = "price", value_name = "RESOURCE=EURO", value_parser = parse_price)]
    prices: Vec<(String, i64)>,
    #[command(flatten)]
    change: ChangeArgs,
}

/// A loan, and a change of it.
#[derive(Debug, Args)]
pub(crate) struct LoanArgs {
    /// The loan's id
    id: String,
    #[command(flatten)]
    change: ChangeArgs,
}

/// What the cooperative's operator decides.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct DecisionArgs {
    /// Another last day
    #[arg(long, value_name = "DATE")]
    extend_until: Option<String>,
    /// It stays as it is, and was looked at
    #[arg(long)]
    leave: bool,
    /// The entitlement stays with the borrower, by this resolution (Beschluss-Nr.)
    #[arg(long, value_name = "NUMBER")]
    write_off: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Offers a part of what is idle to the other members
    #[command(after_help = "Examples:
  allmende loan offer --cluster local-1 --memory 8Gi --from 2026-12-01 --until 2026-12-31 --notice-days 14
  allmende loan offer --cluster local-1 --cpu 2 --from 2026-12-01 --until 2027-01-31 --dry-run
A second person of the member has to approve it before others see it.")]
    Offer(OfferArgs),
    /// Takes an offer; a second person has to approve it
    #[command(after_help = "Examples:\n  allmende loan take 0192f0c1-2345-7abc-8def-0123456789ab")]
    Take(LoanArgs),
    /// Approves as the second person, for the lender or the borrower
    #[command(after_help = "Examples:\n  allmende loan approve 0192f0c1-2345-7abc-8def-0123456789ab")]
    Approve {
        #[command(flatten)]
        loan: LoanArgs,
        /// For the other side of the desk
        #[arg(long, default_value = "", hide_default_value = true)]
        comment: String,
    },
    /// Refuses as the second person
    #[command(after_help = "Examples:\n  allmende loan refuse ID --reason 'brauchen wir selbst'")]
    Refuse {
        #[command(flatten)]
        loan: LoanArgs,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// Takes an offer, or the wish for one, back
    #[command(after_help = "Examples:\n  allmende loan withdraw ID")]
    Withdraw(LoanArgs),
    /// Calls a loan back: the notice runs, and nothing new is ordered on it
    #[command(after_help = "Examples:\n  allmende loan recall ID --reason Eigenbedarf")]
    Recall {
        #[command(flatten)]
        loan: LoanArgs,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// Gives a loan back, when nothing is reserved on it any more and the cluster shows that
    #[command(after_help = "Examples:\n  allmende loan return ID")]
    Return(LoanArgs),
    /// Decides about an overdue loan (cooperative only)
    #[command(after_help = "Examples:
  allmende loan decide ID --member m-04011000 --extend-until 2027-01-31 --reason 'Umzug läuft'
  allmende loan decide ID --member m-04011000 --write-off V-3/2027 --reason 'dauerhaft gebraucht'")]
    Decide {
        #[command(flatten)]
        loan: LoanArgs,
        #[command(flatten)]
        decision: DecisionArgs,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// Lists the member's loans on either side
    #[command(after_help = "Examples:
  allmende loan list
  allmende loan list --offers
  allmende loan list --all -o csv")]
    List {
        /// The offers that are open to all members
        #[arg(long)]
        offers: bool,
        /// Of all members (cooperative only)
        #[arg(long, conflicts_with = "offers")]
        all: bool,
    },
    /// Shows a loan
    #[command(after_help = "Examples:\n  allmende loan get 0192f0c1-2345-7abc-8def-0123456789ab -o yaml")]
    Get {
        /// The loan's id
        id: String,
    },
}

const COLUMNS: [&str; 9] = [
    "name",
    "lender_display_name",
    "borrower_display_name",
    "cluster",
    "amount",
    "from",
    "until",
    "state",
    "due_date",
];
const OFFER_COLUMNS: [&str; 7] =
    ["name", "lender_display_name", "cluster", "amount", "from", "until", "notice_days"];

/// Sends one act on a loan and shows what became of it.
macro_rules! act {
    ($session:ident, $loan:ident, $rpc:ident, $request:ident { $($field:ident: $value:expr),* }) => {{
        let request_id = $loan.change.id().to_string();
        let request = $request {
            name: $session.of_member("loans", &$loan.id)?,
            $($field: $value,)*
            request_id: request_id.clone(),
            validate_only: $loan.change.dry_run,
        };
        $session.printer.one(&change($session.loans().$rpc($session.call(request)), &request_id).await?)
    }};
}

pub(crate) async fn run(command: Command, session: &Session) -> Result<(), Failure> {
    match command {
        Command::Offer(offer) => self::offer(offer, session).await,
        Command::Take(loan) => act!(session, loan, take_loan, TakeLoanRequest {}),
        Command::Approve { loan, comment: words } => {
            act!(session, loan, approve_loan, ApproveLoanRequest { comment: words })
        }
        Command::Refuse { loan, reason: words } => {
            act!(session, loan, refuse_loan, RefuseLoanRequest { reason: words })
        }
        Command::Withdraw(loan) => act!(session, loan, withdraw_loan, WithdrawLoanRequest {}),
        Command::Recall { loan, reason: words } => {
            act!(session, loan, recall_loan, RecallLoanRequest { reason: words })
        }
        Command::Return(loan) => act!(session, loan, return_loan, ReturnLoanRequest {}),
        Command::Decide { loan, decision, reason: words } => {
            let decision = match (decision.extend_until, decision.write_off) {
                (Some(day), _) => Decision::ExtendUntil(day),
                (None, Some(number)) => Decision::WriteOffResolution(number),
                (None, None) => Decision::Leave(true),
            };
            act!(
                session,
                loan,
                decide_overdue_loan,
                DecideOverdueLoanRequest { decision: Some(decision), reason: words }
            )
        }
        Command::List { offers, all } => {
            let parent = if all { "members/-".to_owned() } else { session.member(None)? };
            let request = ListLoansRequest { parent, offers, ..ListLoansRequest::default() };
            let loans = list!(session.loans().list_loans(request) => loans);
            session.printer.list(&loans, if offers { &OFFER_COLUMNS[..] } else { &COLUMNS[..] })
        }
        Command::Get { id } => {
            let request = GetLoanRequest { name: session.of_member("loans", &id)? };
            session.printer.one(&read(session.loans().get_loan(session.call(request))).await?)
        }
    }
}

async fn offer(offer: OfferArgs, session: &Session) -> Result<(), Failure> {
    let request_id = offer.change.id().to_string();
    let prices = offer.prices.into_iter().map(|(resource, micro_euro)| LoanPrice { resource, micro_euro });
    let loan = Loan {
        cluster: under("clusters", &offer.cluster),
        amount: Some(offer.amount.resources()),
        from: offer.from,
        until: offer.until,
        notice_days: i32::from(offer.notice_days),
        prices: prices.collect(),
        ..Loan::default()
    };
    let request = OfferLoanRequest {
        parent: session.member(None)?,
        loan: Some(loan),
        request_id: request_id.clone(),
        validate_only: offer.change.dry_run,
    };
    session.printer.one(&change(session.loans().offer_loan(session.call(request)), &request_id).await?)
}

/// `requests.memory=1.50`: millionths of a euro inside.
fn parse_price(text: &str) -> Result<(String, i64), String> {
    let wrong = || format!("`{text}` is no price: write requests.memory=1.50");
    let (resource, euro) = text.split_once('=').ok_or_else(wrong)?;
    let (whole, fraction) = euro.split_once('.').unwrap_or((euro, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if resource.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > 6 {
        return Err(wrong());
    }
    let micro = format!("{whole}{fraction:0<6}").parse().map_err(|_| wrong())?;
    Ok((resource.to_owned(), micro))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_read_exactly() {
        assert_eq!(parse_price("requests.memory=1.5"), Ok(("requests.memory".to_owned(), 1_500_000)));
        assert_eq!(parse_price("requests.cpu=12"), Ok(("requests.cpu".to_owned(), 12_000_000)));
        for bad in ["1.5", "=1", "a=", "a=-1", "a=1e30", "a=1,5", "a=0.0000001", "a=99999999999999999999"] {
            assert!(parse_price(bad).is_err(), "{bad}");
        }
    }
}
