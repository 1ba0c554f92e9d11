//! Helm's errors in words that say what to do. Pure.

use super::{Class, ReleaseError};

/// Longest text that is kept of a tool's output.
const DETAIL_MAX: usize = 2_000;

/// What to say when the content is not what its digest says.
const OTHER_CHART: &str = "das Register liefert ein anderes Chart als das freigegebene, es wurde nichts eingespielt: Betrieb der Genossenschaft verständigen";

/// What usually goes wrong: a part of the output, and the words for it. The first that fits.
const KNOWN: [(&str, &str); 12] = [
    // The digest of the order is the release that was approved; all three are ways in which Helm and its library say that it differs.
    ("digest mismatch", OTHER_CHART),
    ("mismatched digest", OTHER_CHART),
    ("mismatch between received", OTHER_CHART),
    (
        "exceeded quota",
        "das Kontingent des Dienstbereichs reicht nicht: kleineren Plan wählen oder Anspruch erhöhen lassen",
    ),
    (
        "values don't meet the specifications of the schema",
        "die Werte passen nicht zum Schema des Charts: Betrieb der Genossenschaft verständigen",
    ),
    (
        "is forbidden",
        "das Chart verlangt mehr, als der Dienstbereich erlaubt: Betrieb der Genossenschaft verständigen",
    ),
    (
        "violates PodSecurity",
        "das Chart verletzt die Pod-Sicherheit: Betrieb der Genossenschaft verständigen",
    ),
    ("manifest unknown", "das Chart liegt nicht im Register: Betrieb der Genossenschaft verständigen"),
    ("not found: not found", "das Chart liegt nicht im Register: Betrieb der Genossenschaft verständigen"),
    ("connection refused", "das Register der Charts antwortet nicht; neuer Versuch folgt"),
    ("context deadline exceeded", "der Dienst wurde in der vorgesehenen Zeit nicht bereit"),
    ("timed out", "der Dienst wurde in der vorgesehenen Zeit nicht bereit"),
];

/// Translates the output of a tool that failed.
pub fn translate(output: &str) -> ReleaseError {
    let words = KNOWN.iter().find(|(part, _)| output.contains(part)).map_or_else(
        || "Helm meldet einen Fehler; neuer Versuch folgt".to_owned(),
        |(_, words)| (*words).to_owned(),
    );
    ReleaseError { class: Class::Failed, words, detail: masked(output) }
}

/// A run that was over its limit, with what it said until then.
pub fn timed_out(output: &str) -> ReleaseError {
    let words = "der Dienst wurde in der vorgesehenen Zeit nicht bereit".to_owned();
    ReleaseError { class: Class::TimedOut, words, detail: masked(&format!("the run was ended\n{output}")) }
}

/// A run that was ended or not begun because this process may not or will not go on.
pub fn interrupted(why: &str) -> ReleaseError {
    let words = "der Betreiber wechselt gerade; neuer Versuch folgt".to_owned();
    ReleaseError { class: Class::Interrupted, words, detail: why.to_owned() }
}

/// The end of the output, without lines that could carry a secret.
fn masked(output: &str) -> String {
    let sound: Vec<&str> = output
        .lines()
        .filter(|line| {
            !["password", "token", "secret", "bearer"].iter().any(|word| line.to_lowercase().contains(word))
        })
        .collect();
    let text = sound.join("\n");
    let skip = text.chars().count().saturating_sub(DETAIL_MAX);
    text.chars().skip(skip).collect()
}

/// Why pods are not ready, by the reasons that containers and the scheduler give.
pub fn pods_in_words(reasons: &[String]) -> Option<String> {
    let known = [
        ("ImagePullBackOff", "das Abbild ist nicht zu haben"),
        ("ErrImagePull", "das Abbild ist nicht zu haben"),
        ("CrashLoopBackOff", "der Dienst startet und bricht ab"),
        ("CreateContainerConfigError", "eine Einstellung oder ein Geheimnis fehlt"),
        ("Unschedulable", "auf dem Cluster ist kein Platz"),
    ];
    let mut words: Vec<String> = reasons
        .iter()
        .map(|reason| {
            known
                .iter()
                .find(|(name, _)| name == reason)
                .map_or_else(|| reason.clone(), |(name, text)| format!("{text} ({name})"))
        })
        .collect();
    words.sort();
    words.dedup();
    if words.is_empty() { None } else { Some(words.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_failures_have_words_and_secrets_never_leave() {
        let error = translate(
            "Error: pods \"db-0\" is forbidden: exceeded quota: allmende\npassword=hunter2 in values",
        );
        assert!(error.words.contains("Kontingent"));
        assert!(error.detail.contains("exceeded quota") && !error.detail.contains("hunter2"));
        assert!(translate("something new").words.contains("neuer Versuch"));
    }

    #[test]
    fn a_chart_that_is_not_the_approved_one_has_words_of_its_own() {
        let outputs = [
            "Error: failed to perform \"FetchReference\" on source: GET \"http://r/v2/c/x/manifests/sha256:aa\": invalid response; digest mismatch in Docker-Content-Digest: received \"sha256:e7\" when expecting \"sha256:aa\"",
            "Error: chart reference digest mismatch: sha256:e7 is not sha256:aa",
            "Error: failed to perform \"Fetch\" on source: mismatched digest",
        ];
        for output in outputs {
            let error = translate(output);
            assert!(
                error.words.contains("anderes Chart") && error.words.contains("nichts eingespielt"),
                "{error:?}"
            );
            assert_eq!(error.class, Class::Failed);
        }
    }

    #[test]
    fn reasons_of_pods_are_told_once() {
        let reasons = ["ImagePullBackOff".to_owned(), "ImagePullBackOff".to_owned()];
        assert_eq!(pods_in_words(&reasons).unwrap(), "das Abbild ist nicht zu haben (ImagePullBackOff)");
        assert_eq!(pods_in_words(&[]), None);
    }
}
