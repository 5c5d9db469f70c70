//! Geohash cells: places on earth as bits, which alternate between longitude and latitude.
//!
//! All arithmetic follows Redis, operation by operation, so that the last bit agrees.
//! Source: redis 7.0 geohash.c; the same in every version.

/// A longitude and a latitude in degrees, or a difference in each.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Point {
    pub(super) longitude: f64,
    pub(super) latitude: f64,
}

/// The part of the world that bits address.
#[derive(Debug, Clone, Copy)]
pub(super) struct World {
    pub(super) min: Point,
    pub(super) max: Point,
}

/// What can be indexed: Web Mercator ends before the poles.
pub(super) const INDEXED: World = World {
    min: Point {
        longitude: -180.0,
        latitude: -85.051_128_78,
    },
    max: Point {
        longitude: 180.0,
        latitude: 85.051_128_78,
    },
};

/// What geohash texts can address.
pub(super) const WHOLE: World = World {
    min: Point {
        longitude: -180.0,
        latitude: -90.0,
    },
    max: Point {
        longitude: 180.0,
        latitude: 90.0,
    },
};

/// The bits of each coordinate in a score.
pub(super) const STEPS_MAX: u32 = 26;

/// A rectangle of the world: `2 × steps` bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) bits: u64,
    /// 1 to [`STEPS_MAX`].
    pub(super) steps: u32,
}

/// The corners of a cell, south-west and north-east.
#[derive(Debug, Clone, Copy)]
pub(super) struct Area {
    pub(super) min: Point,
    pub(super) max: Point,
}

impl World {
    /// Whether a point lies inside or on the edge.
    pub(super) fn holds(&self, point: Point) -> bool {
        (self.min.longitude..=self.max.longitude).contains(&point.longitude)
            && (self.min.latitude..=self.max.latitude).contains(&point.latitude)
    }
}

impl Cell {
    /// Returns the cell of `point` in `world`, or `None` outside of what can be indexed.
    pub(super) fn of(point: Point, world: &World, steps: u32) -> Option<Self> {
        if !INDEXED.holds(point) || !world.holds(point) {
            return None;
        }
        let scale = (1_u64 << steps) as f64;
        let part = |value: f64, min: f64, max: f64| fixed((value - min) / (max - min) * scale);
        let latitude = part(point.latitude, world.min.latitude, world.max.latitude);
        let longitude = part(point.longitude, world.min.longitude, world.max.longitude);
        Some(Self {
            bits: spread(latitude) | spread(longitude) << 1,
            steps,
        })
    }

    /// Returns the cell that a sorted set's score encodes.
    pub(super) fn of_score(score: f64) -> Self {
        Self {
            bits: unsigned(score),
            steps: STEPS_MAX,
        }
    }

    /// Returns its corners.
    pub(super) fn area(self) -> Area {
        let (latitude, longitude) = (gather(self.bits), gather(self.bits >> 1));
        let scale = (1_u64 << self.steps) as f64;
        let at = |part: u32, min: f64, max: f64| min + (f64::from(part) / scale) * (max - min);
        let corner = |longitude, latitude| Point {
            longitude: at(longitude, INDEXED.min.longitude, INDEXED.max.longitude),
            latitude: at(latitude, INDEXED.min.latitude, INDEXED.max.latitude),
        };
        Area {
            min: corner(longitude, latitude),
            // A score that is no geohash can have all bits set.
            max: corner(longitude.wrapping_add(1), latitude.wrapping_add(1)),
        }
    }

    /// Returns its middle, clamped to what can be indexed.
    pub(super) fn centre(self) -> Point {
        let Area { min, max } = self.area();
        let middle =
            |min: f64, max: f64, least: f64, most: f64| ((min + max) / 2.0).clamp(least, most);
        Point {
            longitude: middle(
                min.longitude,
                max.longitude,
                INDEXED.min.longitude,
                INDEXED.max.longitude,
            ),
            latitude: middle(
                min.latitude,
                max.latitude,
                INDEXED.min.latitude,
                INDEXED.max.latitude,
            ),
        }
    }

    /// Returns the neighbouring cell: one to the east (or west, or neither), one to the north (or south, or neither). The
    /// world wraps around in both directions.
    pub(super) fn beside(self, east: i8, north: i8) -> Self {
        const LONGITUDE: u64 = 0xaaaa_aaaa_aaaa_aaaa;
        const LATITUDE: u64 = 0x5555_5555_5555_5555;
        let unused = u64::BITS - self.steps * 2;
        let longitude = step(
            self.bits & LONGITUDE,
            LATITUDE >> unused,
            LONGITUDE >> unused,
            east,
        );
        let latitude = step(
            self.bits & LATITUDE,
            LONGITUDE >> unused,
            LATITUDE >> unused,
            north,
        );
        Self {
            bits: longitude | latitude,
            ..self
        }
    }

    /// Returns the scores of all places in it: from the first up to, but not including, the second.
    pub(super) fn scores(self) -> (f64, f64) {
        let shift = 2 * (STEPS_MAX - self.steps);
        let first = |bits: u64| (bits << shift) as f64;
        (first(self.bits), first(self.bits.wrapping_add(1)))
    }
}

/// Adds or subtracts one in every other bit; the bits `between` pass the carry on.
const fn step(bits: u64, between: u64, own: u64, direction: i8) -> u64 {
    let moved = match direction {
        0 => return bits,
        1.. => bits.wrapping_add(between + 1),
        _ => (bits | between).wrapping_sub(between + 1),
    };
    moved & own
}

/// Spreads the bits of `value` to every other position.
fn spread(value: u32) -> u64 {
    const MASKS: [(u32, u64); 5] = [
        (16, 0x0000_ffff_0000_ffff),
        (8, 0x00ff_00ff_00ff_00ff),
        (4, 0x0f0f_0f0f_0f0f_0f0f),
        (2, 0x3333_3333_3333_3333),
        (1, 0x5555_5555_5555_5555),
    ];
    MASKS.iter().fold(u64::from(value), |bits, (shift, mask)| {
        (bits | bits << shift) & mask
    })
}

/// Gathers every other bit.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the last mask leaves 32 bits"
)]
fn gather(bits: u64) -> u32 {
    const MASKS: [(u32, u64); 6] = [
        (0, 0x5555_5555_5555_5555),
        (1, 0x3333_3333_3333_3333),
        (2, 0x0f0f_0f0f_0f0f_0f0f),
        (4, 0x00ff_00ff_00ff_00ff),
        (8, 0x0000_ffff_0000_ffff),
        (16, 0x0000_0000_ffff_ffff),
    ];
    MASKS
        .iter()
        .fold(bits, |bits, (shift, mask)| (bits | bits >> shift) & mask) as u32
}

/// Returns the whole part of a value from 0 to 2²⁶.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the point lies in the world, so the value is in range"
)]
const fn fixed(value: f64) -> u32 {
    value as u32
}

/// Converts a double as C's cast to `int64_t` does on x86-64: truncated, or the smallest number if it does not fit.
///
/// DIFFERENCE: servers on other processors get another number for a score that is no geohash and does not fit.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
pub(super) fn signed(value: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&value) {
        value as i64
    } else {
        i64::MIN
    }
}

/// Converts a double as C's cast to `uint64_t` does on x86-64.
fn unsigned(value: f64) -> u64 {
    const HALF: f64 = 9_223_372_036_854_775_808.0;
    if value < HALF {
        signed(value).cast_unsigned()
    } else {
        signed(value - HALF).cast_unsigned() ^ (1 << 63)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_found_again_within_its_cell() {
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..10_000 {
            let point = Point {
                longitude: random.f64() * 360.0 - 180.0,
                latitude: (random.f64() - 0.5) * 2.0 * INDEXED.max.latitude,
            };
            for steps in [1, 5, STEPS_MAX] {
                let cell = Cell::of(point, &INDEXED, steps).unwrap_or(Cell { bits: 0, steps: 1 });
                let Area { min, max } = cell.area();
                assert!((min.longitude..=max.longitude).contains(&point.longitude));
                assert!((min.latitude..=max.latitude).contains(&point.latitude));
            }
        }
    }

    #[test]
    fn neighbours_lie_beside_and_lead_back() {
        let middle = Cell {
            bits: 0b1100_0011,
            steps: 4,
        };
        for (east, north) in [(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1)] {
            let beside = middle.beside(east, north);
            assert_eq!(beside.beside(-east, -north), middle);
            let (here, there) = (middle.area(), beside.area());
            if east == 1 {
                assert_eq!(here.max.longitude, there.min.longitude);
            }
            if north == 1 {
                assert_eq!(here.max.latitude, there.min.latitude);
            }
        }
        let corner = Cell { bits: 0, steps: 4 };
        assert_eq!(corner.beside(-1, 0).area().max.longitude, 180.0);
    }

    #[test]
    fn scores_that_are_no_geohash_are_cut_as_by_the_processor() {
        assert_eq!(Cell::of_score(-1.5).bits, u64::MAX);
        assert_eq!(Cell::of_score(f64::INFINITY).bits, 0);
        assert_eq!(Cell::of_score(f64::NEG_INFINITY).bits, 1 << 63);
        assert_eq!(Cell::of_score(1e19).bits, 10_000_000_000_000_000_000);
        assert_eq!(signed(1e300), i64::MIN);
    }
}
