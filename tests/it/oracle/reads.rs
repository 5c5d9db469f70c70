//! The grammar of reads: every command that a replica answers, with its options, by kind.

/// All reads.
pub const READS: &[&str] = &[
    STRING,
    BITS,
    LIST,
    SET,
    HASH,
    SORTED_SET,
    STREAM,
    GEO,
    HYPERLOGLOG,
    KEYSPACE,
    KEYSPACE,
    SCRIPT,
    CONNECTION,
    VECTORS,
    ARRAYS,
];

const STRING: &str = "
GET {str}
GET {num}
MGET {any} {none} {str}+
STRLEN {str}
GETRANGE {str} {index} {index}
GETRANGE {str} {offset} {offset}
GETRANGE {num} 0 -1
SUBSTR {str} {index} {index}
LCS {str} {str} [(LEN|IDX)] [MINMATCHLEN {count}] [WITHMATCHLEN]
LCS {num} {num} IDX
STRALGO LCS KEYS {str} {str} [(LEN|IDX)] [MINMATCHLEN {count}] [WITHMATCHLEN]
STRALGO LCS [IDX] STRINGS {value} {value}
DIGEST {str}
";

const BITS: &str = "
GETBIT {bits} {offset}
GETBIT {str} {offset}
BITCOUNT {bits}
BITCOUNT {str} {index} {index} [(BIT|BYTE)]
BITCOUNT {bits} {offset} {offset} BIT
BITPOS {bits} {bit}
BITPOS {bits} {bit} {index} [{index} [(BIT|BYTE)]]
BITPOS {str} {bit} {index} {offset} BIT
BITFIELD_RO {bits} (GET {width} {bitoffset})+
BITFIELD_RO {str} GET {width} {bitoffset}
BITFIELD {bits} GET {width} {bitoffset}
";

const LIST: &str = "
LLEN {list}
LRANGE {list} {index} {index}
LRANGE {list} 0 -1
LINDEX {list} {index}
LINDEX {list} {offset}
LPOS {list} {m} [RANK {index}] [COUNT {count}] [MAXLEN {count}]
LPOS {list} {m} COUNT 0
";

const SET: &str = "
SCARD {set}
SMEMBERS {set}
SISMEMBER {set} {m}
SMISMEMBER {set} {m}+
SRANDMEMBER {set} [{index}]
SSCAN {set} 0 [MATCH {pattern}] [COUNT {count}]
SSCAN {set} {index} [COUNT {count}]
SINTER {set}+
SUNION {set}+
SDIFF {set}+
SINTERCARD #{set}+ [LIMIT {limit}]
SUNIONCARD #{set}+ [APPROX] [LIMIT {limit}]
SDIFFCARD #{set}+ [LIMIT {limit}]
";

const HASH: &str = "
HLEN {hash}
HGET {hash} {m}
HMGET {hash} {m}+
HEXISTS {hash} {m}
HSTRLEN {hash} {m}
HGETALL {hash}
HKEYS {hash}
HVALS {hash}
HRANDFIELD {hash} [{index} [WITHVALUES]]
HSCAN {hash} 0 [MATCH {pattern}] [COUNT {count}] [NOVALUES]
HTTL {hash} FIELDS #{m}+
HPTTL {hash} FIELDS #{m}+
HEXPIRETIME {hash} FIELDS #{m}+
HPEXPIRETIME {hash} FIELDS #{m}+
";

const SORTED_SET: &str = "
ZCARD {zset}
ZSCORE {zset} {m}
ZMSCORE {zset} {m}+
ZRANK {zset} {m} [WITHSCORE]
ZREVRANK {zset} {m} [WITHSCORE]
ZCOUNT {zset} {min} {min}
ZLEXCOUNT {lex} {lexmin} {lexmin}
ZLEXCOUNT {zset} {lexmin} {lexmin}
ZRANGE {zset} {index} {index} [REV] [WITHSCORES]
ZRANGE {zset} {min} {min} BYSCORE [REV] [LIMIT {limit} {limit}] [WITHSCORES]
ZRANGE {lex} {lexmin} {lexmin} BYLEX [REV] [LIMIT {limit} {limit}]
ZREVRANGE {zset} {index} {index} [WITHSCORES]
ZRANGEBYSCORE {zset} {min} {min} [WITHSCORES] [LIMIT {limit} {limit}]
ZREVRANGEBYSCORE {zset} {min} {min} [WITHSCORES] [LIMIT {limit} {limit}]
ZRANGEBYLEX {lex} {lexmin} {lexmin} [LIMIT {limit} {limit}]
ZREVRANGEBYLEX {lex} {lexmin} {lexmin} [LIMIT {limit} {limit}]
ZRANDMEMBER {zset} [{index} [WITHSCORES]]
ZSCAN {zset} 0 [MATCH {pattern}] [COUNT {count}] [NOSCORES]
ZUNION #{zset}+ [AGGREGATE (SUM|MIN|MAX|COUNT)] [WITHSCORES]
ZUNION 2 {zset} {set} [WEIGHTS {score} {score}] [WITHSCORES]
ZINTER #{zset}+ [AGGREGATE (SUM|MIN|MAX|COUNT)] [WITHSCORES]
ZINTER 2 {zset} {zset} [WEIGHTS {score} {score}] [WITHSCORES]
ZDIFF #{zset}+ [WITHSCORES]
ZINTERCARD #{zset}+ [LIMIT {limit}]
";

const STREAM: &str = "
XLEN {stream}
XRANGE {stream} {idmin} {idmin} [COUNT {count}]
XRANGE {auto} - + [COUNT {count}]
XREVRANGE {stream} {idmin} {idmin} [COUNT {count}]
XREAD [COUNT {count}] STREAMS {stream} {id}
XREAD [COUNT {count}] [BLOCK 1] STREAMS {stream} {auto} ({id}|0) ({id}|0|$|+)
XINFO STREAM {stream}
XINFO STREAM {stream} FULL [COUNT {count}]
XINFO GROUPS {stream}
XINFO CONSUMERS {stream} {group}
XINFO HELP
XPENDING {stream} {group}
XPENDING {stream} {group} [IDLE {count}] {idmin} {idmin} {count} [{consumer}]
";

const GEO: &str = "
GEOPOS {geo} {m}+
GEOHASH {geo} {m}+
GEODIST {geo} {m} {m} [{unit}]
GEORADIUS_RO {geo} 13 38 {radius} {unit} [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT {count} [ANY]] [(ASC|DESC)]
GEORADIUSBYMEMBER_RO {geo} {m} {radius} {unit} [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT {count}] [(ASC|DESC)]
GEOSEARCH {geo} (FROMMEMBER {m}|FROMLONLAT {near} 38) (BYRADIUS {radius}|BYBOX {radius} {radius}) {unit} [(ASC|DESC)] [COUNT {count} [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]
GEORADIUS {geo} 13 38 {radius} {unit}
";

const HYPERLOGLOG: &str = "
PFCOUNT {pf}
PFCOUNT {pf}+
PFSELFTEST {value}
";

const KEYSPACE: &str = "
EXISTS {any}+
TYPE {any}
TTL {any}
PTTL {any}
EXPIRETIME {any}
PEXPIRETIME {any}
TOUCH {any}+
KEYS {pattern}
SCAN 0 [MATCH {pattern}] [COUNT {count}] [TYPE (string|list|set|zset|hash|stream|none)]
RANDOMKEY
DBSIZE
DUMP {any}
OBJECT ENCODING {any}
OBJECT REFCOUNT {any}
OBJECT IDLETIME {any}
OBJECT FREQ {any}
OBJECT HELP
MEMORY USAGE {any} [SAMPLES {count}]
SORT_RO {list} [BY (nosort|{pattern}|num:*|hash:*->m1)] [LIMIT {limit} {limit}] [GET (#|str:*)] [(ASC|DESC)] [ALPHA]
SORT_RO {set} ALPHA [LIMIT {limit} {limit}] [DESC]
SORT_RO {zset} (BY nosort|ALPHA|BY x) [DESC] [LIMIT {limit} {limit}]
DEBUG DIGEST-VALUE {any}+
DEBUG DIGEST
";

const SCRIPT: &str = r##"
EVAL_RO "return redis.call('GET',KEYS[1])" 1 {any}
EVAL_RO "return {redis.call('LRANGE',KEYS[1],0,-1),redis.call('ZSCORE',KEYS[2],ARGV[1])}" 2 {list} {zset} {m}
EVAL "return redis.pcall('SET',KEYS[1],1)" 1 {str}
EVAL "return redis.call('HGET',KEYS[1],ARGV[1])" 1 {hash} {m}
EVAL "return {ARGV[1],#KEYS,3.7,true,false,redis.status_reply('x'),redis.error_reply('y')}" 1 {any} {value}
EVAL "return {KEYS,ARGV}" #{any}+ {value}+
EVAL "return redis.pcall('ZRANGE',KEYS[1],ARGV[1],ARGV[2],'WITHSCORES')" 1 {zset} {index} {index}
EVAL_RO "redis.setresp(3) return redis.call('ZRANGE',KEYS[1],0,-1,'WITHSCORES')" 1 {zset}
EVAL_RO "redis.setresp(3) return {redis.pcall('ZSCORE',KEYS[1],ARGV[1]),redis.pcall('HGET',KEYS[1],ARGV[1])}" 1 {any} {m}
EVAL "return {double=tonumber(redis.call('ZSCORE',KEYS[1],ARGV[1]) or 0)}" 1 {zset} {m}
EVAL "local t=redis.call('SMEMBERS',KEYS[1]) table.sort(t) return t" 1 {any}
EVAL "local t=redis.call('HGETALL',KEYS[1]) local r={} for i=1,#t,2 do r[#r+1]=t[i]..'='..t[i+1] end table.sort(r) return r" 1 {hash}
EVAL "redis.setresp(3) local r={} for k,v in pairs(redis.call('HGETALL',KEYS[1]).map) do r[#r+1]=k..'='..v end table.sort(r) return r" 1 {hash}
EVAL_RO "redis.setresp(3) local r={} for k in pairs(redis.call('SMEMBERS',KEYS[1]).set) do r[#r+1]=k end table.sort(r) return r" 1 {set}
EVAL "return redis.call('XRANGE',KEYS[1],'-','+','COUNT',ARGV[1])" 1 {stream} {count}
EVAL "return redis.call('XREAD','BLOCK',0,'STREAMS',KEYS[1],ARGV[1])" 1 {stream} {id}
EVAL "return {redis.pcall('TYPE',KEYS[1]),redis.pcall('STRLEN',KEYS[1]),redis.pcall('LLEN',KEYS[1]),redis.pcall('SCARD',KEYS[1])}" 1 {any}
EVAL "local ok,e=pcall(redis.call,'INCR',KEYS[1]) return {ok,type(e),redis.pcall('GETRANGE',KEYS[1],0,5)}" 1 {any}
EVAL "return cmsgpack.pack(redis.call('LRANGE',KEYS[1],0,ARGV[1]))" 1 {list} {index}
EVAL "return cmsgpack.unpack(redis.call('GET',KEYS[1]) or '')" 1 {str}
EVAL "local t={} for w in string.gmatch(redis.call('GET',KEYS[1]) or '','%w+') do t[#t+1]=w end return t" 1 {str}
EVAL "return {string.gsub(redis.call('GET',KEYS[1]) or '','%d',function(d) return d+1 end)}" 1 {str}
EVAL "return tonumber(redis.call('GET',KEYS[1]) or 0)" 1 {num}
EVAL "return tostring(tonumber(redis.call('GET',KEYS[1]) or 0))" 1 {num}
EVAL "return redis.call('ECHO',tonumber(redis.call('GET',KEYS[1])) or 0)" 1 {num}
EVAL "local n=tonumber(redis.call('GET',KEYS[1])) or 0 return {struct.pack('>ldf',n,n,n),cmsgpack.pack(n),bit.band(n,255)}" 1 {num}
EVAL "return redis.call('SORT',KEYS[1],'ALPHA','LIMIT',0,5)" 1 {list}
EVAL "return redis.call('BITCOUNT',KEYS[1])" 1 {any}
EVAL_RO "return redis.call('PFCOUNT',KEYS[1])" 1 {pf}
EVAL "redis.setresp(3) return redis.call('GEOPOS',KEYS[1],ARGV[1])" 1 {geo} {m}
EVAL_RO "redis.setresp(3) return redis.call('GEOPOS',KEYS[1],ARGV[1])" 1 {geo} {m}
EVAL "redis.call('SELECT',ARGV[1]) return redis.call('LLEN',KEYS[1])" 1 {list} {db}
EVAL "return {redis.call('EXISTS',unpack(KEYS)),redis.sha1hex(ARGV[1])}" #{any}+ {value}
EVAL "return redis.call(ARGV[1],KEYS[1])" 1 {any} (GET|LLEN|DEL|NOSUCH|SUBSCRIBE|OBJECT|HLEN|BLPOP|TYPE)
EVAL "#!lua flags=no-writes\nreturn redis.call('TYPE',KEYS[1])" 1 {any}
EVAL "#!lua\nreturn 1" 0
EVAL "return nosuch" 0
EVAL "return (" 0
EVAL "error({err=ARGV[1] or 'none'})" 0 {m}
EVAL "return 1" (-1|x|2)
EVALSHA ffffffffffffffffffffffffffffffffffffffff 0
EVALSHA_RO ffffffffffffffffffffffffffffffffffffffff 1 {any}
SCRIPT EXISTS ffffffffffffffffffffffffffffffffffffffff
SCRIPT LOAD "return 1"
SCRIPT KILL
FCALL f1 1 {str} {value}
FCALL f2 1 {any}
FCALL f3 1 {list} {value}
FCALL f4 0 {value}
FCALL_RO f1 1 {str} {value}
FCALL_RO f2 1 {any}
FCALL_RO f3 1 {list} {value}
FCALL_RO f4 0 {value}
FUNCTION LIST [LIBRARYNAME {pattern}] [WITHCODE]
FUNCTION STATS
FUNCTION KILL
FUNCTION DUMP
"##;

const CONNECTION: &str = "
PING [{value}]
ECHO {value}
SELECT (99|x|-1)
CLIENT GETNAME
CLIENT SETNAME {m}
CLIENT GETREDIR
CLIENT NO-EVICT (ON|OFF)
CLIENT HELP
COMMAND COUNT
COMMAND HELP
COMMAND GETKEYS (ZUNION|ZINTER|SINTERCARD|EVAL_RO s|FCALL f|LMPOP) {count} {any} {any}
COMMAND GETKEYS ZUNION #{zset}+
COMMAND GETKEYS SORT {list} [BY num:*] [LIMIT 0 1] [GET (STORE|#)] STORE {list}
COMMAND INFO (nosuch|get)
COMMAND DOCS nosuch
MULTI
COMMAND LIST FILTERBY PATTERN {pattern}
LATENCY LATEST
ROLE
TIME
LASTSAVE
CLUSTERSCAN 0
SLOWLOG HELP
ACL WHOAMI
ACL CAT
DISCARD
EXEC
UNWATCH
WATCH {any}
CONFIG GET (hash-max-listpack-entries|zset-max-ziplist-value|set-max-intset-entries|databases)
CONFIG GET {pattern} (*-max-*|HASH-MAX-ZIPLIST-VALUE|?ave)
NOSUCHCOMMAND {any} {value}
MIGRATE 127.0.0.1 1 {any} 0 1
VADD {any} VALUES 2 1 1 {m}
VREM {any} {m}
VSETATTR {any} {m} {value}
CLUSTER INFO
PUBSUB CHANNELS
PUBSUB NUMSUB {channel}
PUBSUB NUMPAT
";

/// Reads of missing keys and of keys with other types. `vectors` compares existing sets.
const VECTORS: &str = "
VCARD {any} [{m}]
VDIM {any}
VEMB {any} {m} [(RAW|x)]
VGETATTR {any} {m}
VINFO {any}
VISMEMBER {any} {m}
VLINKS {any} {m} [(WITHSCORES|x)]
VRANDMEMBER {any} [{count}]
VRANGE {any} (-|\"[a\"|x) (\"+\"|\"(b\"|-) [{count}]
VSIM {any} ELE {m} [WITHSCORES] [WITHATTRIBS] [COUNT {count}]
VSIM {any} VALUES 2 1 1 [TRUTH] [EPSILON {count}]
";

/// Reads of missing keys and of keys with other types: no server of the tests has arrays.
const ARRAYS: &str = "
ARGET {any} {index}
ARMGET {any} {index}+
ARGETRANGE {any} {index} {index}
ARSCAN {any} {index} {index} [LIMIT {count}]
ARLEN {any}
ARCOUNT {any}
ARNEXT {any}
ARLASTITEMS {any} {count} [REV]
AROP {any} {index} {index} (SUM|MIN|MAX|AND|OR|XOR|USED|MATCH {value})
ARGREP {any} - + (EXACT|MATCH|GLOB|RE) {value} [NOCASE] [WITHVALUES]
ARINFO {any} [FULL]
";
