//! Distances on earth.
//!
//! Source: redis 7.0 and valkey 9.1 geohash_helper.c, operation by operation.

use super::cell::Point;
use crate::dialect::Dialect;

/// The earth's mean radius in metres.
const RADIUS_M: f64 = 6_372_797.560_856;
/// A degree in radians.
const DEGREE: f64 = std::f64::consts::PI / 180.0;

/// How a server computes distances.
#[derive(Debug, Clone, Copy)]
pub(super) struct Earth {
    /// Sines up to this value count as the same longitude; `None` for servers that always compute everything.
    same_longitude_max: Option<f64>,
}

impl Earth {
    /// Returns how the server of `dialect` does it.
    pub(super) const fn of(dialect: Dialect) -> Self {
        let same_longitude_max = if dialect.has_geo_polygons() {
            Some(1e-15)
        } else if dialect.has_quick_geo_distances() {
            Some(0.0)
        } else {
            None
        };
        Self { same_longitude_max }
    }

    /// Returns the great-circle distance between two points in metres, by the haversine formula.
    pub(super) fn distance_m(self, one: Point, other: Point) -> f64 {
        let (from, to) = (radians(one.longitude), radians(other.longitude));
        let v = ((to - from) / 2.0).sin();
        if self.same_longitude_max.is_some_and(|most| v.abs() <= most) {
            return meridian_m(one.latitude, other.latitude);
        }
        let (low, high) = (radians(one.latitude), radians(other.latitude));
        let u = ((high - low) / 2.0).sin();
        let a = u * u + low.cos() * high.cos() * v * v;
        2.0 * RADIUS_M * a.sqrt().asin()
    }

    /// Returns the distance in metres between two points on one meridian.
    pub(super) fn latitude_distance_m(self, one: Point, other: Point) -> f64 {
        match self.same_longitude_max {
            Some(_) => meridian_m(other.latitude, one.latitude),
            None => self.distance_m(
                other,
                Point {
                    longitude: other.longitude,
                    ..one
                },
            ),
        }
    }
}

fn meridian_m(one: f64, other: f64) -> f64 {
    RADIUS_M * (radians(other) - radians(one)).abs()
}

/// Converts degrees to radians.
pub(super) fn radians(degrees: f64) -> f64 {
    degrees * DEGREE
}

/// Converts radians to degrees.
pub(super) fn degrees(radians: f64) -> f64 {
    radians / DEGREE
}

/// Returns the angle in degrees that a distance in metres spans at the earth's centre.
pub(super) fn angle(distance_m: f64) -> f64 {
    degrees(distance_m / RADIUS_M)
}

/// Returns the same angle along a circle of latitude.
pub(super) fn angle_along(distance_m: f64, latitude: f64) -> f64 {
    degrees(distance_m / RADIUS_M / radians(latitude).cos())
}
