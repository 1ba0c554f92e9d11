//! Ports for programs that must be told theirs before they start.

use std::{
    fs::File,
    net::TcpListener,
    path::PathBuf,
    sync::Mutex,
    sync::atomic::{AtomicU16, Ordering},
};

/// Below the range from which Linux takes the ports of outgoing connections (32768 and up) and below node ports: what is free here
/// now, is still free when the program binds it, unless another test takes it; against that stand the lock files.
const RANGE: std::ops::Range<u16> = 20_000..30_000;

/// Locks of the ports that this process gave out: held until it ends.
static HELD: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// Where the search goes on, counted from a place of this process's own.
static NEXT: AtomicU16 = AtomicU16::new(0);

/// A port on loopback that no one listens on, kept from all other tests of this machine until this process ends.
///
/// # Panics
/// When none of the range is free, or the lock files cannot be written.
pub fn free_port() -> u16 {
    let folder = std::env::temp_dir().join("allmende-test-ports");
    std::fs::create_dir_all(&folder).expect("a folder for the locks of ports");
    let span = u32::from(RANGE.end - RANGE.start);
    let own = std::process::id().wrapping_mul(37) % span;
    for _ in RANGE {
        let step = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let offset = u16::try_from((own + step) % span).expect("less than the range");
        let port = RANGE.start + offset;
        if let Some(lock) = lock(folder.join(port.to_string()))
            && TcpListener::bind(("127.0.0.1", port)).is_ok()
        {
            HELD.lock().expect("the held ports").push(lock);
            return port;
        }
    }
    panic!("no port of {RANGE:?} is free on loopback");
}

/// The file, locked by this process; nothing when another one has it.
fn lock(path: PathBuf) -> Option<File> {
    let file = File::options().create(true).append(true).open(path).expect("a lock file of a port");
    file.try_lock().is_ok().then_some(file)
}

#[cfg(test)]
mod tests {
    use super::{RANGE, free_port};

    #[test]
    fn no_port_is_given_twice_and_none_is_one_of_outgoing_connections() {
        let mut ports: Vec<u16> = (0..100).map(|_| free_port()).collect();
        assert!(ports.iter().all(|port| RANGE.contains(port)));
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 100);
    }
}
