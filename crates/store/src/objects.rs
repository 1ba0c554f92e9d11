//! What is written once and never changed, outside etcd: documents of invoices, cuts of periods, sealed segments of the audit.
//!
//! `file:///folder` is a folder of a volume. The library also knows `s3://`, which needs nothing here but its feature and a test.

use std::{path::Path, sync::Arc};

use object_store::{
    Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, local::LocalFileSystem,
    path::Path as Name,
};
use sha2::{Digest, Sha256};
use tokio::fs;

use crate::error::StoreError;

const FILE: &str = "file://";

/// Objects by name, for example `2026-09/MPG-2026-000007.xml`.
#[derive(Debug, Clone)]
pub struct DocumentStore {
    inner: Arc<dyn ObjectStore>,
}

impl DocumentStore {
    /// By its address.
    ///
    /// # Errors
    /// When the address is none that this program knows, or the folder cannot be made.
    pub async fn at(address: &str) -> Result<Self, StoreError> {
        match address.strip_prefix(FILE) {
            Some(folder) if folder.starts_with('/') => Self::open(Path::new(folder)).await,
            _ => Err(StoreError::Documents(format!(
                "{address} is no address such as file:///var/lib/allmende"
            ))),
        }
    }

    /// Below this directory, which is made when it lacks.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn open(root: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(root).await.map_err(|error| StoreError::Documents(error.kind().to_string()))?;
        // Written is only what also survives that the machine loses its power.
        let files = LocalFileSystem::new_with_prefix(root).map_err(refused)?.with_fsync(true);
        Ok(Self { inner: Arc::new(files) })
    }

    /// Writes an object and tells its digest. The same content again is fine; other content under a taken name is refused: what is written
    /// never changes.
    ///
    /// # Errors
    /// When the name is no name, the store refuses, or other content lies there.
    pub async fn put(&self, name: &str, content: &[u8]) -> Result<String, StoreError> {
        let (place, digest) = (sound(name)?, sha256(content));
        let once = PutOptions::from(PutMode::Create);
        match self.inner.put_opts(&place, PutPayload::from(content.to_vec()), once).await {
            Ok(_) => Ok(digest),
            Err(Error::AlreadyExists { .. }) => match self.get(name).await? {
                Some(present) if sha256(&present) == digest => Ok(digest),
                _ => Err(StoreError::Documents(format!("{name} is there with other content"))),
            },
            Err(error) => Err(refused(error)),
        }
    }

    /// Reads an object.
    ///
    /// # Errors
    /// When the name is no name or the store refuses.
    pub async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let found = match self.inner.get(&sound(name)?).await {
            Ok(found) => found,
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(refused(error)),
        };
        found.bytes().await.map(|bytes| Some(bytes.to_vec())).map_err(refused)
    }
}

/// Every part is of letters, digits, `-`, `_` and `.`, and begins with a letter or digit: no name leads out of the root.
fn sound(name: &str) -> Result<Name, StoreError> {
    let sound = |part: &str| {
        part.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    let no_name = || StoreError::Documents("no name of a document".to_owned());
    if !name.split('/').all(sound) {
        return Err(no_name());
    }
    Name::parse(name).map_err(|_| no_name())
}

/// SHA-256 in hex.
pub fn sha256(content: &[u8]) -> String {
    hex::encode(Sha256::digest(content))
}

fn refused(error: Error) -> StoreError {
    StoreError::Documents(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_document_is_written_once_and_never_changed() {
        let folder = tempfile::tempdir().unwrap();
        let store = DocumentStore::at(&format!("file://{}", folder.path().display())).await.unwrap();
        let first = store.put("2026-09/a.xml", b"one").await.unwrap();
        assert_eq!(store.put("2026-09/a.xml", b"one").await.unwrap(), first);
        assert!(store.put("2026-09/a.xml", b"two").await.is_err());
        assert_eq!(store.get("2026-09/a.xml").await.unwrap().unwrap(), b"one");
        assert!(store.get("2026-09/b.xml").await.unwrap().is_none());
        let file = folder.path().join("2026-09/a.xml");
        assert_eq!(std::fs::read(file).unwrap(), b"one", "it lies under its own name, for people too");
    }

    #[tokio::test]
    async fn of_many_who_write_one_name_at_once_one_wins_and_the_others_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let store = DocumentStore::open(folder.path()).await.unwrap();
        let all = (0..8u8).map(|number| {
            let store = store.clone();
            tokio::spawn(async move { store.put("a/b", &[number]).await.is_ok() })
        });
        let mut won = 0;
        for task in all.collect::<Vec<_>>() {
            won += u8::from(task.await.unwrap());
        }
        assert_eq!(won, 1);
        assert_eq!(std::fs::read_dir(folder.path().join("a")).unwrap().count(), 1, "nothing half is left");
    }

    #[tokio::test]
    async fn no_name_leads_out_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let store = DocumentStore::open(folder.path()).await.unwrap();
        for name in ["../x", "a/../../x", "/etc/passwd", "", "a//b", ".hidden", "a\0b"] {
            assert!(store.put(name, b"x").await.is_err(), "{name}");
        }
    }

    #[tokio::test]
    async fn an_address_that_is_none_is_told() {
        for address in ["", "/folder", "file://folder", "s3://bucket", "https://x"] {
            let error = DocumentStore::at(address).await.unwrap_err().to_string();
            assert!(error.contains("file:///"), "{error}");
        }
    }
}
