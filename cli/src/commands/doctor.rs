//! `allmende doctor`: every step on the way to the API, until one fails.

use std::{os::unix::fs::PermissionsExt, path::Path};

use allmende_identity::{Identity, client::channel};
use allmende_proto::v1::{ListOfferingsRequest, catalog_service_client::CatalogServiceClient};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use tonic::{Code, Request};

use crate::{
    arguments::Globals,
    config::{self, Config, Context},
    failure::Failure,
    language::Lang,
    output::Printer,
    session::{authorization, client_tls},
};

/// Checks configuration, certificates and the way to the API
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  allmende doctor\n  allmende doctor --context treasurer")]
pub(crate) struct Args {}

pub(crate) async fn run(_: Args, globals: &Globals) -> Result<(), Failure> {
    let lang = globals.lang();
    let printer = Printer::new(globals.output, lang);
    let path = config::path()?;
    let config = Config::read(&path)?;
    let (name, context) = config.context(globals.context.as_deref())?;
    let good = |what: &str, found: &str| printer.text(&format!("✓ {what}: {found}"));
    good(lang.pick("Konfiguration", "configuration"), &format!("{} ({name})", path.display()))?;
    own_certificate(context, lang, &printer)?;
    let tls = client_tls(context)?;
    let channel = channel(&context.endpoint, tls).map_err(|error| Failure::Usage(error.to_string()))?;
    good("TLS", lang.pick("Zertifikate und Schlüssel sind lesbar", "certificates and key are readable"))?;
    let mut request = Request::new(ListOfferingsRequest { page_size: 1, ..ListOfferingsRequest::default() });
    request.set_timeout(globals.request_timeout);
    if let Some(value) = authorization(name, context).await? {
        good(lang.pick("Zugangstoken", "access token"), context.issuer.as_deref().unwrap_or_default())?;
        request.metadata_mut().insert("authorization", value);
    }
    match CatalogServiceClient::new(channel).list_offerings(request).await {
        Ok(_) => {
            good("API", &context.endpoint)?;
            good(lang.pick("Anmeldung", "signed in"), lang.pick("anerkannt", "accepted"))
        }
        // It answered: the way is open, the rights are not.
        Err(status) if status.code() == Code::PermissionDenied => {
            good("API", &context.endpoint)?;
            good(
                lang.pick("Anmeldung", "signed in"),
                lang.pick("anerkannt, ohne Rechte", "accepted, without rights"),
            )
        }
        Err(status) => Err(Failure::read(status)),
    }
}

fn own_certificate(context: &Context, lang: Lang, printer: &Printer) -> Result<(), Failure> {
    let (Some(cert), Some(key)) = (&context.cert, &context.key) else {
        printer.note(lang.pick(
            "! kein Zertifikat: die API kennt uns nur mit einem Zugangstoken (allmende login)",
            "! no certificate: the API knows us by an access token only (allmende login)",
        ));
        return Ok(());
    };
    let leaf = CertificateDer::from_pem_file(cert)
        .map_err(|error| Failure::Usage(format!("{}: {error}", cert.display())))?;
    let identity = Identity::of_certificate(&leaf).ok_or_else(|| {
        Failure::Usage(format!("{}: names no allmende:// identity, or more than one", cert.display()))
    })?;
    printer.text(&format!("✓ {}: {identity}", lang.pick("Identität", "identity")))?;
    if readable_by_others(key)? {
        let warning = lang.pick("ist für andere lesbar: chmod 600", "is readable for others: chmod 600");
        printer.note(&format!("! {} {warning}", key.display()));
    }
    Ok(())
}

fn readable_by_others(key: &Path) -> Result<bool, Failure> {
    let mode = std::fs::metadata(key).map_err(|error| Failure::file(key, &error))?.permissions().mode();
    Ok(mode & 0o077 != 0)
}
