//! A code that is typed in on another device (RFC 8628): for machines without a browser.

use std::time::Duration;

use serde_json::Value;

use super::{Provider, Tokens, now, refused};
use crate::{failure::Failure, language::Lang, output::note};

/// Shortest and longest pause between two questions; RFC 8628 says 5 s where the provider says nothing.
const PAUSE: i64 = 5;
const PAUSE_MAX: i64 = 60;
/// Longest life of a code, seconds.
const LIFE_MAX: i64 = 1800;

/// Tells the code and waits until the person has used it.
pub(crate) async fn sign_in(provider: &Provider, lang: Lang) -> Result<Tokens, Failure> {
    let fields = [("client_id", provider.client_id.as_str()), ("scope", provider.scope.as_str())];
    let answer = provider.post("device_authorization_endpoint", &fields).await?;
    let text = |name: &str| answer.get(name).and_then(Value::as_str);
    let number = |name: &str, otherwise: i64| answer.get(name).and_then(Value::as_i64).unwrap_or(otherwise);
    let (Some(device_code), Some(user_code), Some(address)) =
        (text("device_code"), text("user_code"), text("verification_uri"))
    else {
        return Err(refused(&answer));
    };
    let shown = text("verification_uri_complete").unwrap_or(address);
    note(&format!(
        "{} {shown}",
        lang.pick("Auf einem Gerät mit Browser öffnen:", "Open on a device with a browser:")
    ));
    note(&format!("{} {user_code}", lang.pick("Der Code ist:", "The code is:")));
    let mut pause = number("interval", PAUSE).clamp(1, PAUSE_MAX);
    let end = now().saturating_add(number("expires_in", LIFE_MAX).clamp(1, LIFE_MAX));
    let fields = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
        ("device_code", device_code),
        ("client_id", provider.client_id.as_str()),
    ];
    while now() < end {
        // The protocol itself asks in intervals.
        tokio::time::sleep(Duration::from_secs(u64::try_from(pause).unwrap_or(5))).await;
        let answer = provider.post("token_endpoint", &fields).await?;
        match answer.get("error").and_then(Value::as_str) {
            Some("authorization_pending") => {}
            Some("slow_down") => pause = (pause + PAUSE).min(PAUSE_MAX),
            _ => {
                return Tokens::of(&answer, &provider.issuer, &provider.client_id, now())
                    .ok_or_else(|| refused(&answer));
            }
        }
    }
    Err(Failure::OutOfTime(lang.pick("der Code ist abgelaufen", "the code has expired").to_owned()))
}
