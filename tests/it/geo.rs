//! Places: the replies to random searches equal the primary's, byte for byte.

use fastrand::Rng;

use crate::client::words;
use crate::servers::{ALL, Server};

/// The number of searches in each protocol version. The searched sets are small and large, dense and wide, regular and irregular.
const SEARCHES: usize = 400;
const KEYS: [&str; 6] = ["small", "wide", "town", "grid", "edge", "odd"];
const UNITS: [&str; 4] = ["m", "km", "ft", "mi"];

struct Places(Rng);

impl Places {
    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.0.usize(..words.len())]
    }

    fn near(&mut self, middle: f64, reach: f64, limit: f64) -> f64 {
        (middle + (self.0.f64() - 0.5) * reach).clamp(-limit, limit)
    }

    /// A longitude and a latitude, as words.
    fn point(&mut self, key: &str) -> String {
        let (longitude, latitude) = match key {
            "town" => (self.near(13.3, 0.5, 180.0), self.near(52.5, 0.5, 85.0)),
            "grid" => (
                f64::from(self.0.i32(-9..9) * 20),
                f64::from(self.0.i32(-4..5) * 20),
            ),
            "edge" => {
                let longitudes = [-180.0, 180.0, 0.0, 179.99, -179.99];
                let latitudes = [85.05112878, -85.05112878, 0.0, 66.1, -80.1];
                (longitudes[self.0.usize(..5)], latitudes[self.0.usize(..5)])
            }
            _ => (self.near(0.0, 360.0, 180.0), self.near(0.0, 170.0, 85.0)),
        };
        format!("{longitude} {latitude}")
    }

    fn writes(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        for (key, count) in [
            ("small", 60),
            ("wide", 800),
            ("town", 400),
            ("grid", 300),
            ("edge", 80),
        ] {
            for member in 0..count {
                lines.push(format!("GEOADD {key} {} m{member}", self.point(key)));
            }
        }
        for score in [
            "-1",
            "-1.5",
            "1e300",
            "-inf",
            "inf",
            "0.5",
            "4503599627370496",
            "2e19",
        ] {
            lines.push(format!("ZADD odd {score} m{score}"));
        }
        for index in 0..20 {
            let key = self.pick(&KEYS);
            let place = format!("{} {}", self.point("grid"), self.radius());
            let keep = self.pick(&["STORE", "STOREDIST"]);
            lines.push(format!(
                "GEORADIUS {key} {place} COUNT 9 {keep} kept{index}"
            ));
            lines.push(format!(
                "GEORADIUSBYMEMBER {key} m1 900 km {keep} by{index}"
            ));
            lines.push(format!(
                "GEOSEARCHSTORE found{index} {key} FROMLONLAT 10 20 BYBOX 9000 9000 km DESC"
            ));
        }
        lines
    }

    /// A radius or the length of a side, and a unit.
    fn radius(&mut self) -> String {
        let radius = match self.0.u8(..12) {
            0 => "0".to_owned(),
            1 => "20000".to_owned(),
            2 => "inf".to_owned(),
            _ => format!("{:.3}", 10_f64.powf(self.0.f64() * 5.0)),
        };
        format!("{radius} {}", self.pick(&UNITS))
    }

    fn options(&mut self) -> String {
        let mut options = String::new();
        for option in [
            " WITHCOORD",
            " WITHDIST",
            " WITHHASH",
            " ASC",
            " DESC",
            " COUNT 3",
            " COUNT 20",
            " ANY",
        ] {
            if self.0.u8(..4) == 0 {
                options.push_str(option);
            }
        }
        options
    }

    fn search(&mut self) -> String {
        let key = self.pick(&KEYS);
        let (from, other) = (
            self.pick(&KEYS),
            self.pick(&["m1", "m2", "m33", "m-1", "none"]),
        );
        let member = format!("m{}", self.0.u8(..90));
        match self.0.u8(..8) {
            0 => format!("GEODIST {key} {member} {other} {}", self.pick(&UNITS)),
            1 => format!("GEOHASH {key} {member} {other}"),
            2 => format!("GEOPOS {key} {member} {other}"),
            3 => format!(
                "GEORADIUS_RO {key} {} {}{}",
                self.point(from),
                self.radius(),
                self.options()
            ),
            4 => format!(
                "GEORADIUSBYMEMBER_RO {key} {member} {}{}",
                self.radius(),
                self.options()
            ),
            5 => format!(
                "GEOSEARCH {key} FROMMEMBER {member} BYRADIUS {}{}",
                self.radius(),
                self.options()
            ),
            6 => format!(
                "GEOSEARCH {key} FROMLONLAT {} BYBOX 700 {}{}",
                self.point(from),
                self.radius(),
                self.options()
            ),
            _ => {
                let corners: Vec<String> = (0..4).map(|_| self.point(from)).collect();
                format!(
                    "GEOSEARCH {key} BYPOLYGON 4 {}{}",
                    corners.join(" "),
                    self.options()
                )
            }
        }
    }
}

fn search_and_compare(name: &str, seed: u64) {
    let Some(primary) = Server::start(name, &[]) else {
        return;
    };
    let mut places = Places(Rng::with_seed(seed));
    let writes: Vec<_> = places.writes().iter().map(|line| words(line)).collect();
    primary.client().pipeline(&writes);
    let redtail = Server::redtail(&primary);
    let mut searches: Vec<_> = (0..SEARCHES).map(|_| words(&places.search())).collect();
    for index in 0..20 {
        for kept in ["kept", "by", "found"] {
            searches.push(words(&format!("ZRANGE {kept}{index} 0 -1 WITHSCORES")));
        }
    }
    // Redis 6.0 does not have the command, and words its error differently.
    searches.retain(|words| name != "redis-6.0" || words[0] != b"GEOSEARCH");
    // In this case Valkey reads memory that it never wrote.
    redtail.answers_as(&primary, name, &searches, |reply| {
        reply.0.starts_with(b"-ERR the middle of the polygon")
    });
}

#[test]
fn searches_find_what_the_primary_finds() {
    for (index, name) in ALL.iter().enumerate() {
        search_and_compare(name, 500 + index as u64);
    }
}

/// The same for writes from the stream instead of from a snapshot.
#[test]
fn stored_searches_of_the_stream_keep_what_the_primary_keeps() {
    for name in ALL {
        let Some(primary) = Server::start(name, &[]) else {
            return;
        };
        let redtail = Server::redtail(&primary);
        let writes: Vec<_> = Places(Rng::with_seed(7))
            .writes()
            .iter()
            .map(|line| words(line))
            .collect();
        primary.client().pipeline(&writes);
        redtail.wait_in_sync(&primary);
        let mut questions = Vec::new();
        for key in
            (0..20).flat_map(|index| ["kept", "by", "found"].map(|kept| format!("{kept}{index}")))
        {
            questions.push(words(&format!("ZRANGE {key} 0 -1 WITHSCORES")));
            questions.push(words(&format!("OBJECT ENCODING {key}")));
        }
        redtail.answers_as(&primary, name, &questions, |_| false);
    }
}
