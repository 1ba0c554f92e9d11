//! What the cooperative decides together about its pool: who must agree, how the pool is divided, what is lent.

pub mod approval;
