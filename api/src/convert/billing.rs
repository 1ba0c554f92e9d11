//! Price lists, keys, pots, issuer, runs.

use allmende_domain::{
    ids::{KeyId, PotId, PriceListId},
    issuer::Issuer,
    key::{AllocationKey, ComponentKind, KeyComponent},
    money::{Cents, MicroEuro},
    period::Period,
    pot::Pot,
    price::{MeterPrice, PriceList, PriceUnit},
    run::{Run, RunState},
};
use allmende_proto::v1;

use super::{
    fields::{Fields, time},
    resources::money,
};

/// A price list to create.
pub fn read_price_list(
    fields: &mut Fields,
    id: Option<PriceListId>,
    message: Option<&v1::PriceList>,
) -> Option<PriceList> {
    let message = fields.needed("price_list", message)?;
    let valid_from = fields.date("price_list.valid_from", &message.valid_from);
    let mut prices = Vec::new();
    for (index, price) in message.prices.iter().enumerate() {
        let path = format!("price_list.prices[{index}]");
        let meter = fields.parse(&format!("{path}.meter"), &price.meter);
        let unit = match v1::meter_price::Unit::try_from(price.unit) {
            Ok(v1::meter_price::Unit::Hour) => Some(PriceUnit::Hour),
            Ok(v1::meter_price::Unit::Month) => Some(PriceUnit::Month),
            Ok(v1::meter_price::Unit::Unspecified) | Err(_) => None,
        };
        if unit.is_none() {
            fields.wrong(format!("{path}.unit"), "must be UNIT_HOUR or UNIT_MONTH");
        }
        if let (Some(meter), Some(unit)) = (meter, unit) {
            prices.push(MeterPrice {
                meter,
                unit,
                price: MicroEuro(price.micro_euro),
                title: price.title.clone(),
            });
        }
    }
    let list = PriceList { id: id?, valid_from: valid_from?, resolution: message.resolution.clone(), prices };
    fields.wrong_under("price_list", list.violations());
    Some(list)
}

/// A price list as a message.
pub fn write_price_list(list: &PriceList, etag: String) -> v1::PriceList {
    v1::PriceList {
        name: format!("priceLists/{}", list.id),
        valid_from: list.valid_from.to_string(),
        resolution: list.resolution.clone(),
        prices: list
            .prices
            .iter()
            .map(|price| v1::MeterPrice {
                meter: price.meter.to_string(),
                unit: match price.unit {
                    PriceUnit::Hour => v1::meter_price::Unit::Hour.into(),
                    PriceUnit::Month => v1::meter_price::Unit::Month.into(),
                },
                micro_euro: price.price.0,
                title: price.title.clone(),
            })
            .collect(),
        etag,
    }
}

/// A key to create.
pub fn read_key(
    fields: &mut Fields,
    id: Option<KeyId>,
    message: Option<&v1::AllocationKey>,
) -> Option<AllocationKey> {
    let message = fields.needed("key", message)?;
    let valid_from = fields.date("key.valid_from", &message.valid_from);
    let mut components = Vec::new();
    for (index, component) in message.components.iter().enumerate() {
        let kind = match v1::key_component::Kind::try_from(component.kind) {
            Ok(v1::key_component::Kind::Inhabitants) => Some(ComponentKind::Inhabitants),
            Ok(v1::key_component::Kind::Shares) => Some(ComponentKind::Shares),
            Ok(v1::key_component::Kind::Usage) => Some(ComponentKind::Usage),
            Ok(v1::key_component::Kind::Equal) => Some(ComponentKind::Equal),
            Ok(v1::key_component::Kind::Unspecified) | Err(_) => None,
        };
        match kind {
            None => {
                fields.wrong(format!("key.components[{index}].kind"), "must be one of the kinds of a key")
            }
            Some(kind) => {
                components.push(KeyComponent {
                    kind,
                    percent: component.percent,
                    title: component.title.clone(),
                });
            }
        }
    }
    let key = AllocationKey {
        id: id?,
        valid_from: valid_from?,
        resolution: message.resolution.clone(),
        components,
    };
    fields.wrong_under("key", key.violations());
    Some(key)
}

/// A key as a message.
pub fn write_key(key: &AllocationKey, etag: String) -> v1::AllocationKey {
    v1::AllocationKey {
        name: format!("keys/{}", key.id),
        valid_from: key.valid_from.to_string(),
        resolution: key.resolution.clone(),
        components: key
            .components
            .iter()
            .map(|component| v1::KeyComponent {
                kind: match component.kind {
                    ComponentKind::Inhabitants => v1::key_component::Kind::Inhabitants.into(),
                    ComponentKind::Shares => v1::key_component::Kind::Shares.into(),
                    ComponentKind::Usage => v1::key_component::Kind::Usage.into(),
                    ComponentKind::Equal => v1::key_component::Kind::Equal.into(),
                },
                percent: component.percent,
                title: component.title.clone(),
            })
            .collect(),
        etag,
    }
}

/// A pot to create.
pub fn read_pot(fields: &mut Fields, id: Option<PotId>, message: Option<&v1::Pot>) -> Option<Pot> {
    let message = fields.needed("pot", message)?;
    let period: Option<Period> = fields.parse("pot.period", &message.period);
    let key: Option<KeyId> =
        fields.parse("pot.key", message.key.strip_prefix("keys/").unwrap_or(&message.key));
    let amount = fields.needed("pot.amount", message.amount.as_ref());
    if amount.is_some_and(|amount| !matches!(amount.currency_code.as_str(), "" | "EUR")) {
        fields.wrong("pot.amount.currency_code", "must be EUR");
    }
    let pot = Pot {
        id: id?,
        period: period?,
        title: message.title.clone(),
        amount: Cents(amount?.cents),
        key: key?,
        resolution: message.resolution.clone(),
    };
    fields.wrong_under("pot", pot.violations());
    Some(pot)
}

/// A pot as a message.
pub fn write_pot(pot: &Pot, etag: String) -> v1::Pot {
    v1::Pot {
        name: format!("pots/{}", pot.id),
        period: pot.period.to_string(),
        title: pot.title.clone(),
        amount: Some(money(pot.amount)),
        key: format!("keys/{}", pot.key),
        resolution: pot.resolution.clone(),
        etag,
    }
}

/// The issuer to set.
pub fn read_issuer(fields: &mut Fields, message: Option<&v1::Issuer>) -> Option<Issuer> {
    let message = fields.needed("issuer", message)?.clone();
    let issuer = Issuer {
        legal_name: message.legal_name,
        legal_registration: message.legal_registration,
        vat_id: message.vat_id,
        street: message.street,
        postal_code: message.postal_code,
        city: message.city,
        contact_name: message.contact_name,
        contact_phone: message.contact_phone,
        contact_email: message.contact_email,
        electronic_address: message.electronic_address,
        iban: message.iban,
        payment_terms: message.payment_terms,
        payment_days: message.payment_days,
        number_prefix: message.number_prefix,
    };
    fields.wrong_under("issuer", issuer.violations());
    Some(issuer)
}

/// The issuer as a message.
pub fn write_issuer(issuer: &Issuer, etag: String) -> v1::Issuer {
    let issuer = issuer.clone();
    v1::Issuer {
        legal_name: issuer.legal_name,
        legal_registration: issuer.legal_registration,
        vat_id: issuer.vat_id,
        street: issuer.street,
        postal_code: issuer.postal_code,
        city: issuer.city,
        contact_name: issuer.contact_name,
        contact_phone: issuer.contact_phone,
        contact_email: issuer.contact_email,
        electronic_address: issuer.electronic_address,
        iban: issuer.iban,
        payment_terms: issuer.payment_terms,
        payment_days: issuer.payment_days,
        number_prefix: issuer.number_prefix,
        etag,
    }
}

/// A run as a message.
pub fn write_run(run: &Run, etag: String) -> v1::Run {
    v1::Run {
        name: format!("runs/{}", run.period),
        period: run.period.to_string(),
        state: state(run.state).into(),
        cut_revision: run.cut_revision,
        cut_digest: run.cut_digest.clone(),
        result_digest: run.result_digest.clone(),
        invoices_total: run.invoices_total,
        invoices_done: run.invoices_done,
        net: Some(money(run.net)),
        vat: Some(money(run.vat)),
        gross: Some(money(run.gross)),
        message: run.message.clone(),
        create_time: Some(time(run.create_time)),
        end_time: run.end_time.map(time),
        etag,
        issue_date: run.issue_date.to_string(),
    }
}

fn state(state: RunState) -> v1::run::State {
    match state {
        RunState::Pending => v1::run::State::Pending,
        RunState::Freezing => v1::run::State::Freezing,
        RunState::Rating => v1::run::State::Rating,
        RunState::Allocating => v1::run::State::Allocating,
        RunState::Drafting => v1::run::State::Drafting,
        RunState::Review => v1::run::State::Review,
        RunState::Issuing => v1::run::State::Issuing,
        RunState::Rendering => v1::run::State::Rendering,
        RunState::Closed => v1::run::State::Closed,
        RunState::Failed => v1::run::State::Failed,
    }
}
