//! Writes the definitions into the chart `allmende-crds`.

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os().nth(1).map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../charts/allmende-crds/templates"),
        PathBuf::from,
    );
    std::fs::create_dir_all(&folder)?;
    for file in allmende_crds::crd_files()? {
        std::fs::write(folder.join(file.name), file.text)?;
    }
    Ok(())
}
