//! The files for Kubernetes, Docker and Compose, as the tools that read them see them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::{file, text};
use crate::tools;

/// The manifests of resources that Kubernetes itself has; `monitor.yaml` is the Prometheus operator's.
const MANIFESTS: [&str; 2] = ["kubernetes/sidecar.yaml", "kubernetes/standalone.yaml"];

/// Checks each document of each file against Kubernetes's own schemas, in which nothing is unknown, for the oldest version with
/// native sidecars that is on by default, and for the newest. Prints one line for each document.
const CHECK_MANIFESTS: &str = "
import sys, yaml, kubernetes_validate as kubernetes
for path in sys.argv[1:]:
    for document in yaml.safe_load_all(open(path)):
        for version in ('1.29', '1.30', kubernetes.latest_version()):
            if version != '1.29' or not 'sleep' in str(document):
                kubernetes.validate(document, version, strict=True)
        print(document['kind'])
";

fn python(tool: &Path, script: &str, files: &[PathBuf]) -> Output {
    let mut command = Command::new(tool);
    command.args(["-c", script]).args(files);
    command.output().expect("python starts")
}

#[test]
fn kubernetes_knows_every_field_of_the_manifests() {
    let Some(tool) = tools::path("python") else {
        return;
    };
    let files = MANIFESTS.map(file);
    let output = python(&tool, CHECK_MANIFESTS, &files);
    assert!(output.status.success(), "{output:?}");
    let kinds = String::from_utf8_lossy(&output.stdout).into_owned();
    for kind in [
        "Secret",
        "Deployment",
        "StatefulSet",
        "Service",
        "NetworkPolicy",
    ] {
        assert!(kinds.lines().any(|line| line == kind), "{kind}: {kinds}");
    }

    // It would have complained.
    let directory = tempfile::tempdir().expect("a directory");
    let wrong = directory.path().join("wrong.yaml");
    let manifest = text(MANIFESTS[0]).replace("readOnlyRootFilesystem", "readonlyRootFilesystem");
    std::fs::write(&wrong, manifest).expect("a file");
    let output = python(&tool, CHECK_MANIFESTS, &[wrong]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("readonlyRootFilesystem"), "{error}");
}

/// Asserts what no schema asks for.
const CHECK_HARDENING: &str = "
import sys, yaml
found = 0
for path in sys.argv[1:]:
    for document in yaml.safe_load_all(open(path)):
        pod = document.get('spec', {}).get('template', {}).get('spec')
        if not pod:
            continue
        assert pod['securityContext']['runAsNonRoot'] and pod['securityContext']['runAsUser'] > 0
        assert pod['securityContext']['seccompProfile'] == {'type': 'RuntimeDefault'}
        for container in pod.get('initContainers', []) + pod['containers']:
            context = container['securityContext']
            assert context['readOnlyRootFilesystem'] and not context['allowPrivilegeEscalation'], container['name']
            assert context['capabilities'] == {'drop': ['ALL']}, container['name']
            assert 'memory' in container['resources']['limits'], container['name']
            if container['name'] != 'redtail':
                continue
            found += 1
            assert container['livenessProbe']['httpGet']['path'] == '/livez'
            assert container['startupProbe']['httpGet']['path'] == '/readyz'
            assert container['readinessProbe']['httpGet']['path'] == '/readyz'
            assert container.get('restartPolicy') == ('Always' if 'initContainers' in pod else None)
            secrets = [one['name'] for one in container['env'] if one['name'].endswith(('PASSWORD', 'TOKEN')) and 'value' in one]
            assert not secrets, secrets
assert found == 2, found
";

#[test]
fn the_manifests_give_redtail_no_more_than_it_needs() {
    let Some(tool) = tools::path("python") else {
        return;
    };
    let output = python(&tool, CHECK_HARDENING, &MANIFESTS.map(file));
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_linter_finds_nothing_in_the_dockerfile() {
    let Some(tool) = tools::path("hadolint") else {
        return;
    };
    let lint = |path: &Path| {
        let mut command = Command::new(&tool);
        let command = command.args(["--no-color", "--failure-threshold", "style"]);
        command.arg(path).output().expect("it starts")
    };
    let output = lint(&file("Dockerfile"));
    assert!(
        output.status.success() && output.stdout.is_empty(),
        "{output:?}"
    );

    // It would have complained.
    let directory = tempfile::tempdir().expect("a directory");
    let wrong = directory.path().join("Dockerfile");
    std::fs::write(
        &wrong,
        text("Dockerfile").replace("USER 65532:65532", "USER root"),
    )
    .expect("a file");
    let said = String::from_utf8_lossy(&lint(&wrong).stdout).into_owned();
    assert!(said.contains("DL3002"), "{said}");
}

/// What compose makes of a file.
fn composed(tool: &Path, path: &Path) -> Output {
    let mut command = Command::new(tool);
    command
        .arg("-f")
        .arg(path)
        .args(["config", "--format", "json"]);
    command.output().expect("it starts")
}

#[test]
fn compose_understands_its_file_and_finds_what_it_mounts() {
    let Some(tool) = tools::path("docker-compose") else {
        return;
    };
    let output = composed(&tool, &file("compose.yaml"));
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
    let config: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let services = config["services"].as_object().expect("services");
    let mut mounted = 0;
    for volume in services
        .values()
        .flat_map(|service| service["volumes"].as_array().into_iter().flatten())
    {
        let source = volume["source"].as_str().unwrap_or_default();
        if source.contains("/compose/") {
            // A missing file becomes an empty directory, which the container cannot read.
            assert!(Path::new(source).exists(), "{source} does not exist");
            mounted += 1;
        }
    }
    assert!(mounted >= 4, "{mounted}");
    for port in services
        .values()
        .flat_map(|service| service["ports"].as_array().into_iter().flatten())
    {
        assert_eq!(port["host_ip"], "127.0.0.1", "{port}");
    }

    // It would have complained.
    let directory = tempfile::tempdir().expect("a directory");
    let wrong = directory.path().join("compose.yaml");
    std::fs::write(
        &wrong,
        text("compose.yaml").replace("read_only:", "readonly:"),
    )
    .expect("a file");
    let said = String::from_utf8_lossy(&composed(&tool, &wrong).stderr).into_owned();
    assert!(said.contains("readonly"), "{said}");
}
