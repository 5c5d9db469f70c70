//! One moment of everything: no half transaction, and an offset that is exactly that of what it shows.

use super::*;
use redtail::Moment;
use std::sync::Mutex;

const ACCOUNTS: usize = 20;
const TOTAL: i64 = 1000;

/// Moves money between two accounts of database 0, and notes the round in another database: one transaction.
fn transfer(client: &mut Client, round: usize) {
    let (from, to) = (round % ACCOUNTS, (round * 7 + 1) % ACCOUNTS);
    let lines = [
        "MULTI".to_owned(),
        format!("DECRBY account:{from} {}", round % 5),
        format!("INCRBY account:{to} {}", round % 5),
        "SELECT 3".to_owned(),
        format!("SET round {round}"),
        "SELECT 0".to_owned(),
        "EXEC".to_owned(),
    ];
    let replies = client.pipeline(&lines.map(|line| words(&line)));
    assert!(replies.iter().all(|reply| !reply.is_error()), "{replies:?}");
}

fn number(text: Option<Vec<u8>>) -> i64 {
    let text = String::from_utf8(text.expect("it never goes")).unwrap();
    text.parse().unwrap()
}

/// What one moment shows.
#[derive(Debug, Clone, Copy)]
struct Seen {
    total: i64,
    round: usize,
    offset: u64,
}

fn look(moment: &Moment<'_>) -> Result<Seen, Error> {
    let round = moment.database(3).get("round")?;
    let mut total = 0;
    for account in 0..ACCOUNTS {
        total += number(moment.get(format!("account:{account}"))?);
    }
    let again = moment.database(3).get("round")?;
    assert_eq!(round, again, "the same moment");
    Ok(Seen {
        total,
        round: usize::try_from(number(round)).unwrap(),
        offset: moment.offset(),
    })
}

#[test]
fn a_moment_shows_whole_transactions_at_their_own_offset_through_cuts_and_full_syncs() {
    // Nothing but the transactions moves the offset.
    let quiet = ["--repl-ping-replica-period", "3600"];
    let Some(primary) = Server::start("redis-7.0", &quiet) else {
        return;
    };
    let mut client = primary.client();
    client.command(&format!("SET account:0 {TOTAL}"));
    for account in 1..ACCOUNTS {
        client.command(&format!("SET account:{account} 0"));
    }
    transfer(&mut client, 0);
    let offset = |client: &mut Client| u64::try_from(client.offset("master_repl_offset").unwrap());
    // The offset after each round.
    let ends = Mutex::new(vec![offset(&mut client).unwrap()]);
    let runtime = runtime();
    let replica = follow(&runtime, config(&primary));
    let begin = replica.status().loads;
    // The link's own handshake may have moved it.
    let done = AtomicBool::new(false);
    let seen: Vec<Seen> = std::thread::scope(|scope| {
        let (replica, done) = (&replica, &done);
        let readers = [0, 1].map(|_| {
            scope.spawn(move || {
                let mut seen = Vec::new();
                until(done, || seen.push(replica.at_one_moment(look).unwrap()));
                seen
            })
        });
        {
            let _done = Done(done);
            for round in 1..600 {
                transfer(&mut client, round);
                ends.lock().unwrap().push(offset(&mut client).unwrap());
                match round {
                    100 | 200 => drop(client.command("CLIENT KILL TYPE replica")),
                    300 | 450 => {
                        client.command("DEBUG CHANGE-REPL-ID");
                        client.command("CLIENT KILL TYPE replica");
                    }
                    _ => {}
                }
                if round % 50 == 0 {
                    caught_up(replica, &primary);
                }
            }
            caught_up(replica, &primary);
        }
        readers.map(|reader| reader.join().unwrap()).concat()
    });
    assert!(replica.status().loads >= begin + 2, "two full syncs");
    let ends = ends.into_inner().unwrap();
    for Seen {
        total,
        round,
        offset,
    } in &seen
    {
        assert_eq!(*total, TOTAL, "at round {round}");
        let (own, next) = (ends[*round], ends.get(round + 1));
        assert!(
            *offset >= own && next.is_none_or(|next| offset < next),
            "round {round} ends at {own}, the next at {next:?}, and the moment says {offset}"
        );
    }
    let mut rounds: Vec<usize> = seen.iter().map(|seen| seen.round).collect();
    rounds.sort_unstable();
    rounds.dedup();
    assert!(rounds.len() > 20, "only {} different rounds", rounds.len());
    let last = replica.at_one_moment(|moment| Ok(moment.point())).unwrap();
    let status = replica.status();
    let last = last.expect("a history");
    assert_eq!(Some(last.replid), status.history.replid);
    assert_eq!(last.offset, status.applied_offset);
}

#[test]
fn nothing_is_applied_during_a_moment() {
    let Some(primary) = Server::start("valkey-9.1", &[]) else {
        return;
    };
    primary.command("MSET a 1 b 1");
    let runtime = runtime();
    let replica = follow(&runtime, config(&primary));
    let result = replica.at_one_moment(|moment| {
        primary
            .client()
            .pipeline(&[words("MSET a 2 b 2"), words("SELECT 7"), words("SET new 1")]);
        let received = || replica.status().received_offset > moment.offset();
        wait_until("the write to arrive", received);
        std::thread::sleep(Duration::from_millis(50));
        let values = moment.mget(&["a", "b"])?;
        assert_eq!(values, vec![Some(bytes("1")); 2]);
        assert_eq!(moment.command(&["GET", "a"])?, Reply::Bytes(bytes("1")));
        assert_eq!(moment.database(7).dbsize(), Ok(0));
        assert_eq!(moment.database(7).get("new"), Ok(None));
        assert_eq!(
            moment.database(7).command(&["KEYS", "*"])?,
            Reply::Array(Vec::new())
        );
        let walk = moment.database(0).scan("*");
        assert_eq!(walk.collect::<Result<Vec<_>, _>>()?.len(), 2);
        assert_eq!(moment.database(7).scan("*").count(), 0);
        is_reply(moment.command(&["SET", "a", "3"]), "READONLY");
        is_reply(moment.command(&["GET"]), "ERR wrong number");
        assert_eq!(moment.dbsize(), Ok(2));
        moment.zcard("a")
    });
    assert_eq!(result, Err(Error::WrongType), "the error of what it reads");
    caught_up(&replica, &primary);
    assert_eq!(replica.get("a"), Ok(Some(bytes("2"))));
    let later = replica.at_one_moment(|moment| moment.database(7).get("new"));
    assert_eq!(later, Ok(Some(bytes("1"))));
}

#[test]
fn before_the_first_sync_there_is_no_moment() {
    let runtime = runtime();
    let _inside = runtime.enter();
    let nobody = format!("redis://127.0.0.1:{}", crate::servers::free_port());
    let replica = Replica::start(Config::new(&nobody).unwrap()).unwrap();
    let read = |_: &Moment<'_>| panic!("it is not called");
    assert_eq!(replica.at_one_moment(read), Err::<(), _>(Error::Loading));
}
