//! Kills one victim at its moment, and starts it again.

use std::fmt;

use crate::{
    admission::{Write, Writer},
    call::Moment,
    gate::Lost,
    process::{helm_of, signal},
    seed::Draw,
    wait::until,
    world::World,
};

/// How much work each victim did in the undisturbed story: what moments are drawn from.
#[derive(Debug, Clone, Copy, Default)]
pub struct Work {
    /// Changes that clients asked for.
    pub calls: u64,
    /// The operator's writes to the cluster.
    pub operator_writes: u64,
    /// Helm's writes to the cluster.
    pub helm_writes: u64,
    /// The billing worker's requests to etcd for one month.
    pub billing_requests: u64,
}

/// Who is killed, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The API, during a call.
    Api(Moment),
    /// The operator at one of its writes: before it was done, or after and before it knew.
    Operator {
        /// Which, from 1.
        write: u64,
        /// Whether it was done.
        done: bool,
    },
    /// Helm at one of its writes.
    Helm {
        /// Which, from 1.
        write: u64,
        /// Whether it was done.
        done: bool,
    },
    /// The billing worker at one of its requests to etcd.
    Billing {
        /// Which, from 1, since the run was asked for.
        request: u64,
        /// Which half of it is lost.
        lost: Lost,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let half = |done: &bool| if *done { "after it was done" } else { "before it was done" };
        match self {
            Self::Api(moment) => write!(
                f,
                "the API in call {} at its request {} to etcd ({:?} lost)",
                moment.call, moment.request, moment.lost
            ),
            Self::Operator { write, done } => write!(f, "the operator at its write {write}, {}", half(done)),
            Self::Helm { write, done } => write!(f, "Helm at its write {write}, {}", half(done)),
            Self::Billing { request, lost } => {
                write!(f, "the billing worker at its request {request} to etcd ({lost:?} lost)")
            }
        }
    }
}

impl Fault {
    /// Draws a moment of the API.
    pub fn api(seed: u64, work: Work) -> Self {
        let mut draw = Draw::new(seed, "api");
        // Every change takes two requests at least: how far the store is, and the transaction.
        let (call, request) = (draw.from_one_to(work.calls), draw.from_one_to(3));
        Self::Api(Moment { call, request, lost: lost(&mut draw) })
    }

    /// Draws a moment of the operator.
    pub fn operator(seed: u64, work: Work) -> Self {
        let mut draw = Draw::new(seed, "operator");
        Self::Operator { write: draw.from_one_to(work.operator_writes), done: draw.either() }
    }

    /// Draws a moment of Helm.
    pub fn helm(seed: u64, work: Work) -> Self {
        let mut draw = Draw::new(seed, "helm");
        Self::Helm { write: draw.from_one_to(work.helm_writes), done: draw.either() }
    }

    /// Draws a moment of the billing worker.
    pub fn billing(seed: u64, work: Work) -> Self {
        let mut draw = Draw::new(seed, "billing");
        Self::Billing { request: draw.from_one_to(work.billing_requests), lost: lost(&mut draw) }
    }
}

fn lost(draw: &mut Draw) -> Lost {
    if draw.either() { Lost::Request } else { Lost::Answer }
}

/// Waits for the moment, kills the victim there, and starts it again. Comes back with what it was at.
///
/// # Panics
/// When the victim did not run at its moment.
pub async fn strike(world: &World, fault: Fault) -> String {
    match fault {
        Fault::Api(_) => {
            world.api_gate.held().await;
            let mut api = world.api.lock().await;
            api.kill();
            world.api_gate.open();
            api.start_again();
            "the API was at a request to etcd".to_owned()
        }
        Fault::Billing { .. } => {
            world.billing_gate.held().await;
            let mut billing = world.billing.lock().await;
            billing.kill();
            world.billing_gate.open();
            billing.start_again();
            "the billing worker was at a request to etcd".to_owned()
        }
        Fault::Operator { done, .. } => {
            let write = world.admission.held().await;
            let mut operator = world.operator.lock().await;
            assert!(operator.is_alive(), "{}", operator.last_lines());
            if done {
                finish(world, operator.pid(), &write).await;
            }
            operator.kill();
            world.admission.decide(false);
            operator.start_again();
            told(&write)
        }
        Fault::Helm { done, .. } => {
            let write = world.admission.held().await;
            let operator = world.operator.lock().await.pid();
            let helm = helm_of(operator, &write.namespace).expect("a Helm that waits for its write");
            if done {
                finish(world, helm, &write).await;
            }
            // By its own id: the operator lives on and has to notice.
            signal("KILL", &helm.to_string());
            world.admission.decide(false);
            told(&write)
        }
    }
}

fn told(write: &Write) -> String {
    let whose = match write.writer {
        Writer::Operator => "the operator",
        Writer::Helm => "Helm",
    };
    let place = if write.namespace.is_empty() { String::new() } else { format!("{}/", write.namespace) };
    format!("{whose} was at {} of {} {place}{}", write.operation, write.resource, write.name)
}

/// Stops the process and lets the write be done: it will never read the answer.
async fn finish(world: &World, process: u32, write: &Write) {
    let answers = |world: &World| {
        let same = |entry: &&allmende_testkit::kubernetes::AuditEntry| {
            (&entry.resource, &entry.name) == (&write.resource, &write.name)
                && !matches!(entry.verb.as_str(), "get" | "list" | "watch")
        };
        world.kubernetes.audit().iter().filter(same).count()
    };
    let before = answers(world);
    signal("STOP", &process.to_string());
    world.admission.decide(true);
    until("the held write is answered", async || (answers(world) > before).then_some(())).await;
}
