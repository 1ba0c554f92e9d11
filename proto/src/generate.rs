//! Makes `src/generated/` from `allmende/v1/*.proto`. Run by `make gen`; CI fails when the committed files differ.
//!
//! protox compiles the protos in Rust, so no `protoc` is needed to build this crate or those that use it.

use std::{error::Error, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let out = root.join("src/generated");
    fs::create_dir_all(&out)?;

    let mut files: Vec<_> = fs::read_dir(root.join("allmende/v1"))?
        .map(|entry| entry.map(|e| e.path()))
        .collect::<Result<_, _>>()?;
    files.retain(|path| path.extension().is_some_and(|e| e == "proto"));
    files.sort();

    let mut compiler = protox::Compiler::new([root])?;
    compiler.include_imports(true).include_source_info(true).open_files(&files)?;
    let with_comments = compiler.file_descriptor_set();

    tonic_prost_build::configure()
        .build_client(true)
        .build_server(true)
        .btree_map(".")
        .out_dir(&out)
        .compile_fds(with_comments.clone())?;

    // The descriptor set is for reflection and for tests over all methods; comments would only make it large.
    let mut bare = with_comments;
    for file in &mut bare.file {
        file.source_code_info = None;
    }
    fs::write(out.join("descriptors.bin"), prost::Message::encode_to_vec(&bare))?;
    Ok(())
}
