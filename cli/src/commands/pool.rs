//! `allmende pool`.

use std::path::PathBuf;

use allmende_proto::v1::{
    ApplyPoolRuleRequest, CreatePoolRuleRequest, GetPoolRuleRequest, GetPoolRunRequest, ListPoolRulesRequest,
    PreviewDivisionRequest, PreviewDivisionResponse,
};
use clap::Subcommand;

use crate::{
    arguments::{ChangeArgs, FileArg, Format, numbered},
    document,
    failure::Failure,
    session::{Session, change, list, read, under},
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Rules by which the pool is divided (Verteilungsregeln)
    #[command(subcommand)]
    Rule(RuleCommand),
    /// Shows what a rule, or other shares, would give each member: who gains, and who falls below what is reserved
    #[command(after_help = "Examples:
  allmende pool what-if 2027
  allmende pool what-if 2027 --shares m-05766044=6 --shares m-05374048=2
  allmende pool what-if -f rule.yaml -o json")]
    WhatIf {
        /// A rule that is recorded
        #[arg(required_unless_present = "file", conflicts_with = "file")]
        rule: Option<String>,
        /// A rule that is not: a CreatePoolRuleRequest as YAML or JSON
        #[arg(short, long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// Other shares than those on record (several: once each)
        #[arg(long, value_name = "MEMBER=COUNT", value_parser = parse_shares)]
        shares: Vec<(String, i64)>,
        /// First day of a month: whose shares count (default: the rule's first day)
        #[arg(long, value_name = "DATE", default_value = "", hide_default_value = true)]
        effective: String,
    },
    /// Carries a rule out: sets every entitlement, and takes nothing that is in use
    #[command(after_help = "Examples:\n  allmende pool apply 2027\n  allmende pool apply 2027 --dry-run")]
    Apply {
        /// The rule's id
        rule: String,
        /// First day of a month that has begun (default: this month)
        #[arg(long, value_name = "DATE", default_value = "", hide_default_value = true)]
        effective: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Shows how far the carrying out of a rule is
    #[command(after_help = "Examples:\n  allmende pool status 2027 2027-01-01")]
    Status {
        /// The rule's id
        rule: String,
        /// The day for which it was applied
        effective: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum RuleCommand {
    /// Records a rule; it changes nothing before it is applied
    #[command(after_help = "Examples:
  allmende pool rule create -f rule.yaml
The file is a CreatePoolRuleRequest:
  poolRuleId: '2027'
  poolRule: {validFrom: 2027-01-01, resolution: GV-7/2026, reservePermille: 100, resolveDays: 90,
    parts: [{basis: BASIS_SHARES, permille: 600}, {basis: BASIS_EQUAL, permille: 400}]}")]
    Create {
        #[command(flatten)]
        file: FileArg,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Lists the rules
    #[command(after_help = "Examples:\n  allmende pool rule list")]
    List,
    /// Shows a rule
    #[command(after_help = "Examples:\n  allmende pool rule get 2027 -o yaml")]
    Get {
        /// Its id
        id: String,
    },
}

const COLUMNS: [&str; 7] = ["member", "before", "after", "gains", "loses", "reserved", "over"];

pub(crate) async fn run(command: Command, session: &Session) -> Result<(), Failure> {
    match command {
        Command::Rule(command) => rule(command, session).await,
        Command::WhatIf { rule, file, shares, effective } => {
            let proposed = file.map(|file| document::read_one::<CreatePoolRuleRequest>(&file)).transpose()?;
            let request = PreviewDivisionRequest {
                name: rule.map(|rule| under("poolRules", &rule)).unwrap_or_default(),
                pool_rule: proposed.and_then(|request| request.pool_rule),
                effective_date: effective,
                shares: shares.into_iter().collect(),
            };
            let seen = read(session.pools().preview_division(session.call(request))).await?;
            show(&seen, session)
        }
        Command::Apply { rule, effective, change: args } => {
            let request_id = args.id().to_string();
            let request = ApplyPoolRuleRequest {
                name: under("poolRules", &rule),
                effective_date: effective,
                request_id: request_id.clone(),
                validate_only: args.dry_run,
            };
            session
                .printer
                .one(&change(session.pools().apply_pool_rule(session.call(request)), &request_id).await?)
        }
        Command::Status { rule, effective } => {
            let request =
                GetPoolRunRequest { name: format!("{}/runs/{effective}", under("poolRules", &rule)) };
            session.printer.one(&read(session.pools().get_pool_run(session.call(request))).await?)
        }
    }
}

/// A table for each cluster; other forms get the whole answer.
fn show(seen: &PreviewDivisionResponse, session: &Session) -> Result<(), Failure> {
    if session.printer.format() != Format::Table {
        return session.printer.one(seen);
    }
    for cluster in &seen.clusters {
        let text =
            |amount: &Option<_>| amount.as_ref().map(crate::quantity::resources_text).unwrap_or_default();
        let told = format!(
            "{}: {} {}, {} {}",
            cluster.cluster,
            session.lang.pick("verteilt", "divided"),
            text(&cluster.divided),
            session.lang.pick("Reserve", "reserve"),
            text(&cluster.reserve),
        );
        session.printer.text(&told)?;
        session.printer.list(&cluster.members, &COLUMNS)?;
    }
    Ok(())
}

async fn rule(command: RuleCommand, session: &Session) -> Result<(), Failure> {
    match command {
        RuleCommand::Create { file, change: args } => {
            for (index, mut request) in
                document::read::<CreatePoolRuleRequest>(&file.file)?.into_iter().enumerate()
            {
                let request_id = numbered(args.id(), index);
                request.request_id.clone_from(&request_id);
                request.validate_only = args.dry_run;
                let created =
                    change(session.pools().create_pool_rule(session.call(request)), &request_id).await?;
                session.printer.one(&created)?;
            }
            Ok(())
        }
        RuleCommand::List => {
            let rules = list!(session.pools().list_pool_rules(ListPoolRulesRequest::default()) => pool_rules);
            let columns = ["name", "valid_from", "resolution", "reserve_permille", "resolve_days"];
            session.printer.list(&rules, &columns)
        }
        RuleCommand::Get { id } => {
            let request = GetPoolRuleRequest { name: under("poolRules", &id) };
            session.printer.one(&read(session.pools().get_pool_rule(session.call(request))).await?)
        }
    }
}

/// `m-05766044=6`.
fn parse_shares(text: &str) -> Result<(String, i64), String> {
    let wrong = || format!("`{text}` is no number of shares: write m-05766044=6");
    let (member, count) = text.split_once('=').ok_or_else(wrong)?;
    Ok((under("members", member), count.parse().map_err(|_| wrong())?))
}
