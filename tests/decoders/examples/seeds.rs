//! Writes the seeds of every target as files, one folder a target, for libFuzzer: `cargo run -p allmende-decoders --example seeds -- FOLDER`.

use std::{env, fs, io, path::PathBuf};

use allmende_decoders::TARGETS;

fn main() -> io::Result<()> {
    let folder = env::args_os().nth(1).map(PathBuf::from).ok_or_else(|| io::Error::other("which folder?"))?;
    for target in TARGETS {
        let folder = folder.join(target.name);
        fs::create_dir_all(&folder)?;
        for (number, bytes) in (target.seeds)().into_iter().enumerate() {
            fs::write(folder.join(format!("seed-{number}")), bytes)?;
        }
    }
    Ok(())
}
