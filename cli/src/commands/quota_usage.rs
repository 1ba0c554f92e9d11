//! `allmende quota usage` and `allmende quota watch`: how full, by which tenant, and until when.

use allmende_proto::v1::{
    ClusterUsage, Entitlement, GetUsageRequest, Resources, TenantUsage, WatchQuotaRequest, WatchQuotaResponse,
};

use crate::{
    arguments::Format,
    failure::Failure,
    language::Lang,
    quantity::{amount_of, amount_text, resources_text},
    session::{Session, id_of, read},
};

/// What a member has and uses.
pub(super) async fn usage(session: &Session, cluster: Option<&str>) -> Result<(), Failure> {
    let request = GetUsageRequest {
        parent: session.member(None)?,
        cluster: cluster.map(|cluster| format!("clusters/{}", id_of(cluster))).unwrap_or_default(),
    };
    let answer = read(session.quotas().get_usage(session.call(request))).await?;
    let printer = &session.printer;
    if printer.format() != Format::Table {
        return printer.one(&answer);
    }
    let lang = session.lang;
    for usage in &answer.clusters {
        let entitlement = usage.entitlement.clone().unwrap_or_default();
        printer.text(&format!("{}  ({})", entitlement.name, entitlement.resolution))?;
        printer.rows(&resource_headers(lang), resource_rows(usage, &entitlement, lang))?;
        if !usage.tenants.is_empty() {
            printer.text("")?;
            printer.rows(&tenant_headers(lang), usage.tenants.iter().map(tenant_row).collect())?;
        }
    }
    Ok(())
}

fn resource_headers(lang: Lang) -> [&'static str; 9] {
    match lang {
        Lang::De => [
            "RESSOURCE",
            "ANSPRUCH",
            "VERLIEHEN",
            "GELIEHEN",
            "RESERVIERT",
            "BELEGT",
            "FREI",
            "VOLL ZU",
            "VOLL AM",
        ],
        Lang::En => {
            ["RESOURCE", "ENTITLED", "LENT", "BORROWED", "RESERVED", "USED", "FREE", "FULL TO", "FULL ON"]
        }
    }
}

fn resource_rows(usage: &ClusterUsage, entitlement: &Entitlement, lang: Lang) -> Vec<Vec<String>> {
    let none = Resources::default();
    let told = |amounts: &Option<Resources>, resource: &str| {
        amount_text(resource, amount_of(amounts.as_ref().unwrap_or(&none), resource))
    };
    let row = |outlook: &allmende_proto::v1::ResourceOutlook| {
        let resource = outlook.resource.as_str();
        let full_on = match (outlook.full_on.as_str(), outlook.per_mille >= 1000) {
            (_, true) => lang.pick("voll", "full").to_owned(),
            ("", false) => lang.pick("nicht absehbar", "cannot be foreseen").to_owned(),
            (day, false) => day.to_owned(),
        };
        vec![
            resource.to_owned(),
            told(&entitlement.guaranteed, resource),
            told(&entitlement.lent, resource),
            told(&entitlement.borrowed, resource),
            told(&entitlement.reserved, resource),
            told(&usage.used, resource),
            told(&entitlement.available, resource),
            per_cent(outlook.per_mille, lang),
            full_on,
        ]
    };
    usage.outlook.iter().map(row).collect()
}

fn tenant_headers(lang: Lang) -> [&'static str; 4] {
    match lang {
        Lang::De => ["MANDANT", "ARBEITSBEREICH", "DIENSTE", "BELEGT"],
        Lang::En => ["TENANT", "WORKSPACE", "SERVICES", "USED"],
    }
}

fn tenant_row(tenant: &TenantUsage) -> Vec<String> {
    let text = |amounts: Option<&Resources>| amounts.map_or_else(|| "-".to_owned(), resources_text);
    let used: Vec<String> = tenant
        .namespaces
        .iter()
        .map(|quota| format!("{}: {}", quota.namespace, text(quota.used.as_ref())))
        .collect();
    let used = if used.is_empty() { "-".to_owned() } else { used.join("; ") };
    vec![tenant.tenant.clone(), text(tenant.workspace.as_ref()), text(tenant.services.as_ref()), used]
}

/// `12,5 %`, from thousandths.
fn per_cent(per_mille: i64, lang: Lang) -> String {
    let (whole, tenth) = (per_mille / 10, (per_mille % 10).abs());
    if tenth == 0 { format!("{whole} %") } else { format!("{whole}{}{tenth} %", lang.pick(",", ".")) }
}

/// Tells of levels until it is ended.
pub(super) async fn watch(session: &Session, all: bool) -> Result<(), Failure> {
    let parent = if all { "members/-".to_owned() } else { session.member(None)? };
    let mut is_first = true;
    // The API ends a stream after a while: what is still reached was told by the one before.
    loop {
        let request = WatchQuotaRequest { parent: parent.clone() };
        let mut stream = read(session.quotas().watch_quota(session.call(request))).await?;
        while let Some(event) = stream.message().await.map_err(Failure::read)? {
            if event.entitlement.is_empty() || (event.present && !is_first) {
                continue;
            }
            match session.printer.format() {
                Format::Table => session.printer.text(&line(&event, session.lang))?,
                _ => session.printer.one(&event)?,
            }
        }
        is_first = false;
    }
}

fn line(event: &WatchQuotaResponse, lang: Lang) -> String {
    let what = match (event.reached, event.present) {
        (true, true) => lang.pick("ist erreicht", "is reached"),
        (true, false) => lang.pick("jetzt erreicht", "reached now"),
        (false, _) => lang.pick("wieder unterschritten", "no longer reached"),
    };
    let numbers = [event.reserved, event.limit].map(|amount| amount_text(&event.resource, amount));
    let of = lang.pick("von", "of");
    format!(
        "{}  {}  {} % {what} ({} {of} {})",
        event.entitlement, event.resource, event.level, numbers[0], numbers[1]
    )
}

#[cfg(test)]
mod tests {
    use allmende_proto::v1::ResourceOutlook;

    use super::*;

    #[test]
    fn a_row_has_every_number_of_a_resource_and_the_day_on_which_it_is_full() {
        let memory = |gib: i64| Some(Resources { memory_bytes: gib << 30, ..Resources::default() });
        let entitlement = Entitlement {
            guaranteed: memory(32),
            lent: memory(8),
            borrowed: memory(0),
            reserved: memory(12),
            available: memory(12),
            ..Entitlement::default()
        };
        let outlook = |per_mille, full_on: &str| ResourceOutlook {
            resource: "requests.memory".into(),
            per_mille,
            full_on: full_on.into(),
            ..ResourceOutlook::default()
        };
        let usage = |one| ClusterUsage { used: memory(5), outlook: vec![one], ..ClusterUsage::default() };
        let rows = resource_rows(&usage(outlook(505, "2027-01-15")), &entitlement, Lang::De);
        let row = ["requests.memory", "32Gi", "8Gi", "0", "12Gi", "5Gi", "12Gi", "50,5 %", "2027-01-15"];
        assert_eq!(rows, [row]);
        let rows = resource_rows(&usage(outlook(500, "")), &entitlement, Lang::De);
        assert_eq!(rows[0][7..], ["50 %", "nicht absehbar"]);
        let rows = resource_rows(&usage(outlook(1000, "2026-11-24")), &entitlement, Lang::En);
        assert_eq!(rows[0][7..], ["100 %", "full"]);
    }

    #[test]
    fn a_level_is_told_in_one_line() {
        let event = WatchQuotaResponse {
            entitlement: "members/m-05766044/entitlements/local-1".into(),
            resource: "requests.cpu".into(),
            level: 80,
            reached: true,
            present: false,
            limit: 10_000,
            reserved: 8_500,
        };
        assert_eq!(
            line(&event, Lang::De),
            "members/m-05766044/entitlements/local-1  requests.cpu  80 % jetzt erreicht (8500m von 10)"
        );
        let down = WatchQuotaResponse { reached: false, ..event };
        assert!(line(&down, Lang::En).contains("no longer reached"));
    }
}
