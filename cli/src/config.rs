//! The configuration file: named contexts. Holds paths and names, never a secret.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// One installation, seen by one caller.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Context {
    /// `https://host:port`.
    pub(crate) endpoint: String,
    /// Authorities of the server, PEM.
    pub(crate) ca: PathBuf,
    /// Own certificate chain, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cert: Option<PathBuf>,
    /// Its key, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<PathBuf>,
    /// OpenID provider to sign in at: its issuer, `https://…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) issuer: Option<String>,
    /// Who this program is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) client_id: Option<String>,
    /// What is asked for there; none: `openid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) scope: Option<String>,
    /// Authorities of the provider, PEM; none: those of the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) issuer_ca: Option<PathBuf>,
    /// The member to act for unless said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) member: Option<String>,
    /// The member's kubeconfig, for credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) kubeconfig: Option<PathBuf>,
}

/// The file's content.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// The context in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<String>,
    #[serde(default)]
    pub(crate) contexts: BTreeMap<String, Context>,
}

/// Where the file lies.
pub(crate) fn path() -> Result<PathBuf, Failure> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("ALLMENDE_CONFIG")
        .or_else(|| variable("XDG_CONFIG_HOME").map(|home| home.join("allmende/config.toml")))
        .or_else(|| variable("HOME").map(|home| home.join(".config/allmende/config.toml")))
        .ok_or_else(|| {
            Failure::Usage("no place for the configuration: set ALLMENDE_CONFIG or HOME".to_owned())
        })
}

impl Config {
    /// Reads the file; one that does not exist is empty.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Failure::file(path, &error)),
        };
        toml::from_str(&text).map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))
    }

    /// Writes the file, whole or not at all.
    pub(crate) fn write(&self, path: &Path) -> Result<(), Failure> {
        let text = toml::to_string(self).map_err(|error| Failure::Local(error.to_string()))?;
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| Failure::file(folder, &error))?;
        }
        let beside = path.with_extension("toml.new");
        std::fs::write(&beside, text).map_err(|error| Failure::file(&beside, &error))?;
        std::fs::rename(&beside, path).map_err(|error| Failure::file(path, &error))
    }

    /// The context named, or the current one.
    pub(crate) fn context(&self, named: Option<&str>) -> Result<(&str, &Context), Failure> {
        let Some(wanted) = named.or(self.current.as_deref()) else {
            return Err(Failure::Usage(
                "no context is in use: make one with `allmende context add NAME --endpoint … --ca …`, \
                 or choose one with `allmende context use NAME`"
                    .to_owned(),
            ));
        };
        self.contexts.get_key_value(wanted).map(|(name, context)| (name.as_str(), context)).ok_or_else(|| {
            let known: Vec<&str> = self.contexts.keys().map(String::as_str).collect();
            Failure::Usage(format!("there is no context `{wanted}`; there are: {}", known.join(", ")))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_a_file_that_lacks_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deeper/config.toml");
        assert_eq!(Config::read(&path).unwrap(), Config::default());
        let mut config = Config { current: Some("local".into()), ..Config::default() };
        let context =
            Context { endpoint: "https://127.0.0.1:7443".into(), ca: "/ca.crt".into(), ..Context::default() };
        config.contexts.insert("local".into(), context.clone());
        config.write(&path).unwrap();
        let read = Config::read(&path).unwrap();
        assert_eq!(read, config);
        assert_eq!(read.context(None).unwrap(), ("local", &context));
        assert!(read.context(Some("other")).is_err());
        assert!(Config::default().context(None).is_err());
    }

    #[test]
    fn a_misspelt_setting_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, "[contexts.a]\nendpoint = \"https://a\"\nca = \"/ca\"\ncertificate = \"/c\"\n")
            .unwrap();
        let failure = Config::read(&path).unwrap_err();
        assert!(failure.to_string().contains("certificate"), "{failure}");
    }
}
