//! Parses a search.
//!
//! Words are checked in Redis's order, and against the searched key where Redis does so. Source: redis 6.0, 6.2, 7.0 and
//! valkey 9.1 geo.c, `georadiusGeneric`.

use super::cell::{Cell, INDEXED, Point};
use super::shape::{Search, Shape};
use crate::command::rows::Error;
use crate::command::rows::parse::{float, integer};
use crate::dialect::Dialect;
use crate::resp::Args;
use crate::value::Zset;

/// How a command states where to search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `key longitude latitude radius unit`.
    Radius,
    /// `key member radius unit`.
    RadiusByMember,
    /// `key` and options.
    Search,
    /// `destination key` and options.
    SearchStore,
}

/// The order of the found places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    AsFound,
    Ascending,
    Descending,
}

/// What the reply says about each place besides its name.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Told {
    pub(super) distance: bool,
    pub(super) hash: bool,
    pub(super) coordinates: bool,
}

impl Told {
    /// Returns how many of these the reply has.
    pub(super) fn count(self) -> usize {
        [self.distance, self.hash, self.coordinates]
            .into_iter()
            .filter(|told| *told)
            .count()
    }

    fn any(self) -> bool {
        self.count() > 0
    }
}

/// Where the found places are stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct Destination<'a> {
    pub(super) key: &'a [u8],
    /// Whether their scores are the distances.
    pub(super) distances: bool,
}

/// A parsed search.
#[derive(Debug, Clone)]
pub(super) struct Query<'a> {
    pub(super) search: Search,
    pub(super) told: Told,
    pub(super) order: Order,
    /// The maximum number of places, `None` for all.
    pub(super) count: Option<usize>,
    /// Whether the first places found are enough.
    pub(super) any: bool,
    pub(super) destination: Option<Destination<'a>>,
}

/// Parses a search. `stores` allows STORE and STOREDIST. Without a `zset`, members are not looked up.
pub(super) fn parse<'a>(
    args: Args<'a>,
    form: Form,
    stores: bool,
    zset: Option<&Zset>,
    dialect: Dialect,
) -> Result<Query<'a>, Error> {
    let mut words = Words {
        args,
        form,
        stores,
        zset,
        dialect,
        centre: None,
        shape: None,
        unit_m: 1.0,
        told: Told::default(),
        order: Order::AsFound,
        count: None,
        any: false,
        destination: None,
    };
    let mut index = words.read_place()?;
    while index < args.len() {
        index += words.read_option(index)?;
    }
    words.checked()
}

/// A search that is being parsed.
struct Words<'a, 'z> {
    args: Args<'a>,
    form: Form,
    stores: bool,
    zset: Option<&'z Zset>,
    dialect: Dialect,
    centre: Option<(From, Point)>,
    shape: Option<Shape>,
    unit_m: f64,
    told: Told,
    order: Order,
    count: Option<usize>,
    any: bool,
    destination: Option<Destination<'a>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    Member,
    Coordinates,
}

impl<'a> Words<'a, '_> {
    /// Reads the words before the options. Returns the index of the first option.
    fn read_place(&mut self) -> Result<usize, Error> {
        match self.form {
            Form::Radius => {
                self.centre = Some((From::Coordinates, coordinates(self.args, 2, self.dialect)?));
                self.read_radius(4)?;
                Ok(6)
            }
            Form::RadiusByMember => {
                if self.zset.is_some() {
                    self.centre = Some((From::Member, self.member(2)?));
                    self.read_radius(3)?;
                }
                Ok(5)
            }
            Form::Search => Ok(2),
            Form::SearchStore => {
                self.destination = Some(Destination {
                    key: self.args.at(1),
                    distances: false,
                });
                Ok(3)
            }
        }
    }

    /// Reads the option at `index`. Returns its number of words.
    fn read_option(&mut self, index: usize) -> Result<usize, Error> {
        let word = self.args.at(index).to_ascii_lowercase();
        let more = self.args.len() - index - 1;
        let searches = matches!(self.form, Form::Search | Form::SearchStore);
        match word.as_slice() {
            b"withdist" => self.told.distance = true,
            b"withhash" => self.told.hash = true,
            b"withcoord" => self.told.coordinates = true,
            b"any" if self.dialect.has_geo_shapes() => self.any = true,
            b"asc" => self.order = Order::Ascending,
            b"desc" => self.order = Order::Descending,
            b"count" if more >= 1 => return self.read_count(index + 1),
            b"storedist" if self.form == Form::SearchStore => self.keep_distances(),
            b"store" | b"storedist" if more >= 1 && self.stores && !searches => {
                self.destination = Some(Destination {
                    key: self.args.at(index + 1),
                    distances: word == b"storedist",
                });
                return Ok(2);
            }
            _ if searches => return self.read_area(index, &word, more),
            _ => return Err(Error::Syntax),
        }
        Ok(1)
    }

    fn keep_distances(&mut self) {
        if let Some(destination) = &mut self.destination {
            destination.distances = true;
        }
    }

    fn read_count(&mut self, index: usize) -> Result<usize, Error> {
        let count = integer(self.args.at(index))?;
        if count <= 0 {
            return Err(Error::Text("ERR COUNT must be > 0"));
        }
        self.count = Some(usize::try_from(count).unwrap_or(usize::MAX));
        Ok(2)
    }

    /// Reads one of GEOSEARCH's own options: where to search, and how far.
    fn read_area(&mut self, index: usize, word: &[u8], more: usize) -> Result<usize, Error> {
        let from = self.centre.map(|(from, _)| from);
        let has_polygon = matches!(self.shape, Some(Shape::Polygon(_)));
        let (circle, rectangle) = (
            matches!(self.shape, Some(Shape::Circle(_))),
            matches!(self.shape, Some(Shape::Rectangle(..))),
        );
        match word {
            b"bypolygon" if more >= 2 && self.takes_polygon() => self.read_polygon(index + 1, more),
            _ if has_polygon => Err(Error::Syntax),
            b"frommember" if more >= 1 && from != Some(From::Coordinates) => {
                self.centre = Some((From::Member, self.member(index + 1)?));
                Ok(2)
            }
            b"fromlonlat" if more >= 2 && from != Some(From::Member) => {
                let point = coordinates(self.args, index + 1, self.dialect)?;
                self.centre = Some((From::Coordinates, point));
                Ok(3)
            }
            b"byradius" if more >= 2 && !rectangle => self.read_radius(index + 1),
            b"bybox" if more >= 3 && !circle => self.read_box(index + 1),
            _ => Err(Error::Syntax),
        }
    }

    fn takes_polygon(&self) -> bool {
        self.dialect.has_geo_polygons()
            && self.centre.is_none()
            && matches!(self.shape, None | Some(Shape::Polygon(_)))
    }

    /// Reads a radius and its unit. Returns the number of words in an option that has both.
    fn read_radius(&mut self, index: usize) -> Result<usize, Error> {
        let text = self.args.at(index);
        let radius =
            float(text, self.dialect).map_err(|_| Error::Text("ERR need numeric radius"))?;
        if radius < 0.0 {
            return Err(Error::Text("ERR radius cannot be negative"));
        }
        self.unit_m = unit_m(self.args.at(index + 1), self.dialect)?;
        self.shape = Some(Shape::Circle(radius));
        Ok(3)
    }

    fn read_box(&mut self, index: usize) -> Result<usize, Error> {
        let (width, height) = (self.args.at(index), self.args.at(index + 1));
        let width =
            float(width, self.dialect).map_err(|_| Error::Text("ERR need numeric width"))?;
        let height =
            float(height, self.dialect).map_err(|_| Error::Text("ERR need numeric height"))?;
        if height < 0.0 || width < 0.0 {
            return Err(Error::Text("ERR height or width cannot be negative"));
        }
        self.unit_m = unit_m(self.args.at(index + 2), self.dialect)?;
        self.shape = Some(Shape::Rectangle(width, height));
        Ok(4)
    }

    fn read_polygon(&mut self, index: usize, more: usize) -> Result<usize, Error> {
        let corners = integer(self.args.at(index))
            .ok()
            .and_then(|corners| i32::try_from(corners).ok())
            .ok_or(Error::Text("ERR invalid number of vertices"))?;
        let corners = usize::try_from(corners).unwrap_or(0);
        if corners < 3 || (more - 1) / 2 < corners {
            return Err(Error::Text(
                "ERR GEOSEARCH BYPOLYGON must have at least 3 vertices",
            ));
        }
        let point = |corner| coordinates(self.args, index + 1 + 2 * corner, self.dialect);
        let points = (0..corners).map(point);
        self.shape = Some(Shape::Polygon(points.collect::<Result<_, Error>>()?));
        self.unit_m = 1.0;
        Ok(2 + 2 * corners)
    }

    /// Returns the place of the member at `index`, or an arbitrary one if the key does not exist.
    fn member(&self, index: usize) -> Result<Point, Error> {
        let Some(zset) = self.zset else {
            return Ok(Point::default());
        };
        let member = self.args.at(index);
        let score = zset
            .score(member)
            .ok_or_else(|| no_member(member, self.dialect))?;
        Ok(Cell::of_score(score).centre())
    }

    fn checked(self) -> Result<Query<'a>, Error> {
        let searches = matches!(self.form, Form::Search | Form::SearchStore);
        if self.destination.is_some() && self.told.any() {
            // No client sees this, because a client cannot store.
            return Err(Error::Syntax);
        }
        let has_polygon = matches!(self.shape, Some(Shape::Polygon(_)));
        if searches && self.centre.is_none() && !has_polygon {
            return Err(self.exactly_one_of("FROMMEMBER or FROMLONLAT"));
        }
        if searches && self.shape.is_none() {
            return Err(self.exactly_one_of(if self.dialect.has_geo_polygons() {
                "BYRADIUS, BYBOX and BYPOLYGON"
            } else {
                "BYRADIUS and BYBOX"
            }));
        }
        if self.any && self.count.is_none() {
            return Err(Error::Text("ERR the ANY argument requires COUNT argument"));
        }
        let nearest = self.count.is_some() && !self.any && self.order == Order::AsFound;
        let search = Search {
            shape: self.shape.unwrap_or(Shape::Circle(0.0)),
            centre: self.centre.map(|(_, centre)| centre).unwrap_or_default(),
            unit_m: self.unit_m,
        };
        Ok(Query {
            search: search.centred(),
            told: self.told,
            order: if nearest {
                Order::Ascending
            } else {
                self.order
            },
            count: self.count,
            any: self.any,
            destination: self.destination,
        })
    }

    /// Redis repeats the command as the client spelt it.
    fn exactly_one_of(&self, options: &str) -> Error {
        let name = String::from_utf8_lossy(self.args.at(0));
        Error::Owned(format!(
            "ERR exactly one of {options} can be specified for {name}"
        ))
    }
}

/// Parses the longitude at `index` and the latitude after it.
pub(super) fn coordinates(args: Args<'_>, index: usize, dialect: Dialect) -> Result<Point, Error> {
    let point = Point {
        longitude: float(args.at(index), dialect)?,
        latitude: float(args.at(index + 1), dialect)?,
    };
    if !INDEXED.holds(point) {
        return Err(Error::Owned(format!(
            "ERR invalid longitude,latitude pair {:.6},{:.6}",
            point.longitude, point.latitude
        )));
    }
    Ok(point)
}

/// Returns the metres in a unit. Source: redis 6.0 and 7.0 geo.c, `extractUnitOrReply`.
pub(super) fn unit_m(unit: &[u8], dialect: Dialect) -> Result<f64, Error> {
    let any_case = dialect.has_quick_geo_distances();
    let unit = if any_case {
        unit.to_ascii_lowercase()
    } else {
        unit.to_vec()
    };
    match unit.as_slice() {
        b"m" => Ok(1.0),
        b"km" => Ok(1000.0),
        b"ft" => Ok(0.3048),
        b"mi" => Ok(1609.34),
        _ => Err(Error::Text(if any_case {
            "ERR unsupported unit provided. please use M, KM, FT, MI"
        } else {
            "ERR unsupported unit provided. please use m, km, ft, mi"
        })),
    }
}

fn no_member(member: &[u8], dialect: Dialect) -> Error {
    if dialect.has_geo_polygons() {
        return Error::quoting("ERR member {} does not exist", &[member]);
    }
    Error::Text("ERR could not decode requested zset member")
}
