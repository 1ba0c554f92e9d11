//! The default storage class: is there one, and are its volumes encrypted where they rest?

use k8s_openapi::api::storage::v1::StorageClass;
use kube::ResourceExt;

use super::report::Verdict;

/// Marks the default.
const DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";
/// An administrator's word, where no parameter tells: storage arrays and disks that encrypt below Kubernetes.
const OWN_WORD: &str = "allmende.eu/encrypted";
/// Drivers whose volumes the platform always encrypts: Google's disks
/// (<https://cloud.google.com/docs/security/encryption/default-encryption>), Azure's disks and files
/// (<https://learn.microsoft.com/azure/storage/common/storage-service-encryption>).
const ALWAYS: &[&str] =
    &["pd.csi.storage.gke.io", "disk.csi.azure.com", "file.csi.azure.com", "filestore.csi.storage.gke.io"];

/// The default class, and whether it is encrypted.
pub fn judge(classes: &[StorageClass]) -> (Verdict, Verdict) {
    let defaults: Vec<&StorageClass> =
        classes.iter().filter(|class| annotation(class, DEFAULT) == Some("true")).collect();
    let names: Vec<String> = defaults.iter().map(|class| class.name_any()).collect();
    match defaults.as_slice() {
        [] => (
            Verdict::failed(
                "no storage class is the default: services with volumes would wait for ever",
                format!("mark one: kubectl annotate storageclass NAME {DEFAULT}=true"),
            ),
            Verdict::not_proven("there is no default storage class", "see the check above"),
        ),
        [one] => (Verdict::passed(names.concat()), encryption(one)),
        several => (
            Verdict::warning(
                format!("several are marked ({}): the newest one counts", names.join(", ")),
                format!("leave one: kubectl annotate storageclass NAME {DEFAULT}-"),
            ),
            worst(several),
        ),
    }
}

/// Which one is taken depends on their age: the least good one counts.
fn worst(classes: &[&StorageClass]) -> Verdict {
    let verdicts = classes.iter().map(|class| encryption(class));
    verdicts.max_by_key(|verdict| verdict.state).unwrap_or_else(|| Verdict::not_proven("no class", ""))
}

fn encryption(class: &StorageClass) -> Verdict {
    let name = class.name_any();
    let driver = class.provisioner.as_str();
    let own_word = format!(
        "set the driver's parameter for encryption; where disks are encrypted below Kubernetes, say so: \
         kubectl annotate storageclass {name} {OWN_WORD}=true"
    );
    if annotation(class, OWN_WORD) == Some("true") {
        return Verdict::passed(format!("{name}: an administrator says so ({OWN_WORD})"));
    }
    if ALWAYS.contains(&driver) {
        return Verdict::passed(format!("{name}: {driver} always encrypts"));
    }
    match parameter(class) {
        Some(found) if found.encrypts => Verdict::passed(format!("{name}: {}", found.text)),
        Some(found) => Verdict::failed(format!("{name}: {}", found.text), own_word),
        None => Verdict::not_proven(
            format!("{name}: nothing on the class tells whether {driver} encrypts"),
            own_word,
        ),
    }
}

struct Parameter {
    encrypts: bool,
    text: String,
}

/// What the usual drivers call it: `encrypted` (EBS, Ceph RBD and CephFS, Longhorn, EFS, Scaleway), `secure` (Portworx),
/// `…/luks-encrypted` (DigitalOcean), a `layerList` with LUKS (LINSTOR).
fn parameter(class: &StorageClass) -> Option<Parameter> {
    let parameters = class.parameters.as_ref()?;
    parameters.iter().find_map(|(key, value)| {
        let short = key.rsplit('/').next().unwrap_or(key).to_ascii_lowercase();
        let value_text = value.to_ascii_lowercase();
        let encrypts = match short.as_str() {
            "encrypted" | "secure" | "luks-encrypted" => value_text == "true",
            "layerlist" if value_text.contains("luks") => true,
            _ => return None,
        };
        Some(Parameter { encrypts, text: format!("{key}={value}") })
    })
}

fn annotation<'a>(class: &'a StorageClass, key: &str) -> Option<&'a str> {
    class.annotations().get(key).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::report::State, *};

    fn class(name: &str, driver: &str, default: bool, parameters: &[(&str, &str)]) -> StorageClass {
        let parameters: std::collections::BTreeMap<_, _> = parameters.iter().copied().collect();
        serde_json::from_value(json!({
            "metadata": { "name": name, "annotations": { DEFAULT: default.to_string() } },
            "provisioner": driver,
            "parameters": parameters,
        }))
        .unwrap()
    }

    fn states(classes: &[StorageClass]) -> (State, State) {
        let (default, encrypted) = judge(classes);
        (default.state, encrypted.state)
    }

    #[test]
    fn a_cluster_needs_one_default_class() {
        assert_eq!(states(&[]), (State::Failed, State::NotProven));
        let plain = class("a", "ebs.csi.aws.com", false, &[("encrypted", "true")]);
        assert_eq!(states(std::slice::from_ref(&plain)), (State::Failed, State::NotProven));
        let encrypted = class("b", "ebs.csi.aws.com", true, &[("encrypted", "true")]);
        assert_eq!(states(&[plain, encrypted.clone()]), (State::Passed, State::Passed));
        let unknown = class("c", "nfs.csi.k8s.io", true, &[("server", "x")]);
        assert_eq!(states(&[encrypted, unknown]), (State::Warning, State::NotProven));
    }

    #[test]
    fn encryption_is_read_as_the_usual_drivers_write_it() {
        let encryption =
            |driver, parameters: &[(&str, &str)]| states(&[class("a", driver, true, parameters)]).1;
        assert_eq!(encryption("rbd.csi.ceph.com", &[("encrypted", "true"), ("pool", "x")]), State::Passed);
        assert_eq!(encryption("ebs.csi.aws.com", &[("encrypted", "false")]), State::Failed);
        assert_eq!(encryption("ebs.csi.aws.com", &[("type", "gp3")]), State::NotProven);
        assert_eq!(encryption("pd.csi.storage.gke.io", &[]), State::Passed);
        assert_eq!(encryption("pxd.portworx.com", &[("secure", "true")]), State::Passed);
        let linstor = [("linstor.csi.linbit.com/layerList", "drbd luks storage")];
        assert_eq!(encryption("linstor.csi.linbit.com", &linstor), State::Passed);
        assert_eq!(encryption("dobs.csi.digitalocean.com", &[("x/luks-encrypted", "true")]), State::Passed);
    }

    #[test]
    fn an_administrators_word_counts_where_nothing_else_tells() {
        let mut own = class("a", "local.example/folder", true, &[]);
        assert_eq!(judge(std::slice::from_ref(&own)).1.state, State::NotProven);
        own.annotations_mut().insert(OWN_WORD.into(), "true".into());
        assert_eq!(judge(&[own]).1.state, State::Passed);
    }
}
