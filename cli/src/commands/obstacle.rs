//! What a preview found in the way of an order: told with who can lift it, in the caller's language, and as a failure for scripts.

use allmende_proto::v1::{Obstacle, Preview};
use tonic::{Code, Status};

use crate::{failure::Failure, language::Lang, output::note};

/// Fails when the real call would be refused, after telling people why and who helps.
pub(super) fn none(preview: Option<&Preview>, lang: Lang) -> Result<(), Failure> {
    let obstacles = preview.map(|preview| preview.obstacles.as_slice()).unwrap_or_default();
    let Some(first) = obstacles.first() else { return Ok(()) };
    for obstacle in obstacles {
        note(&format!("{}: {}", lang.pick("hilft", "to lift it"), helper(obstacle, lang)));
    }
    let text = format!("{} {}", lang.pick("würde abgewiesen:", "would be refused:"), first.description);
    let code = if first.reason == "WRONG_STATE" { Code::FailedPrecondition } else { Code::ResourceExhausted };
    Err(Failure::read(Status::new(code, text)))
}

fn helper(obstacle: &Obstacle, lang: Lang) -> String {
    let german = match obstacle.reason.as_str() {
        "QUOTA_EXCEEDED" => {
            "die Genossenschaft erhöht den Anspruch durch Beschluss (Antrag: der Betreiber führt ihn aus), oder ein anderes Mitglied verleiht, was es nicht braucht"
        }
        "OVER_ENTITLEMENT" => {
            "zurückgeben, was über dem Anspruch liegt; über mehr entscheidet die Genossenschaft durch Beschluss"
        }
        "LOAN_RECALLED" => {
            "ohne das zurückgerufene Kontingent auskommen, oder die Genossenschaft erhöht den Anspruch durch Beschluss"
        }
        "BUDGET_EXCEEDED" => {
            "die Bewirtschaftungsbefugten des Mitglieds erhöhen das Budget oder genehmigen einen Antrag für diese Bestellung"
        }
        "WRONG_STATE" => {
            "den Zustand ändern: der Betreiber der Genossenschaft trägt die unterschriebene Vereinbarung zur Auftragsverarbeitung ein oder nimmt einen Austritt zurück"
        }
        _ => "",
    };
    let english = format!("{}: {}", obstacle.role, obstacle.remedy);
    let text = if german.is_empty() { english.as_str() } else { lang.pick(german, &english) };
    format!("{} ({})", text, obstacle.reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_can_lift_an_obstacle_is_told_in_the_language_of_the_caller() {
        let obstacle = |reason: &str| Obstacle {
            reason: reason.into(),
            description: "d".into(),
            role: "member approver".into(),
            remedy: "raises the budget".into(),
        };
        assert!(helper(&obstacle("BUDGET_EXCEEDED"), Lang::De).starts_with("die Bewirtschaftungsbefugten"));
        let english = helper(&obstacle("BUDGET_EXCEEDED"), Lang::En);
        assert_eq!(english, "member approver: raises the budget (BUDGET_EXCEEDED)");
        assert_eq!(helper(&obstacle("NEW"), Lang::De), "member approver: raises the budget (NEW)");
        assert!(none(Some(&Preview::default()), Lang::De).is_ok());
        let refused = Preview { obstacles: vec![obstacle("QUOTA_EXCEEDED")], ..Preview::default() };
        assert_eq!(none(Some(&refused), Lang::De).unwrap_err().exit_code(), 4);
    }
}
