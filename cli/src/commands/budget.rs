//! `allmende budget`.

use allmende_proto::v1::{
    Budget, GetBudgetRequest, ListBudgetsRequest, Money, RecountBudgetRequest, SetBudgetRequest, budget,
};
use clap::{Args, Subcommand, ValueEnum};
use tonic::Code;

use crate::{
    arguments::ChangeArgs,
    failure::Failure,
    session::{Session, change, list, read},
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Sets what a recipient of invoices may spend in a year; what runs already is counted into it
    #[command(after_help = "Examples:
  allmende budget set 2026 --limit 12000 --mode ask --resolution HHS-2026
  allmende budget set 2027 --bill-to schulen --limit 8000.50 --mode block --resolution HHS-2027 --dry-run")]
    Set {
        #[command(flatten)]
        place: Place,
        /// Net, in euros: `12000` or `12000.50`
        #[arg(long, value_name = "EURO", value_parser = parse_euro)]
        limit: i64,
        /// What an order beyond the limit meets
        #[arg(long, value_enum)]
        mode: ModeArg,
        /// Number of the resolution (Beschluss-Nr.)
        #[arg(long, value_name = "NUMBER")]
        resolution: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Shows a budget with everything that is committed against it
    #[command(
        after_help = "Examples:\n  allmende budget get 2026\n  allmende budget get 2026 --bill-to schulen -o json"
    )]
    Get {
        #[command(flatten)]
        place: Place,
    },
    /// Lists the member's budgets
    #[command(after_help = "Examples:\n  allmende budget list --member m-05766044")]
    List,
    /// Counts what is committed anew, from the usage so far and the price lists of now
    #[command(after_help = "Examples:
  allmende budget recount 2026 --reason 'Preisliste 2026-07' --dry-run")]
    Recount {
        #[command(flatten)]
        place: Place,
        /// Why; goes into the audit
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

/// Which budget.
#[derive(Debug, Clone, Args)]
pub(crate) struct Place {
    /// The budget year (Haushaltsjahr)
    year: String,
    /// The recipient of invoices
    #[arg(long, value_name = "ID", default_value = "main")]
    bill_to: String,
}

/// What an order beyond the limit meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ModeArg {
    /// A refusal
    Block,
    /// A refusal, until the member's approver has permitted it
    Ask,
    /// Nothing: the limit is only shown
    Report,
}

impl From<ModeArg> for budget::Mode {
    fn from(mode: ModeArg) -> Self {
        match mode {
            ModeArg::Block => Self::Block,
            ModeArg::Ask => Self::Ask,
            ModeArg::Report => Self::Report,
        }
    }
}

const COLUMNS: [&str; 7] = ["name", "limit", "mode", "committed", "remaining", "resolution", "count_time"];

impl Place {
    fn name(&self, session: &Session) -> Result<String, Failure> {
        Ok(format!("{}/budgets/{}", session.of_member("billTos", &self.bill_to)?, self.year))
    }
}

pub(crate) async fn run(command: Command, session: &Session) -> Result<(), Failure> {
    match command {
        Command::Set { place, limit, mode, resolution, change: args } => {
            let name = place.name(session)?;
            let request_id = args.id().to_string();
            let request = SetBudgetRequest {
                etag: present(session, &name).await?.etag,
                name,
                limit: Some(Money { currency_code: "EUR".to_owned(), cents: limit }),
                mode: budget::Mode::from(mode).into(),
                resolution,
                request_id: request_id.clone(),
                validate_only: args.dry_run,
            };
            session
                .printer
                .one(&change(session.budgets().set_budget(session.call(request)), &request_id).await?)
        }
        Command::Get { place } => {
            let request = GetBudgetRequest { name: place.name(session)? };
            session.printer.one(&read(session.budgets().get_budget(session.call(request))).await?)
        }
        Command::List => {
            let request =
                ListBudgetsRequest { parent: session.member(None)?, ..ListBudgetsRequest::default() };
            let budgets = list!(session.budgets().list_budgets(request) => budgets);
            session.printer.list(&budgets, &COLUMNS)
        }
        Command::Recount { place, reason, change: args } => {
            let request_id = args.id().to_string();
            let request = RecountBudgetRequest {
                name: place.name(session)?,
                reason,
                request_id: request_id.clone(),
                validate_only: args.dry_run,
            };
            session
                .printer
                .one(&change(session.budgets().recount_budget(session.call(request)), &request_id).await?)
        }
    }
}

/// The budget as it is; an empty one when there is none yet.
async fn present(session: &Session, name: &str) -> Result<Budget, Failure> {
    let request = GetBudgetRequest { name: name.to_owned() };
    match session.budgets().get_budget(session.call(request)).await {
        Ok(answer) => Ok(answer.into_inner()),
        Err(status) if status.code() == Code::NotFound => Ok(Budget::default()),
        Err(status) => Err(Failure::read(status)),
    }
}

/// Cents of an amount in euros, with none or two digits behind the point or comma.
pub(crate) fn parse_euro(text: &str) -> Result<i64, String> {
    let wrong = || format!("`{text}` is no amount in euros: write 12000, 12000.50 or 12000,50");
    let (whole, cents) = text.split_once(['.', ',']).unwrap_or((text, "00"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(cents) || cents.len() != 2 || whole.len() > 13 {
        return Err(wrong());
    }
    format!("{whole}{cents}").parse().map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn euros_become_cents_without_any_rounding() {
        assert_eq!(parse_euro("12000"), Ok(1_200_000));
        assert_eq!(parse_euro("0.05"), Ok(5));
        assert_eq!(parse_euro("8000,50"), Ok(800_050));
        for bad in ["", "-1", "1e30", "12.000", "1.5", "1,2,3", "12 €", "+5", "99999999999999", ".50", "٣"]
        {
            assert!(parse_euro(bad).is_err_and(|text| text.contains("12000")), "{bad}");
        }
    }
}
