//! Shapes to search in, and the cells that cover them.

use super::cell::{Area, Cell, INDEXED, Point, STEPS_MAX};
use super::earth::{Earth, angle, angle_along, degrees, radians};
use crate::dialect::Dialect;

/// The shape around the centre, in units of `unit_m` metres.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    /// Everything within a radius.
    Circle(f64),
    /// A width and a height around the centre.
    Rectangle(f64, f64),
    /// At least three corners.
    Polygon(Vec<Point>),
}

/// A shape and its position.
#[derive(Debug, Clone)]
pub(super) struct Search {
    pub(super) shape: Shape,
    pub(super) centre: Point,
    /// Metres in the unit of the command's and the reply's lengths.
    pub(super) unit_m: f64,
}

/// Half the world's circumference in metres, in Web Mercator.
const MERCATOR_MAX_M: f64 = 20_037_726.37;

impl Search {
    /// Moves the centre of a polygon to its middle.
    pub(super) fn centred(mut self) -> Self {
        if let Shape::Polygon(corners) = &self.shape {
            self.centre = middle(corners);
        }
        self
    }

    /// Returns the distance of `point` from the centre in metres, if the point lies inside.
    pub(super) fn distance_m(&self, earth: Earth, point: Point) -> Option<f64> {
        match &self.shape {
            Shape::Circle(radius) => {
                let distance = earth.distance_m(self.centre, point);
                // As in C, a comparison with NaN is false: the point counts as inside.
                let outside = distance > radius * self.unit_m;
                return (!outside).then_some(distance);
            }
            Shape::Rectangle(width, height) => {
                let (width_m, height_m) = (width * self.unit_m, height * self.unit_m);
                let beside = Point {
                    latitude: point.latitude,
                    ..self.centre
                };
                if earth.latitude_distance_m(self.centre, point) > height_m / 2.0
                    || earth.distance_m(point, beside) > width_m / 2.0
                {
                    return None;
                }
            }
            Shape::Polygon(corners) => {
                if !is_inside(point, corners) {
                    return None;
                }
            }
        }
        Some(earth.distance_m(self.centre, point))
    }

    /// Returns the cells to search, in order, with `None` for a cell that the bounds do not reach. The centre's cell
    /// comes first. Returns `None` if the centre itself cannot be indexed, which happens only to a polygon's.
    ///
    /// DIFFERENCE: Valkey then uses cells that it never wrote, so its answer is unpredictable.
    ///
    /// Source: redis 7.0 geohash_helper.c, `geohashCalculateAreasByShapeWGS84`.
    pub(super) fn cells(&self, earth: Earth, dialect: Dialect) -> Option<[Option<Cell>; 9]> {
        let bounds = self.bounds(dialect);
        let reach_m = self.reach_m(earth, bounds);
        let mut steps = estimate_steps(reach_m, self.centre.latitude);
        let mut cell = Cell::of(self.centre, &INDEXED, steps)?;
        let too_fine = if dialect.has_geo_shapes() {
            overreaches(cell, bounds)
        } else {
            self.is_nearer_than(cell, earth, reach_m)
        };
        if steps > 1 && too_fine {
            steps -= 1;
            cell = Cell::of(self.centre, &INDEXED, steps)?;
        }
        Some(around(cell, bounds))
    }

    /// Returns the box around the shape. Source: as above, `geohashBoundingBox`, in Redis 6.0 and since 6.2.
    fn bounds(&self, dialect: Dialect) -> Area {
        let (width_m, height_m) = match &self.shape {
            Shape::Circle(radius) => (self.unit_m * radius, self.unit_m * radius),
            Shape::Rectangle(width, height) => {
                (self.unit_m * width / 2.0, self.unit_m * height / 2.0)
            }
            Shape::Polygon(corners) => return extent(corners),
        };
        let Point {
            longitude,
            latitude,
        } = self.centre;
        let up = angle(height_m);
        let widest = match (dialect.has_geo_shapes(), latitude < 0.0) {
            (false, _) => latitude,
            (true, false) => latitude + up,
            (true, true) => latitude - up,
        };
        let aside = angle_along(width_m, widest);
        let corner = |longitude, latitude| Point {
            longitude,
            latitude,
        };
        Area {
            min: corner(longitude - aside, latitude - up),
            max: corner(longitude + aside, latitude + up),
        }
    }

    /// Returns how far the shape reaches from its centre, in metres.
    fn reach_m(&self, earth: Earth, bounds: Area) -> f64 {
        let reach = match &self.shape {
            Shape::Circle(radius) => *radius,
            Shape::Rectangle(width, height) => {
                ((width / 2.0) * (width / 2.0) + (height / 2.0) * (height / 2.0)).sqrt()
            }
            Shape::Polygon(_) => self.farthest_corner_m(earth, bounds),
        };
        reach * self.unit_m
    }

    fn farthest_corner_m(&self, earth: Earth, Area { min, max }: Area) -> f64 {
        let corners = [
            (min.longitude, max.latitude),
            (max.longitude, max.latitude),
            (min.longitude, min.latitude),
            (max.longitude, min.latitude),
        ];
        let mut farthest = f64::NEG_INFINITY;
        for (longitude, latitude) in corners {
            let corner = Point {
                longitude,
                latitude,
            };
            let distance = earth.distance_m(self.centre, corner);
            if distance > farthest {
                farthest = distance;
            }
        }
        farthest
    }

    /// Whether a cell next to the centre's ends within `reach_m`: the test of Redis 6.0.
    fn is_nearer_than(&self, cell: Cell, earth: Earth, reach_m: f64) -> bool {
        let sides = Sides::of(cell);
        let ends = [
            (self.centre.longitude, sides.north),
            (self.centre.longitude, sides.south),
            (sides.east, self.centre.latitude),
            (sides.west, self.centre.latitude),
        ];
        ends.iter().any(|(longitude, latitude)| {
            let end = Point {
                longitude: *longitude,
                latitude: *latitude,
            };
            earth.distance_m(self.centre, end) < reach_m
        })
    }
}

/// The outer ends of the cells next to a cell.
struct Sides {
    north: f64,
    south: f64,
    east: f64,
    west: f64,
}

impl Sides {
    fn of(cell: Cell) -> Self {
        Self {
            north: cell.beside(0, 1).area().max.latitude,
            south: cell.beside(0, -1).area().min.latitude,
            east: cell.beside(1, 0).area().max.longitude,
            west: cell.beside(-1, 0).area().min.longitude,
        }
    }
}

/// Whether the bounds reach beyond the cells next to `cell`.
fn overreaches(cell: Cell, Area { min, max }: Area) -> bool {
    let sides = Sides::of(cell);
    sides.north < max.latitude
        || sides.south > min.latitude
        || sides.east < max.longitude
        || sides.west > min.longitude
}

/// Returns a cell and its neighbours, without those that the bounds do not reach.
fn around(cell: Cell, Area { min, max }: Area) -> [Option<Cell>; 9] {
    const ORDER: [(i8, i8); 9] = [
        (0, 0),
        (0, 1),
        (0, -1),
        (1, 0),
        (-1, 0),
        (1, 1),
        (-1, 1),
        (1, -1),
        (-1, -1),
    ];
    let area = cell.area();
    // Cells of one step are half the world, so all of them are searched.
    let fine = cell.steps >= 2;
    let no_south = fine && area.min.latitude < min.latitude;
    let no_north = fine && area.max.latitude > max.latitude;
    let no_west = fine && area.min.longitude < min.longitude;
    let no_east = fine && area.max.longitude > max.longitude;
    ORDER.map(|(east, north)| {
        let useless = (north < 0 && no_south)
            || (north > 0 && no_north)
            || (east < 0 && no_west)
            || (east > 0 && no_east);
        (!useless).then(|| cell.beside(east, north))
    })
}

/// Returns how many bits of each coordinate leave cells that are not smaller than the reach.
///
/// Source: redis 7.0 geohash_helper.c, `geohashEstimateStepsByRadius`.
fn estimate_steps(mut reach_m: f64, latitude: f64) -> u32 {
    if reach_m == 0.0 {
        return STEPS_MAX;
    }
    let mut doublings = 0_u32;
    while reach_m < MERCATOR_MAX_M {
        reach_m *= 2.0;
        doublings += 1;
    }
    // One step coarser makes cells twice as wide. Near the poles, where cells narrow, one or two more.
    let coarser = 1 + u32::from(latitude.abs() > 66.0) + u32::from(latitude.abs() > 80.0);
    doublings.saturating_sub(coarser).clamp(1, STEPS_MAX)
}

/// Returns the box around the corners.
fn extent(corners: &[Point]) -> Area {
    let mut area = Area {
        min: INDEXED.max,
        max: INDEXED.min,
    };
    for corner in corners {
        area.min.longitude = area.min.longitude.min(corner.longitude);
        area.min.latitude = area.min.latitude.min(corner.latitude);
        area.max.longitude = area.max.longitude.max(corner.longitude);
        area.max.latitude = area.max.latitude.max(corner.latitude);
    }
    area
}

/// Returns the middle of the corners, computed in three dimensions. Source: valkey 9.1 geohash_helper.c,
/// `geohashBoundingBox`.
fn middle(corners: &[Point]) -> Point {
    let (mut x, mut y, mut z) = (0.0_f64, 0.0_f64, 0.0_f64);
    for corner in corners {
        let (longitude, latitude) = (radians(corner.longitude), radians(corner.latitude));
        x += latitude.cos() * longitude.cos();
        y += latitude.cos() * longitude.sin();
        z += latitude.sin();
    }
    Point {
        longitude: degrees(y.atan2(x)),
        latitude: degrees(z.atan2((x * x + y * y).sqrt())),
    }
}

/// Whether a ray from `point` crosses the polygon's sides an odd number of times.
///
/// Source: valkey 9.1 geohash_helper.c, `geohashGetDistanceIfInPolygon`.
fn is_inside(point: Point, corners: &[Point]) -> bool {
    let before = corners.last().into_iter().chain(corners);
    let crossed = corners.iter().zip(before).filter(|(one, other)| {
        (one.latitude > point.latitude) != (other.latitude > point.latitude)
            && point.longitude
                < (other.longitude - one.longitude) * (point.latitude - one.latitude)
                    / (other.latitude - one.latitude)
                    + one.longitude
    });
    crossed.count() % 2 == 1
}
