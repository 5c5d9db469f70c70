//! Vector sets in snapshots: reads and writes them as values of a module type.
//!
//! Memory use depends on the items that are present, never on a number stated in them. Values that no server writes are
//! rejected: links that lead to no node, that lead only one way, or that are too many, and two elements with the same name. A
//! rejected value stays as its raw bytes.
//!
//! Redis 8.2 adds the farthest neighbour to each layer of a node. What it does with links and farthest neighbours that it loads was
//! found by asking one.
//!
//! Source: redis 8.0 modules/vector-sets/vset.c, `VectorSetRdbSave`; hnsw.c, `hnsw_serialize_node`.

use std::collections::HashMap;
use std::io::{self, Write};

use ahash::RandomState;

use super::graph::{Graph, Layer, Node, Shape};
use super::point::{Kind, Point};
use super::projection::Projection;
use super::{Element, LEVEL_MAX, Thresholds, VectorSet};
use crate::rdb::encode::Writer;
use crate::rdb::module::{Items, ModuleId, ModuleValue};

/// The id of the type: `vectorset`, version 0 of its encoding.
const ID: ModuleId = ModuleId(0xbde7_2da2_bb1e_b400);

impl VectorSet {
    /// Creates a set from a module's value. Returns `None` if the value has another type or version, or is not as a server
    /// writes it.
    #[must_use]
    pub fn from_module(value: &ModuleValue, thresholds: &Thresholds) -> Option<Self> {
        if value.id() != ID {
            return None;
        }
        let mut items = value.walk();
        let head = Head::read(&mut items)?;
        let mut set = Self::new(head.shape).as_on(thresholds);
        if head.has_projection {
            set.projection = Some(Box::new(read_projection(&mut items, head.shape.dim)?));
        }
        let mut links = Links {
            sorts: set.notes_farthest,
            ..Links::default()
        };
        for _ in 0..head.elements {
            let node = read_node(&mut items, &head, &mut links)?;
            set.load(node)?;
        }
        let without_farthest = links.resolve(&mut set.graph)?;
        if set.notes_farthest {
            set.graph.find_farthest(&without_farthest);
        }
        (items.is_at_end() && set.graph.links_are_sound()).then_some(set)
    }

    /// Adds an element as it was in a snapshot.
    fn load(&mut self, node: Node) -> Option<()> {
        if self.graph.find(&node.name).is_some() {
            return None;
        }
        let level = node.level();
        self.with_attributes += usize::from(node.attributes.is_some());
        self.graph.last_id = self.graph.last_id.max(node.id);
        let at = self.graph.add(node)?;
        // Of several elements in the highest layer, the first: a snapshot does not say where searches start.
        if self.graph.enter.is_none() || level > self.graph.level_max {
            self.graph.enter = Some(at);
            self.graph.level_max = level;
        }
        Some(())
    }

    /// Writes the set as a module's value.
    ///
    /// # Errors
    /// Fails if the output fails.
    pub fn encode<W: Write>(&self, writer: &mut Writer<W>) -> io::Result<()> {
        let shape = self.shape();
        writer.length(ID.0)?;
        writer.module_number(shape.dim.into())?;
        writer.module_number(self.len() as u64)?;
        writer
            .module_number(shape.kind.number() | u64::from(shape.neighbours) << NEIGHBOURS_SHIFT)?;
        let with_projection = u64::from(self.projection.is_some()) * WITH_PROJECTION;
        let with_attributes = u64::from(self.with_attributes > 0) * WITH_ATTRIBUTES;
        writer.module_number(with_projection | with_attributes)?;
        if let Some(matrix) = &self.projection {
            writer.module_number(matrix.input_dim.into())?;
            writer.module_text(&matrix.to_bytes())?;
        }
        for element in self.iter() {
            element.encode(writer)?;
        }
        writer.module_end()
    }
}

impl Element<'_> {
    fn encode<W: Write>(&self, writer: &mut Writer<W>) -> io::Result<()> {
        let node = self.node;
        writer.module_text(&node.name)?;
        if self.set.with_attributes > 0 {
            writer.module_text(self.attributes().unwrap_or_default())?;
        }
        writer.module_text(&node.point.to_bytes())?;
        let noted = self.set.notes_farthest;
        let links = node.layers.iter().map(|layer| layer.links.len());
        let beside = 2 + usize::from(noted);
        let numbers = 3 + beside * node.layers.len() + links.sum::<usize>();
        writer.module_number(numbers as u64)?;
        writer.module_number(node.id)?;
        writer.module_number(node.level() as u64 | u64::from(noted) << VERSION_SHIFT)?;
        for layer in &node.layers {
            writer.module_number(layer.links.len() as u64)?;
            writer.module_number(layer.links_max.into())?;
            for link in &layer.links {
                writer.module_number(self.set.graph.node(*link).id)?;
            }
            if noted {
                let distance = u64::from(layer.worst_distance.to_bits()) << 32;
                writer.module_number(distance | u64::from(low(layer.worst_at as u64)))?;
            }
        }
        let high = u64::from(node.point.range.to_bits()) << 32;
        writer.module_number(high | u64::from(node.length.to_bits()))
    }
}

/// The header before the elements.
struct Head {
    shape: Shape,
    elements: u64,
    has_projection: bool,
    has_attributes: bool,
}

impl Head {
    fn read(items: &mut Items<'_>) -> Option<Self> {
        let dim = u32::try_from(items.number()?).ok()?;
        let elements = items.number()?;
        let config = items.number()?;
        let flags = items.number()?;
        let neighbours = u32::try_from(config >> NEIGHBOURS_SHIFT).ok()?;
        let is_known = dim > 0
            && neighbours <= NEIGHBOURS_MAX
            && flags & !(WITH_PROJECTION | WITH_ATTRIBUTES) == 0;
        let shape = Shape {
            dim,
            kind: Kind::of_number(config & 0xff)?,
            // Snapshots from before this was configurable contain 0.
            neighbours: if neighbours == 0 { 16 } else { neighbours },
        };
        is_known.then_some(Self {
            shape,
            elements,
            has_projection: flags & WITH_PROJECTION != 0,
            has_attributes: flags & WITH_ATTRIBUTES != 0,
        })
    }
}

fn read_projection(items: &mut Items<'_>, output_dim: u32) -> Option<Projection> {
    let input_dim = u32::try_from(items.number()?).ok()?;
    items.text(|cells| Projection::from_bytes(input_dim, output_dim, cells))?
}

/// Reads an element without resolving its links, which are ids of elements that may come later.
fn read_node(items: &mut Items<'_>, head: &Head, links: &mut Links) -> Option<Node> {
    let Shape { dim, kind, .. } = head.shape;
    let name = items.text(<[u8]>::to_vec)?;
    let attributes = match head.has_attributes {
        true => items.text(|text| Box::from(text))?,
        false => Box::<[u8]>::default(),
    };
    let mut point = items.text(|bytes| Point::from_bytes(kind, dim as usize, bytes, 0.0))??;
    let numbers = items.number()?;
    let (id, level) = (items.number()?, items.number()?);
    let layers = links.read(items, id, level, numbers.checked_sub(3)?)?;
    let range_and_length = items.number()?;
    point.range = f32::from_bits(high(range_and_length));
    Some(Node {
        id,
        name,
        attributes: (!attributes.is_empty()).then_some(attributes),
        point,
        length: f32::from_bits(low(range_and_length)),
        layers,
        newer: None,
        older: None,
    })
}

#[expect(clippy::cast_possible_truncation, reason = "the low half")]
const fn low(number: u64) -> u32 {
    number as u32
}

const fn high(number: u64) -> u32 {
    low(number >> 32)
}

/// Collects the links of all elements until all elements are read.
#[derive(Default)]
struct Links {
    ids: Vec<u64>,
    places: HashMap<u64, u32>,
    /// Whether each layer's links are sorted by their ids, as servers do that note the farthest one.
    sorts: bool,
    /// The elements whose payload does not note the farthest neighbours.
    without_farthest: Vec<u32>,
}

impl Links {
    /// Reads the layers of the element `id`, which take `numbers` numbers. The layers have the right number of links, but these
    /// do not lead anywhere yet.
    fn read(
        &mut self,
        items: &mut Items<'_>,
        id: u64,
        level: u64,
        numbers: u64,
    ) -> Option<Vec<Layer>> {
        let place = u32::try_from(self.places.len()).ok()?;
        let (level, version) = (level & LEVEL_MASK, level >> VERSION_SHIFT);
        let is_given = (1..=ID_MAX).contains(&id) && level <= LEVEL_MAX as u64 && version <= 1;
        if !is_given || self.places.insert(id, place).is_some() {
            return None;
        }
        if version == 0 {
            self.without_farthest.push(place);
        }
        let mut left = numbers;
        let mut layers = Vec::new();
        for _ in 0..=level {
            left = left.checked_sub(2 + version)?;
            let count = items.number()?;
            let links_max = u32::try_from(items.number()?).ok()?;
            left = left.checked_sub(count)?;
            let mut layer = Layer {
                links_max,
                ..Layer::default()
            };
            let first = self.ids.len();
            for _ in 0..count {
                self.ids.push(items.number()?);
                layer.links.push(u32::MAX);
            }
            if self.sorts {
                // Its place in the unsorted links is kept, as the server keeps it.
                self.ids.get_mut(first..)?.sort_unstable();
            }
            if version > 0 {
                let farthest = items.number()?;
                layer.worst_at = low(farthest) as usize;
                layer.worst_distance = f32::from_bits(high(farthest));
            }
            layers.push(layer);
        }
        (left == 0).then_some(layers)
    }

    /// Points the links of the graph to their elements. The elements must have been added in the order of their places. Returns
    /// those whose payload does not note the farthest neighbours.
    fn resolve(self, graph: &mut Graph) -> Option<Vec<u32>> {
        let mut ids = self.ids.iter();
        for at in 0..u32::try_from(self.places.len()).ok()? {
            for layer in 0..graph.node(at).layers.len() {
                let links = &mut graph.layer_mut(at, layer)?.links;
                for link in links {
                    *link = *self.places.get(ids.next()?)?;
                }
            }
        }
        Some(self.without_farthest)
    }
}

impl Graph {
    /// Finds the farthest neighbours of these nodes in all their layers.
    fn find_farthest(&mut self, nodes: &[u32]) {
        for node in nodes {
            for layer in 0..self.node(*node).layers.len() {
                self.find_worst(*node, layer);
            }
        }
    }

    /// Whether every link leads both ways, only once, to a node in the same layer, and no node has too many links.
    pub(super) fn links_are_sound(&self) -> bool {
        let mut pairs = Pairs::default();
        let are_sound = self.iter().all(|(at, node)| {
            let mut layers = node.layers.iter().enumerate();
            layers.all(|(number, layer)| self.layer_is_sound(at, number, layer, &mut pairs))
        });
        are_sound && pairs.are_whole()
    }

    /// Whether a node's links in a layer are distinct and not too many. Records them in `pairs`.
    fn layer_is_sound(&self, at: u32, number: usize, layer: &Layer, pairs: &mut Pairs) -> bool {
        layer
            .links
            .iter()
            .for_each(|link| pairs.note(number, at, *link));
        let (least, most) = (self.links_max(number), self.shape.neighbours * 3);
        let mut sorted = layer.links.clone();
        sorted.sort_unstable();
        (least..=most).contains(&layer.links_max)
            && layer.links.len() <= layer.links_max as usize
            && sorted.is_sorted_by(|one, next| one < next)
            && !layer.links.contains(&at)
    }
}

/// Checks whether one-way links, none of which is recorded twice, form pairs. If they do, the XOR of the hashes of both ends is
/// zero, for two hash functions with secret seeds. Searching for the reverse of each link would take quadratic time.
#[derive(Default)]
struct Pairs {
    hashers: [RandomState; 2],
    sums: [u64; 2],
}

impl Pairs {
    fn note(&mut self, layer: usize, from: u32, to: u32) {
        let pair = (layer, from.min(to), from.max(to));
        for (sum, hasher) in self.sums.iter_mut().zip(&self.hashers) {
            *sum ^= hasher.hash_one(pair);
        }
    }

    fn are_whole(&self) -> bool {
        self.sums == [0, 0]
    }
}

/// Ids start at 1. The limit leaves room for the ids of all later elements.
const ID_MAX: u64 = u64::MAX >> 1;
const NEIGHBOURS_SHIFT: u32 = 8;
/// A node's level is in the low byte, and the version of its numbers in the highest one.
const LEVEL_MASK: u64 = 0x00ff_ffff;
const VERSION_SHIFT: u32 = 24;
/// Source: hnsw.h, `HNSW_MAX_M`.
const NEIGHBOURS_MAX: u32 = 4096;
const WITH_PROJECTION: u64 = 1;
const WITH_ATTRIBUTES: u64 = 2;
