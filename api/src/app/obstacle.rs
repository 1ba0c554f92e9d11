//! Everything that stands in the way of an order, not only the first: a preview tells all of it with who could lift it, the real call is
//! refused for all of it at once.

use serde::{Deserialize, Serialize};

use crate::{
    error::AppError,
    status::{public_text, reason_of},
};

/// One thing for which an order is refused, as a preview tells it. Kept in the receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Obstacle {
    /// As the reason of the refusal: `QUOTA_EXCEEDED`.
    pub reason: String,
    /// In words, with the numbers.
    pub description: String,
    /// Role of who can lift it.
    pub role: String,
    /// What that person does.
    pub remedy: String,
}

/// Collects refusals while a change is decided.
#[derive(Debug, Default)]
pub struct Obstacles {
    found: Vec<AppError>,
}

impl Obstacles {
    /// Takes the outcome of one check: the value, or nothing where the order is refused for it. What else goes wrong ends the call.
    ///
    /// # Errors
    /// Everything that is no refusal of an order: wrong fields, missing rights, the store.
    pub fn note<T>(&mut self, outcome: Result<T, AppError>) -> Result<Option<T>, AppError> {
        match outcome {
            Ok(value) => Ok(Some(value)),
            Err(error) if remedy(&error).is_some() => {
                self.found.push(error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Ends the checks: what was found, for a preview.
    ///
    /// # Errors
    /// The refusal, when it is no preview and something was found.
    pub fn end(mut self, is_preview: bool) -> Result<Vec<Obstacle>, AppError> {
        if is_preview {
            return Ok(self.found.iter().filter_map(obstacle).collect());
        }
        match self.found.len() {
            0 => Ok(Vec::new()),
            1 => Err(self.found.remove(0)),
            _ => Err(AppError::Several(self.found)),
        }
    }
}

fn obstacle(error: &AppError) -> Option<Obstacle> {
    let (role, remedy) = remedy(error)?;
    Some(Obstacle {
        reason: reason_of(error),
        description: public_text(error),
        role: role.to_owned(),
        remedy: remedy.to_owned(),
    })
}

/// Who can lift it, and how. `None` for what is no refusal of an order.
fn remedy(error: &AppError) -> Option<(&'static str, &'static str)> {
    Some(match error {
        AppError::QuotaExceeded { .. } => (
            "cooperative operator",
            "raises the entitlement by a resolution of the cooperative (an approved request), or another member lends what it does not use",
        ),
        AppError::QuotaBarred { .. } => {
            ("member orderer", "gives back what is not needed; the cooperative's operator decides about more")
        }
        AppError::BudgetExceeded { .. } => (
            "member approver",
            "raises the budget (the holder of the budget, with the number of the resolution), or approves a request that carries the order",
        ),
        AppError::WrongState { .. } => (
            "cooperative operator",
            "changes the state that hinders: has the processing agreement signed, takes back a departure, announces a price list",
        ),
        _ => return None,
    })
}
