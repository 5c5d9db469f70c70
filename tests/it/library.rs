//! The library, embedded: it follows a real primary as the program does.

use std::time::Duration;

use redtail::internal::replica::{Config, Error, Replica};

use crate::servers::Server;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

async fn caught_up(replica: &Replica, primary: &Server) {
    let offset = primary.client().offset("master_repl_offset").unwrap();
    for _ in 0..500 {
        if replica.status().applied_offset >= u64::try_from(offset).unwrap() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("not caught up: {:?}", replica.status());
}

#[test]
fn follows_a_primary_and_answers_reads() {
    let Some(primary) = Server::start("redis-7.0", &[]) else {
        return;
    };
    primary.command("SET greeting hello");
    primary.command("SET number -5");
    primary.command("RPUSH list a b c");
    runtime().block_on(async {
        let port = primary.port;
        let replica = Replica::start(Config::new(&format!("redis://127.0.0.1:{port}")).unwrap()).unwrap();
        assert_eq!(replica.get("greeting"), Err(Error::Loading));
        replica.ready().await.unwrap();
        assert_eq!(replica.get("greeting"), Ok(Some(b"hello".to_vec())));
        assert_eq!(replica.get("number"), Ok(Some(b"-5".to_vec())));
        assert!(matches!(replica.get("list"), Err(Error::WrongType(_))));

        primary.command("MSET one 1 two 2 greeting bye");
        primary.command("DEL number");
        caught_up(&replica, &primary).await;
        let values = replica.mget(&["one", "two", "three", "greeting"]).unwrap();
        assert_eq!(values, [Some(b"1".to_vec()), Some(b"2".to_vec()), None, Some(b"bye".to_vec())]);
        let mut keys: Vec<_> = replica.scan("*").collect::<Result<_, _>>().unwrap();
        keys.sort();
        assert_eq!(keys, [&b"greeting"[..], b"list", b"one", b"two"]);
        assert!(replica.command(&["STRLEN", "greeting"]).is_ok());
        assert!(matches!(replica.command(&["SET", "a", "b"]), Err(Error::Reply(text)) if text.starts_with("READONLY")));
        assert_eq!(replica.database(1).get("greeting"), Ok(None));
        replica.stop().await;
    });
}
