//! Headers: the contract's field names, and in German the words that members know.

use crate::language::Lang;

const GERMAN: &[(&str, &str)] = &[
    ("accounting_reference", "Kontierung"),
    ("amount", "Betrag"),
    ("amount_milli", "Menge/1000"),
    ("as_of", "Stand"),
    ("available", "verfügbar"),
    ("bill_to", "Rechnungsempfänger"),
    ("borrowed", "geliehen"),
    ("capacity", "Kapazität"),
    ("carved", "zugeteilt"),
    ("chart", "Chart"),
    ("city", "Ort"),
    ("cluster", "Cluster"),
    ("clusters", "Cluster"),
    ("components", "Bestandteile"),
    ("conditions", "Zustände"),
    ("contact_email", "E-Mail"),
    ("create_time", "angelegt"),
    ("delete_time", "gelöscht"),
    ("description", "Beschreibung"),
    ("display_name", "Bezeichnung"),
    ("documents", "Dokumente"),
    ("done", "fertig"),
    ("due_date", "fällig"),
    ("end_time", "beendet"),
    ("footprint", "Bedarf"),
    ("footprint_parts", "Bedarf im Einzelnen"),
    ("gross", "brutto"),
    ("guaranteed", "Anspruch"),
    ("holder", "Inhaber"),
    ("inhabitants", "Einwohner"),
    ("interval", "Zeitraum"),
    ("invoices_done", "erledigt"),
    ("invoices_total", "Rechnungen"),
    ("issue_date", "Rechnungsdatum"),
    ("key", "Umlageschlüssel"),
    ("last_seen_time", "zuletzt gehört"),
    ("leitweg_id", "Leitweg-ID"),
    ("lent", "verliehen"),
    ("lines", "Positionen"),
    ("member", "Mitglied"),
    ("message", "Meldung"),
    ("meter", "Messgröße"),
    ("monthly_net", "netto je Monat"),
    ("name", "Name"),
    ("namespace", "Namensraum"),
    ("net", "netto"),
    ("number", "Nummer"),
    ("offering", "Leistungsangebot"),
    ("operation", "Vorgang"),
    ("period", "Abrechnungszeitraum"),
    ("plan", "Plan"),
    ("plans", "Pläne"),
    ("pods", "Pods"),
    ("population", "Einwohner"),
    ("postal_code", "PLZ"),
    ("preview", "Vorschau"),
    ("price_list", "Preisliste"),
    ("price_parts", "Preis im Einzelnen"),
    ("prices", "Preise"),
    ("principal", "Person oder Dienst"),
    ("quantity", "Menge"),
    ("ready_time", "bereit seit"),
    ("reason", "Grund"),
    ("recipient_name", "Empfänger"),
    ("register_key", "AGS"),
    ("remaining", "bleibt verfügbar"),
    ("reserved", "reserviert"),
    ("reserves", "reserviert"),
    ("resolution", "Beschluss"),
    ("resources", "Umfang"),
    ("role", "Rolle"),
    ("shares", "Geschäftsanteile"),
    ("state", "Zustand"),
    ("state_message", "Meldung"),
    ("status", "Status"),
    ("steps", "Schritte"),
    ("storage_bytes", "Speicher"),
    ("street", "Straße"),
    ("subject", "Gegenstand"),
    ("succeeded", "gelungen"),
    ("target", "Ziel"),
    ("tax_profiles", "Steuerprofile"),
    ("taxable", "Bemessungsgrundlage"),
    ("tax", "Steuer"),
    ("title", "Titel"),
    ("type", "Art"),
    ("unit", "Einheit"),
    ("unit_code", "Einheit"),
    ("unit_price", "Einzelpreis"),
    ("unit_price_micro_euro", "Einzelpreis"),
    ("micro_euro", "Preis"),
    ("until_month_end_net", "netto bis Monatsende"),
    ("update_time", "geändert"),
    ("used", "belegt"),
    ("valid_from", "gültig ab"),
    ("valid_until", "gültig bis"),
    ("vat", "Umsatzsteuer"),
    ("vat_breakdown", "Steuern"),
    ("vat_category", "Steuerkategorie"),
    ("verb", "Vorgang"),
    ("version", "Version"),
    ("versions", "Versionen"),
    ("watermark", "Meldungen bis"),
    ("workspace_quota", "Kontingent"),
];

/// The header of a field path: that of its last part.
pub(super) fn of(path: &str, lang: Lang) -> String {
    let field = path.rsplit('.').next().unwrap_or(path);
    let german = GERMAN.iter().find(|(name, _)| *name == field).map(|(_, word)| *word);
    match (lang, german) {
        (Lang::De, Some(word)) => word.to_owned(),
        _ => field.replace('_', " "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_speak_the_language_and_fall_back_to_the_contract() {
        assert_eq!(of("population.inhabitants", Lang::De), "Einwohner");
        assert_eq!(of("workspace_quota", Lang::En), "workspace quota");
        assert_eq!(of("uid", Lang::De), "uid");
    }
}
