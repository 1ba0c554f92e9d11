//! Rendered documents, outside etcd: write-once files in a directory (a volume; an `s3://` home is for later).

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tokio::{fs, io::AsyncWriteExt};

use crate::error::StoreError;

/// Documents by name, for example `2026-09/MPG-2026-000007.xml`.
#[derive(Debug, Clone)]
pub struct DocumentStore {
    root: PathBuf,
}

impl DocumentStore {
    /// Below this directory, which is made when it lacks.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn open(root: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(root).await.map_err(disk)?;
        Ok(Self { root: root.to_owned() })
    }

    /// Writes a document. The same content again is fine; other content under a taken name is refused: issued documents never change.
    ///
    /// # Errors
    /// When the name is no name, the disk refuses, or other content lies there.
    pub async fn put(&self, name: &str, content: &[u8]) -> Result<String, StoreError> {
        let path = self.path(name)?;
        let digest = sha256(content);
        if let Some(present) = self.get(name).await? {
            return if sha256(&present) == digest {
                Ok(digest)
            } else {
                Err(StoreError::Documents(format!("{name} is there with other content")))
            };
        }
        let folder = path.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder).await.map_err(disk)?;
        let temporary = folder.join(format!(".{}.partial", uuid::Uuid::new_v4()));
        let mut file = fs::File::create(&temporary).await.map_err(disk)?;
        file.write_all(content).await.map_err(disk)?;
        file.sync_all().await.map_err(disk)?;
        fs::rename(&temporary, &path).await.map_err(disk)?;
        fs::File::open(folder).await.map_err(disk)?.sync_all().await.map_err(disk)?;
        Ok(digest)
    }

    /// Reads a document.
    ///
    /// # Errors
    /// When the name is no name or the disk refuses.
    pub async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        match fs::read(self.path(name)?).await {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(disk(error)),
        }
    }

    /// Every part is of letters, digits, `-`, `_` and `.`, and begins with a letter or digit: no name leads out of the root.
    fn path(&self, name: &str) -> Result<PathBuf, StoreError> {
        let sound = |part: &str| {
            part.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        };
        if name.split('/').all(sound) {
            Ok(self.root.join(name))
        } else {
            Err(StoreError::Documents("no name of a document".to_owned()))
        }
    }
}

/// SHA-256 in hex.
pub fn sha256(content: &[u8]) -> String {
    hex::encode(Sha256::digest(content))
}

fn disk(error: std::io::Error) -> StoreError {
    StoreError::Documents(error.kind().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_document_is_written_once_and_never_changed() {
        let folder = tempfile::tempdir().unwrap();
        let store = DocumentStore::open(folder.path()).await.unwrap();
        let first = store.put("2026-09/a.xml", b"one").await.unwrap();
        assert_eq!(store.put("2026-09/a.xml", b"one").await.unwrap(), first);
        assert!(store.put("2026-09/a.xml", b"two").await.is_err());
        assert_eq!(store.get("2026-09/a.xml").await.unwrap().unwrap(), b"one");
        assert!(store.get("2026-09/b.xml").await.unwrap().is_none());
    }

    #[tokio::test]
    async fn no_name_leads_out_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let store = DocumentStore::open(folder.path()).await.unwrap();
        for name in ["../x", "a/../../x", "/etc/passwd", "", "a//b", ".hidden", "a\0b"] {
            assert!(store.put(name, b"x").await.is_err(), "{name}");
        }
    }
}
