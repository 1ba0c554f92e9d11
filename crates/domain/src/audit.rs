//! Who did what: written in the transaction of the change, unchained; a sealer chains later.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{MemberId, RequestId};

/// One accepted change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// Identity text of the actor.
    pub actor: String,
    /// The right by which it was allowed.
    pub role: String,
    /// In place of another ("i. V.").
    pub deputy: bool,
    /// The member it was done for; none for the cooperative's own data.
    pub member: Option<MemberId>,
    /// The RPC.
    pub action: String,
    /// The resource.
    pub target: String,
    /// Under which request id.
    pub request_id: RequestId,
    /// What the actor gave as reason; may be empty.
    pub reason: String,
    /// What changed, for people, without secrets.
    pub summary: String,
}
