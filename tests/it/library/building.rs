//! The builder of a replica.

use super::*;
use redtail::config::{AddressError, Dialect, Password, ResyncMemory, Upstream};
use redtail::{Builder, StartError};
use std::path::Path;

#[test]
fn a_built_replica_follows_with_the_settings_that_were_given() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    primary.command("SET a 1");
    primary.command("CONFIG SET requirepass secret");
    let folder = tempfile::tempdir().unwrap();
    let address = format!("redis://127.0.0.1:{}", primary.port);
    let runtime = runtime();
    let start = Replica::builder()
        .upstream(&address)
        .user("default")
        .password("secret")
        .databases(20)
        .state_dir(folder.path().join("state"))
        .max_staleness(Duration::from_secs(30))
        .changes_window(1 << 20)
        .dialect(Dialect::redis(6, 2, 0))
        .resync_memory(ResyncMemory::OneCopy)
        .start();
    let start = async { tokio::time::timeout(PATIENCE, start).await };
    let replica = runtime.block_on(start).expect("a first sync").unwrap();
    wait_until("the first proof", || {
        replica.get("a") == Ok(Some(bytes("1")))
    });
    assert!(replica.database(19).dbsize().is_ok() && replica.database(20).dbsize().is_err());
    assert_eq!(replica.status().dialect, Some(Dialect::redis(6, 2, 0)));
    let kept = folder.path().join("state").read_dir().unwrap().count();
    assert!(kept > 0);
}

#[test]
fn a_builder_says_what_is_wrong() {
    let error = Replica::builder().config().unwrap_err();
    assert!(matches!(error, StartError::NoUpstream), "{error:?}");
    assert!(error.to_string().contains("upstream("), "{error}");
    let mixed = ["redis://a", "sentinel://b/group"];
    let error = Replica::builder()
        .upstreams(mixed)
        .upstream("redis://")
        .config();
    assert!(
        matches!(error, Err(StartError::Address(AddressError::Alone))),
        "the first: {error:?}"
    );
    // Outside of a runtime.
    let error = Replica::builder().upstream("redis://127.0.0.1:1").build();
    assert!(matches!(&error, Err(StartError::Io(_))), "{error:?}");
}

#[test]
fn a_replica_that_ends_before_its_first_sync_does_not_start() {
    let gone = runtime();
    let nobody = format!("redis://127.0.0.1:{}", crate::servers::free_port());
    let inside = gone.enter();
    let replica = Replica::builder().upstream(&nobody).build().unwrap();
    drop(inside);
    drop(gone);
    let ended = runtime().block_on(replica.ready());
    assert_eq!(ended, Err(Error::Stopped));
    let told = StartError::Ended(Error::Stopped).to_string();
    assert_eq!(told, Error::Stopped.to_string());
}

#[test]
fn what_is_not_set_keeps_its_default() {
    let address = "rediss://one:1,rediss://two:2";
    let builder: Builder = Replica::builder().upstreams(address.split(','));
    let built = builder.clone().config().unwrap();
    assert_eq!(
        format!("{built:?}"),
        format!("{:?}", Config::new(address).unwrap())
    );
    let set = builder
        .password_file("/run/secret")
        .ca_cert_file("/etc/ca.pem")
        .client_cert("/etc/cert.pem", "/etc/key.pem")
        .with(|config| config.track_access = true)
        .config()
        .unwrap();
    let tls = &set.upstream.tls;
    assert_eq!(tls.ca_cert_file.as_deref(), Some(Path::new("/etc/ca.pem")));
    assert_eq!(tls.cert_file.as_deref(), Some(Path::new("/etc/cert.pem")));
    assert_eq!(tls.key_file.as_deref(), Some(Path::new("/etc/key.pem")));
    assert!(set.track_access);
    let Upstream::List(nodes) = set.upstream.upstream else {
        panic!("two servers");
    };
    let file = Some(Password::File("/run/secret".into()));
    assert!(nodes.len() == 2 && nodes.iter().all(|node| node.login.password == file));
}
