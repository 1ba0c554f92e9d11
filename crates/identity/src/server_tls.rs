//! The server's certificates, authorities and revocation list, read from files and read again without dropping a call.
//!
//! New handshakes use the newest rules; connections that live are judged by them too, and cut when they would be refused now.

use std::{
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use rustls_pki_types::UnixTime;
use thiserror::Error;

use crate::{
    acceptor::HandshakeCounts,
    bars::Bars,
    expiry::Expiry,
    live::{Live, Place},
    material::{Material, ServerTlsPaths},
    peer::PeerCertificate,
    rules::{Cut, Rules, provider},
};

/// TLS cannot be set up; names the file, never its content.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct TlsError(pub(crate) String);

/// See the module. Clones share everything.
#[derive(Debug, Clone)]
pub struct ServerTls {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    paths: ServerTlsPaths,
    rules: RwLock<Arc<Rules>>,
    /// Also the lock of every change of the rules.
    present: Mutex<Present>,
    live: Arc<Live>,
    handshakes: Arc<HandshakeCounts>,
    reloads_failed: AtomicU64,
    failing: AtomicBool,
}

#[derive(Debug)]
struct Present {
    material: Material,
    bars: Arc<Bars>,
    /// Digest of the files just before they were read: a change between that and the first look is a change.
    digest: u64,
}

/// Seconds since 1970, from the clock that handshakes go by.
fn now() -> i64 {
    i64::try_from(UnixTime::now().as_secs()).unwrap_or(i64::MAX)
}

impl ServerTls {
    /// Reads the files.
    ///
    /// # Errors
    /// When a file lacks or does not fit.
    pub fn load(paths: ServerTlsPaths) -> Result<Self, TlsError> {
        let digest = paths.digest();
        let material = Material::read(&paths, &provider())?;
        let bars = Arc::new(Bars::new());
        let rules = RwLock::new(Arc::new(Rules::of(&material, Arc::clone(&bars))?));
        let shared = Shared {
            paths,
            rules,
            present: Mutex::new(Present { material, bars, digest }),
            live: Arc::default(),
            handshakes: Arc::default(),
            reloads_failed: AtomicU64::new(0),
            failing: AtomicBool::new(false),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// What the next connection uses.
    pub fn current(&self) -> Arc<Rules> {
        Arc::clone(&self.shared.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the files again. Each part (own certificate with key, authorities, revocation lists) that cannot be used stays as it was.
    /// Connections that the new rules would refuse are cut.
    ///
    /// # Errors
    /// When a file lacks or does not fit; the other parts are renewed nevertheless.
    pub fn reload(&self) -> Result<(), TlsError> {
        let outcome = self.renew();
        self.shared.failing.store(outcome.is_err(), Ordering::Relaxed);
        if outcome.is_err() {
            self.shared.reloads_failed.fetch_add(1, Ordering::Relaxed);
        }
        self.sift();
        outcome
    }

    fn renew(&self) -> Result<(), TlsError> {
        let mut present = self.shared.present.lock().unwrap_or_else(PoisonError::into_inner);
        let digest = self.shared.paths.digest();
        let (material, errors) = present.material.renewed(&self.shared.paths, &provider());
        self.set(Rules::of(&material, Arc::clone(&present.bars))?);
        (present.material, present.digest) = (material, digest);
        if errors.is_empty() {
            return Ok(());
        }
        Err(TlsError(errors.into_iter().map(|error| error.0).collect::<Vec<_>>().join("; ")))
    }

    /// From now on these bars hold, and connections that they refuse are cut. Replaces what was barred before.
    ///
    /// # Errors
    /// When the present files no longer make a configuration; nothing has changed then.
    pub fn bar(&self, bars: Bars) -> Result<(), TlsError> {
        let mut present = self.shared.present.lock().unwrap_or_else(PoisonError::into_inner);
        let bars = Arc::new(bars);
        self.set(Rules::of(&present.material, Arc::clone(&bars))?);
        let earlier = std::mem::replace(&mut present.bars, Arc::clone(&bars));
        drop(present);
        let (rules, now) = (self.current(), now());
        self.shared.live.sift(|peer| {
            let turned = || bars.turn(&earlier, &peer.identity).then_some(Cut::Barred);
            rules.judge(peer, now).err().or_else(turned)
        });
        Ok(())
    }

    /// Whether these are the bars that hold.
    pub fn bars(&self, bars: &Bars) -> bool {
        *self.shared.present.lock().unwrap_or_else(PoisonError::into_inner).bars == *bars
    }

    fn set(&self, rules: Rules) {
        *self.shared.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }

    fn sift(&self) {
        let (rules, now) = (self.current(), now());
        self.shared.live.sift(|peer| rules.judge(peer, now).err());
    }

    /// Admits a peer whose handshake was made by `used`: gives it a place among the living, unless the rules that hold now refuse it.
    pub(crate) fn admit(&self, peer: Option<Arc<PeerCertificate>>, used: &Arc<Rules>) -> Result<Place, Cut> {
        let place = self.shared.live.enter(peer.clone());
        // In this order: whoever changes the rules after this look finds the place.
        let rules = self.current();
        let Some(peer) = peer else { return Ok(place) };
        let judged_by_handshake = Arc::ptr_eq(&rules, used) && rules.bars_nobody();
        if !judged_by_handshake && let Err(cut) = rules.judge(&peer, now()) {
            self.shared.live.end(&peer, &place.cut, cut);
            return Err(cut);
        }
        Ok(place)
    }

    /// Reloads whenever a file has changed, and cuts connections whose time is over; looks every `interval`. Ends with the task it runs in.
    pub async fn watch_files(self, interval: Duration) {
        let mut told = None;
        let mut lists_were_current = true;
        loop {
            tokio::time::sleep(interval).await;
            let tls = self.clone();
            // Reads files and verifies signatures: not on a thread that serves calls.
            let look = tokio::task::spawn_blocking(move || tls.look(lists_were_current)).await;
            let Ok(Looked { changed, lists_current, outcome }) = look else { continue };
            lists_were_current = lists_current;
            match outcome {
                None => {}
                Some(Ok(())) => tracing::info!("certificates were read again"),
                // Half-written files: the old ones serve on, and the next look tries again.
                Some(Err(error)) if told != Some(changed) => {
                    told = Some(changed);
                    tracing::warn!(%error, "changed certificates cannot be used; the old ones stay in use");
                }
                Some(Err(_)) => {}
            }
        }
    }

    fn look(&self, lists_were_current: bool) -> Looked {
        let digest = self.shared.paths.digest();
        let seen = self.shared.present.lock().unwrap_or_else(PoisonError::into_inner).digest;
        let changed = digest != seen || self.shared.failing.load(Ordering::Relaxed);
        let outcome = changed.then(|| self.reload());
        let (rules, now) = (self.current(), now());
        let lists_current = rules.lists_end().is_none_or(|end| now <= end);
        if lists_were_current && !lists_current {
            tracing::error!(
                "a revocation list is outdated: nobody with a certificate is admitted until there is a new one"
            );
            self.sift();
        } else {
            self.shared.live.sift(|peer| rules.outlived(peer, now));
        }
        Looked { changed: digest, lists_current, outcome }
    }

    /// How handshakes ended so far.
    pub fn handshakes(&self) -> Arc<HandshakeCounts> {
        Arc::clone(&self.shared.handshakes)
    }

    /// Connections that live now.
    pub fn connections(&self) -> usize {
        self.shared.live.count()
    }

    /// Connections cut so far, by reason.
    pub fn cuts(&self, cut: Cut) -> u64 {
        self.shared.live.cuts(cut)
    }

    /// Reloads that failed so far, and whether the last one did.
    pub fn reloads_failed(&self) -> (u64, bool) {
        (self.shared.reloads_failed.load(Ordering::Relaxed), self.shared.failing.load(Ordering::Relaxed))
    }

    /// When the parts in use end.
    pub fn expiries(&self) -> Vec<Expiry> {
        self.shared.present.lock().unwrap_or_else(PoisonError::into_inner).material.expiries.all()
    }
}

struct Looked {
    /// Digest of what was tried.
    changed: u64,
    lists_current: bool,
    outcome: Option<Result<(), TlsError>>,
}
