//! The grammar of writes: every command that changes data on some server, with its options, by kind. Many fail on the server (a
//! wrong type, a missing key, a command newer than the server). That is intended, because a failed write must not reach a
//! replica.

/// Forms that are drawn together: their weight, and their text in the grammar of [`super::grammar`].
pub struct Family {
    /// The share of all writes, relative to the sum of all weights.
    pub weight: usize,
    pub text: &'static str,
}

/// All writes.
pub const WRITES: &[Family] = &[
    Family {
        weight: 20,
        text: STRING,
    },
    Family {
        weight: 6,
        text: BITS,
    },
    Family {
        weight: 14,
        text: LIST,
    },
    Family {
        weight: 12,
        text: SET,
    },
    Family {
        weight: 12,
        text: HASH,
    },
    Family {
        weight: 8,
        text: HASH_TTL,
    },
    Family {
        weight: 16,
        text: SORTED_SET,
    },
    Family {
        weight: 4,
        text: LEX,
    },
    Family {
        weight: 14,
        text: STREAM,
    },
    Family {
        weight: 8,
        text: GROUP,
    },
    Family {
        weight: 5,
        text: GEO,
    },
    Family {
        weight: 4,
        text: HYPERLOGLOG,
    },
    Family {
        weight: 14,
        text: KEYSPACE,
    },
    Family {
        weight: 5,
        text: BULK,
    },
    Family {
        weight: 3,
        text: SCRIPT,
    },
    Family {
        weight: 1,
        text: SERVER,
    },
    Family {
        weight: 1,
        text: ARRAYS,
    },
];

const STRING: &str = "
SET {str} {value}
SET {num} {int}
SET {any} {value}
SET {str} {value} (EX {ttl}|PX {pttl}|EXAT {at}|PXAT {pat}|KEEPTTL)
SET {str} {value} [(NX|XX)] [GET] [(EX {ttl}|PX {pttl}|EXAT {at}|PXAT {pat}|KEEPTTL)]
SET {str} {value} (IFEQ {value}|IFNE {value}|IFDEQ {value}|IFDNE {value})
SETNX {str} {value}
SETEX {str} {ttl} {value}
PSETEX {str} {pttl} {value}
GETSET {str} {value}
GETDEL {str}
GETEX {str} [(EX {ttl}|PX {pttl}|EXAT {at}|PXAT {pat}|PERSIST)]
MSET {str} {value} {num} {int}
MSET ({str} {value})+
MSETNX {str} {value} {num} {int}
MSETEX #({str} {value})+ [(NX|XX)] [(EX {ttl}|PX {pttl}|EXAT {at}|PXAT {pat}|KEEPTTL)]
APPEND {str} {value}
APPEND {num} {int}
SETRANGE {str} {offset} {value}
INCR {num}
DECR {num}
INCRBY {num} {int}
DECRBY {num} {int}
INCRBYFLOAT {num} {float}
INCREX {num} [(BYINT {int}|BYFLOAT {float})] [(EX {ttl}|PX {pttl}|PERSIST)]
DELIFEQ {str} {value}
DELEX {str} [(IFEQ|IFNE|IFDEQ|IFDNE) {value}]
";

const BITS: &str = "
SETBIT {bits} {offset} {bit}
SETBIT {str} {offset} {bit}
BITFIELD {bits} [OVERFLOW (WRAP|SAT|FAIL)] (SET {width} {bitoffset} {int}|INCRBY {width} {bitoffset} {int}|GET {width} {bitoffset})+
BITOP (AND|OR|XOR) {bits} {bits}+
BITOP (DIFF|DIFF1|ANDOR|ONE) {bits} {bits} {str}
BITOP NOT {bits} {bits}
BITOP XOR {str} {bits} {str}
SET {bits} {value}
";

const LIST: &str = "
RPUSH {list} {m}+
RPUSH {list} {m}+
LPUSH {list} {m}+
LPUSH {list} {m}+
RPUSHX {list} {m}+
LPUSHX {list} {m}+
LPOP {list} [{count}]
RPOP {list} [{count}]
LSET {list} {index} {m}
LREM {list} {index} {m}
LTRIM {list} {index} {index}
LINSERT {list} (BEFORE|AFTER) {m} {m}
RPOPLPUSH {list} {list}
LMOVE {list} {list} (LEFT|RIGHT) (LEFT|RIGHT)
LMOVEM {list} {list} (LEFT|RIGHT) (LEFT|RIGHT) [(COUNT|EXACTLY) {count} (OBO|BULK)]
BLMOVEM {list} {list} (LEFT|RIGHT) (LEFT|RIGHT) 0.01 [(COUNT|EXACTLY) {count} (OBO|BULK)]
LMPOP #{list}+ (LEFT|RIGHT) [COUNT {count}]
BLPOP {list}+ 0.01
BRPOP {list}+ 0.01
BRPOPLPUSH {list} {list} 0.01
BLMOVE {list} {list} (LEFT|RIGHT) (LEFT|RIGHT) 0.01
BLMPOP 0.01 #{list}+ (LEFT|RIGHT) [COUNT {count}]
";

const SET: &str = "
SADD {set} {m}+
SADD {set} {int}+
SADD {set} {m}+
SREM {set} {m}+
SMOVE {set} {set} {m}
SPOP {set}
SPOP {set} {count}
SUNIONSTORE {set} {set}+
SINTERSTORE {set} {set}+
SDIFFSTORE {set} {set}+
";

const HASH: &str = "
HSET {hash} ({m} {value})+
HSET {hash} {m} {value}
HSET {hash} {m} {int}
HMSET {hash} ({m} {value})+
HSETNX {hash} {m} {value}
HDEL {hash} {m}+
HINCRBY {hash} {m} {int}
HINCRBYFLOAT {hash} {m} {float}
HGETDEL {hash} FIELDS #{m}+
HIMPORT SET {hash} {m} {value}+
";

const HASH_TTL: &str = "
HSETEX {hash} [(FNX|FXX)] [(EX {ttl}|PX {pttl}|EXAT {at}|PXAT {pat}|KEEPTTL)] FIELDS #({m} {value})+
HGETEX {hash} [(EX {ttl}|PX {pttl}|EXAT {at}|PXAT {pat}|PERSIST)] FIELDS #{m}+
HEXPIRE {hash} {ttl} [(NX|XX|GT|LT)] FIELDS #{m}+
HPEXPIRE {hash} {pttl} [(NX|XX|GT|LT)] FIELDS #{m}+
HEXPIREAT {hash} {at} [(NX|XX|GT|LT)] FIELDS #{m}+
HPEXPIREAT {hash} {pat} [(NX|XX|GT|LT)] FIELDS #{m}+
HPERSIST {hash} FIELDS #{m}+
";

const SORTED_SET: &str = "
ZADD {zset} ({score} {m})+
ZADD {zset} ({score} {m})+
ZADD {zset} [(NX|XX)] [(GT|LT)] [CH] ({score} {m})+
ZADD {zset} [(NX|XX)] INCR {score} {m}
ZINCRBY {zset} {score} {m}
ZREM {zset} {m}+
ZREMRANGEBYRANK {zset} {index} {index}
ZREMRANGEBYSCORE {zset} {min} {min}
ZPOPMIN {zset} [{count}]
ZPOPMAX {zset} [{count}]
ZMPOP #{zset}+ (MIN|MAX) [COUNT {count}]
BZPOPMIN {zset}+ 0.01
BZPOPMAX {zset}+ 0.01
BZMPOP 0.01 #{zset}+ (MIN|MAX) [COUNT {count}]
ZUNIONSTORE {zset} 2 {zset} {set} [WEIGHTS {score} {score}] [AGGREGATE (SUM|MIN|MAX|COUNT)]
ZINTERSTORE {zset} 2 {zset} {zset} [WEIGHTS {score} {score}] [AGGREGATE (SUM|MIN|MAX|COUNT)]
ZUNIONSTORE {zset} #{zset}+ [AGGREGATE (SUM|MIN|MAX|COUNT)]
ZINTERSTORE {zset} #{set}+
ZDIFFSTORE {zset} #{zset}+
ZRANGESTORE {zset} {zset} {index} {index} [REV]
ZRANGESTORE {zset} {zset} {min} {min} BYSCORE [REV] [LIMIT {limit} {limit}]
";

const LEX: &str = "
ZADD {lex} (0 {m})+
ZADD {lex} (0 {m})+
ZREMRANGEBYLEX {lex} {lexmin} {lexmin}
ZREMRANGEBYLEX {lex} \"[m1\" \"(m12\"
ZRANGESTORE {lex} {lex} {lexmin} {lexmin} BYLEX [REV] [LIMIT {limit} {limit}]
ZREM {lex} {m}+
";

const STREAM: &str = "
XADD {stream} {newid} {m} {value}
XADD {stream} {newid} ({m} {value})+
XADD {stream} {newid} f {value} g {int}
XADD {stream} {newid} f {value} g {int}
XADD {auto} * ({m} {value})+
XADD {auto} * h {value}
XADD {stream} [NOMKSTREAM] (MAXLEN|MAXLEN =|MAXLEN ~) {index} {newid} a {value}
XADD {stream} (MINID|MINID =|MINID ~) {id} {newid} a {value}
XADD {stream} [NOMKSTREAM] [(KEEPREF|DELREF|ACKED)] {newid} b {m}
XADD {stream} {id} f v
XADD {auto} 99999999999999-* f {value}
XDEL {stream} {id}+
XDELEX {stream} [(KEEPREF|DELREF|ACKED)] IDS #{id}+
XTRIM {stream} MAXLEN [(=|~)] {count} [LIMIT {count}]
XTRIM {stream} MINID [(=|~)] {id} [LIMIT {count}]
XADD {stream} [NOMKSTREAM] (KEEPREF|DELREF|ACKED) (MAXLEN|MAXLEN =|MAXLEN ~) {index} {newid} a {value}
XADD {stream} (MINID|MINID =|MINID ~) {id} (DELREF|ACKED) {newid} a {value}
XTRIM {stream} MAXLEN [(=|~)] {index} (KEEPREF|DELREF|ACKED)
XTRIM {stream} (DELREF|ACKED) MINID [(=|~)] {id} [LIMIT {count}]
XADD {auto} (IDMP {consumer} {m}|IDMPAUTO {consumer}) * f {m}
XADD {auto} (IDMP {consumer} {m}|IDMPAUTO {consumer}) MAXLEN ~ {index} * f {m}
XCFGSET {auto} [IDMP-DURATION {count}] [IDMP-MAXSIZE {count}]
XIDMPRECORD {stream} {consumer} {m} {id}
XSETID {stream} {id} [ENTRIESADDED {count}] [MAXDELETEDID {id}]
XSETID {stream} {newid}
";

const GROUP: &str = "
XGROUP CREATE {stream} {group} ({id}|0|$) [MKSTREAM] [ENTRIESREAD {index}]
XGROUP CREATE {stream} {group} 0
XGROUP CREATE {auto} {group} 0 MKSTREAM
XGROUP SETID {stream} {group} ({id}|$|0) [ENTRIESREAD {index}]
XGROUP DESTROY {stream} {group}
XGROUP CREATECONSUMER {stream} {group} {consumer}
XGROUP DELCONSUMER {stream} {group} {consumer}
XREADGROUP GROUP {group} {consumer} [COUNT {count}] [NOACK] STREAMS {stream} >
XREADGROUP GROUP {group} {consumer} COUNT 3 STREAMS {stream} {auto} > >
XREADGROUP GROUP {group} {consumer} COUNT 2 STREAMS {stream} (0|{id})
XREADGROUP GROUP {group} {consumer} BLOCK 1 STREAMS {stream} >
XACK {stream} {group} {id}+
XACKDEL {stream} {group} [(KEEPREF|DELREF|ACKED)] IDS #{id}+
XNACK {stream} {group} (SILENT|FAIL|FATAL) IDS #{id}+ [RETRYCOUNT {count}] [FORCE]
XREADGROUP GROUP {group} {consumer} COUNT 2 CLAIM 0 STREAMS {stream} >
XCLAIM {stream} {group} {consumer} 0 {id}+ [IDLE {count}] [RETRYCOUNT {count}] [FORCE] [JUSTID]
XCLAIM {stream} {group} {consumer} 0 {id}+ TIME 1700000000000 [LASTID {id}]
XAUTOCLAIM {stream} {group} {consumer} 0 {idmin} [COUNT {count}] [JUSTID]
";

const GEO: &str = "
GEOADD {geo} ({near} 38.1 {m})+
GEOADD {geo} [(NX|XX)] [CH] {lon} {lat} {m}
GEORADIUS {geo} 13 38 {radius} {unit} [COUNT {count}] [(ASC|DESC)] (STORE|STOREDIST) {geo}
GEORADIUSBYMEMBER {geo} {m} {radius} {unit} (STORE|STOREDIST) {zset}
GEOSEARCHSTORE {geo} {geo} FROMLONLAT 13 38 (BYRADIUS {radius}|BYBOX {radius} {radius}) {unit} [(ASC|DESC)] [COUNT {count} [ANY]] [STOREDIST]
GEOSEARCHSTORE {zset} {geo} FROMMEMBER {m} BYRADIUS {radius} {unit}
";

const HYPERLOGLOG: &str = "
PFADD {pf} {m}+
PFADD {pf} {serial}+
PFADD {pf}
PFMERGE {pf} {pf}+
PFCOUNT {pf}
PFCOUNT {pf}+
PFDEBUG TODENSE {pf}
";

const KEYSPACE: &str = "
DEL {any}+
UNLINK {any}+
RENAME {any} {any}
RENAMENX {any} {any}
COPY {any} {any} [DB {db}] [REPLACE]
COPY {any} {any} [DB {db}] REPLACE
MOVE {any} {db}
PEXPIRE {any} {pttl} [(NX|XX|GT|LT)]
EXPIRE {any} {ttl} [(NX|XX|GT|LT)]
PEXPIREAT {any} {pat} [(NX|XX|GT|LT)]
EXPIREAT {any} {at} [(NX|XX|GT|LT)]
PEXPIRE {any} {pttl}
PERSIST {any}
PERSIST {any}
SORT {list} [BY (nosort|{pattern}|num:*|hash:*->m1)] [LIMIT {limit} {limit}] [GET (#|str:*)] [(ASC|DESC)] [ALPHA] STORE {list}
SORT {set} ALPHA [DESC] STORE {list}
SORT {zset} BY nosort [DESC] [LIMIT {limit} {limit}] STORE {list}
RESTORE {any} 0 {dump} REPLACE
RESTORE {any} (0|{pttl}) {dump} [REPLACE] [IDLETIME {count}]
RESTORE {any} {pat} {dump} REPLACE ABSTTL [FREQ {count}]
RESTORE-ASKING {any} 0 {dump} REPLACE
TOUCH {any}
PUBLISH {channel} {value}
SPUBLISH {channel} {value}
";

/// Values beyond every encoding's threshold.
const BULK: &str = "
RPUSH {list} {serial}%
RPUSH {list} {long}%
SADD {set} {serial}%
SADD {set} {int}%
HSET {hash} ({serial} {m})%
HSET {hash} {m} {long}
ZADD {zset} ({score} {serial})%
ZADD {lex} (0 {serial})%
XADD {stream} {newid} ({m} {value})%
PFADD {pf} {serial}%
SETRANGE {str} 4200 {value}
SETBIT {bits} 40000 1
GEOADD {geo} ({near} 38.2 {serial})%
LPUSH {list} {long}+
";

const SCRIPT: &str = r##"
EVAL "return redis.call('INCR',KEYS[1])" 1 {num}
EVAL "redis.call('SET',KEYS[1],ARGV[1]) return redis.call('RPUSH',KEYS[2],ARGV[1])" 2 {str} {list} {value}
EVAL "redis.call('SADD',KEYS[1],ARGV[1]) redis.call('PEXPIRE',KEYS[1],ARGV[2])" 1 {set} {m} {pttl}
EVAL "redis.call('SELECT',ARGV[1]) redis.call('SET',KEYS[1],ARGV[2])" 1 {str} {db} {value}
EVAL "for i=1,10 do redis.call('HSET',KEYS[1],i,ARGV[1]) end redis.call('NOSUCH')" 1 {hash} {value}
EVAL "return redis.call('SPOP',KEYS[1],3)" 1 {set}
FUNCTION LOAD [REPLACE] "#!lua name=one\nredis.register_function('f1',function(keys,args) return redis.call('SET',keys[1],args[1]) end)"
FUNCTION LOAD [REPLACE] "#!lua name=two\nredis.register_function{function_name='f2',callback=function(keys,args) return redis.call('GET',keys[1]) end,flags={'no-writes'}}"
FUNCTION LOAD [REPLACE] "#!lua name=three\nlocal n=0 redis.register_function{function_name='f3',callback=function(keys,args) local t=redis.call('LRANGE',keys[1],0,-1) return {#t,t,redis.error_reply(args[1]),{ok='x'}} end,description='three',flags={'no-writes','allow-stale'}}"
FUNCTION LOAD [REPLACE] "#!lua name=four\nredis.register_function{function_name='f4',callback=function(keys,args) error(args[1]) end,flags={'no-writes'}}"
FUNCTION RESTORE {dump} [(FLUSH|APPEND|REPLACE)]
FUNCTION DELETE {library}
FUNCTION FLUSH [(ASYNC|SYNC)]
FCALL f1 1 {str} {value}
FCALL f2 1 {str}
"##;

const SERVER: &str = "
FLUSHDB
FLUSHDB (ASYNC|SYNC)
FLUSHALL
SWAPDB {db} {db}
SWAPDB {db} {db}
SWAPDB {db} {db}
SWAPDB {db} {db}
SCRIPT FLUSH
";

/// No server of the tests has arrays.
const ARRAYS: &str = "
ARSET {any} {index} {value}+
ARMSET {any} ({index} {value})+
ARDEL {any} {index}+
ARDELRANGE {any} ({index} {index})+
ARINSERT {any} {value}+
ARSEEK {any} {index}
ARRING {any} {count} {value}+
";
