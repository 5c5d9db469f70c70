//! Vector sets: elements with vectors and attributes, and a graph for finding similar ones.
//!
//! This is the type of Redis 8's own module. `point` holds one vector and measures distances, `graph` holds the elements and
//! their links, `search` walks the links, `link` and `unlink` change them, and `rdb` reads and writes snapshots. A set from a
//! snapshot has exactly the graph of a replica that loaded the same snapshot, and answers the same.
//!
//! DIFFERENCE: each server chooses at random in how many layers a new element is. So after a VADD every server has a graph of
//! its own, and a search along it may find other elements. Everything that does not depend on the graph is exact.

mod graph;
mod link;
mod point;
mod projection;
mod queue;
mod rdb;
mod search;
#[cfg(test)]
mod tests;
mod unlink;

use std::sync::atomic::{AtomicU64, Ordering};

use graph::{Graph, Node};
use projection::Projection;
use queue::Queue;
use search::Filter;

use super::Thresholds;

pub use graph::Shape;
pub use point::{Kind, Point};

/// A vector set.
#[derive(Debug, Clone)]
pub struct VectorSet {
    graph: Box<Graph>,
    projection: Option<Box<Projection>>,
    /// The number of elements that have attributes.
    with_attributes: usize,
    uid: u64,
    /// Whether payloads note the farthest neighbour of each node.
    notes_farthest: bool,
}

/// An element, as readers see it.
#[derive(Debug, Clone, Copy)]
pub struct Element<'s> {
    set: &'s VectorSet,
    at: u32,
    node: &'s Node,
}

/// Decides from an element's attributes whether it may be in the result.
pub type Accepts<'q> = dyn Fn(Option<&[u8]>) -> bool + 'q;

/// A question to [`VectorSet::nearest`].
pub struct Query<'q> {
    /// The vector to search for. It must have the same number of components as the set's vectors.
    pub vector: Vec<f32>,
    /// How many of the nearest elements a search keeps track of. It must be at least the number of wanted results.
    pub effort: usize,
    /// Decides from an element's attributes whether it may be in the result.
    pub accepts: Option<&'q Accepts<'q>>,
    /// The maximum number of elements whose neighbours a search with `accepts` visits; 0 for no limit.
    pub looks_max: u32,
    /// Whether to check every element.
    pub is_exact: bool,
}

impl VectorSet {
    /// Creates an empty set.
    #[must_use]
    pub fn new(shape: Shape) -> Self {
        // Counted per process, as on the server.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            graph: Box::new(Graph::new(shape)),
            projection: None,
            with_attributes: 0,
            uid: NEXT.fetch_add(1, Ordering::Relaxed),
            notes_farthest: false,
        }
    }

    /// Makes the set's payloads note the farthest neighbour of each node, as a server with these thresholds does.
    #[must_use]
    pub const fn as_on(mut self, thresholds: &Thresholds) -> Self {
        self.notes_farthest = thresholds.vectors_note_farthest;
        self
    }

    /// Makes the set reduce vectors of `input_dim` components to its own number of components.
    #[must_use]
    pub fn projecting(mut self, input_dim: u32) -> Self {
        let output_dim = self.shape().dim;
        self.projection = Some(Box::new(Projection::new(input_dim, output_dim)));
        self
    }

    /// The shape of its vectors.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.graph.shape
    }

    /// The number of components that given vectors have, if the set reduces them.
    #[must_use]
    pub fn input_dim(&self) -> Option<u32> {
        self.projection.as_ref().map(|matrix| matrix.input_dim)
    }

    /// The number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.graph.len()
    }

    /// Whether there are no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The highest layer of the graph.
    #[must_use]
    pub fn level_max(&self) -> usize {
        self.graph.level_max
    }

    /// The number of elements with attributes.
    #[must_use]
    pub const fn with_attributes(&self) -> usize {
        self.with_attributes
    }

    /// The set's number in this process.
    #[must_use]
    pub const fn uid(&self) -> u64 {
        self.uid
    }

    /// The highest id that an element has had.
    #[must_use]
    pub fn last_id(&self) -> u64 {
        self.graph.last_id
    }

    /// The number of bytes on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let projection = self.projection.as_ref();
        size_of::<Graph>()
            + self.graph.heap_bytes()
            + projection.map_or(0, |matrix| matrix.heap_bytes())
    }

    /// Returns an element.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<Element<'_>> {
        self.graph.find(name).map(|at| self.element(at))
    }

    fn element(&self, at: u32) -> Element<'_> {
        Element {
            set: self,
            at,
            node: self.graph.node(at),
        }
    }

    /// Iterates over all elements, newest first.
    pub fn iter(&self) -> impl Iterator<Item = Element<'_>> {
        self.iter_from(self.graph.newest)
    }

    fn iter_from(&self, from: Option<u32>) -> impl Iterator<Item = Element<'_>> {
        let nodes = self.graph.iter_from(from);
        nodes.map(|(at, node)| Element {
            set: self,
            at,
            node,
        })
    }

    /// Reduces a vector to the set's own number of components, if the set does that.
    #[must_use]
    pub fn project(&self, vector: Vec<f32>) -> Vec<f32> {
        match &self.projection {
            Some(matrix) => matrix.apply(&vector),
            None => vector,
        }
    }

    /// Returns the elements nearest to a point, nearest first, with their distances: 0 for the same direction, 2 for the
    /// opposite.
    #[must_use]
    pub fn nearest(&self, query: Query<'_>) -> Vec<(Element<'_>, f32)> {
        let accepts = query
            .accepts
            .map(|accepts| move |node: &Node| accepts(node.attributes.as_deref()));
        let accepts = accepts
            .as_ref()
            .map(|accepts| accepts as &dyn Fn(&Node) -> bool);
        let (point, _) = Point::of(self.shape().kind, query.vector);
        let found = if query.is_exact {
            self.graph.scan(&point, query.effort, accepts)
        } else {
            let filter = accepts.map(|accepts| Filter {
                accepts,
                looks_max: query.looks_max,
            });
            self.graph.search(&point, query.effort, filter.as_ref())
        };
        self.found(&found)
    }

    fn found(&self, queue: &Queue) -> Vec<(Element<'_>, f32)> {
        let elements = queue.iter();
        let elements = elements.map(|near| (self.element(near.node), near.distance));
        elements.collect()
    }

    /// Adds an element, or replaces the vector of an existing one. The vector must have the same number of components as the
    /// set's vectors. Without given attributes, an existing element keeps its own. Empty attributes remove them, except on a
    /// new element, which keeps them as empty. `effort` is the number of elements among which it chooses its neighbours.
    ///
    /// Source: redis 8.0 modules/vector-sets/vset.c, `vectorSetInsert`.
    pub fn add(&mut self, name: &[u8], vector: Vec<f32>, attributes: Option<&[u8]>, effort: usize) {
        let level = random_level();
        self.add_at_level(name, vector, attributes, effort, level);
    }

    fn add_at_level(
        &mut self,
        name: &[u8],
        vector: Vec<f32>,
        attributes: Option<&[u8]>,
        effort: usize,
        level: usize,
    ) {
        let (point, length) = Point::of(self.shape().kind, vector);
        let before = self.graph.find(name).map(|at| self.graph.delete(at));
        let had = before.as_ref().and_then(|node| node.attributes.as_ref());
        self.with_attributes -= usize::from(had.is_some());
        let attributes = match (before, attributes) {
            (Some(_), Some([])) => None,
            (Some(node), None) => node.attributes,
            (_, given) => given.map(Box::from),
        };
        self.with_attributes += usize::from(attributes.is_some());
        let node = Node {
            id: 0,
            name: name.to_vec(),
            attributes,
            point,
            length,
            layers: Vec::new(),
            newer: None,
            older: None,
        };
        let added = self.graph.insert(node, level, effort);
        debug_assert!(added.is_some(), "more than 2^32 elements");
    }

    /// Removes an element. Returns whether it existed.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        let Some(at) = self.graph.find(name) else {
            return false;
        };
        let node = self.graph.delete(at);
        self.with_attributes -= usize::from(node.attributes.is_some());
        true
    }

    /// Sets the attributes of an element. Empty ones remove them. Returns whether the element exists.
    pub fn set_attributes(&mut self, name: &[u8], attributes: &[u8]) -> bool {
        let Some(at) = self.graph.find(name) else {
            return false;
        };
        let (had, has) = (
            self.graph.node(at).attributes.is_some(),
            !attributes.is_empty(),
        );
        self.with_attributes -= usize::from(had);
        self.with_attributes += usize::from(has);
        self.graph.change(at, |node| {
            node.attributes = has.then(|| attributes.into());
        });
        true
    }

    /// Returns a random element: the end of a walk along the links.
    ///
    /// Source: redis 8.0 modules/vector-sets/hnsw.c, `hnsw_random_node`.
    #[must_use]
    pub fn random(&self) -> Option<Element<'_>> {
        let mut at = self.graph.enter?;
        for layer in (1..=self.level_max()).rev() {
            at = self.random_link(at, layer).unwrap_or(at);
        }
        for _ in 0..self.random_steps() {
            at = self.random_link(at, 0).unwrap_or(at);
        }
        Some(self.element(at))
    }

    fn random_link(&self, at: u32, layer: usize) -> Option<u32> {
        let links = self.graph.node(at).links(layer);
        links.get(fastrand::usize(..links.len().max(1))).copied()
    }

    fn random_steps(&self) -> u32 {
        #[expect(clippy::cast_precision_loss, reason = "a logarithm")]
        let size = (self.len() + 1) as f64;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "below 200"
        )]
        let steps = (size.log2() * 3.0) as u32;
        steps
    }

    /// Returns `count` different random elements. If that is a large part of the set, they are elements that were added one
    /// after the other.
    ///
    /// Source: vset.c, `VRANDMEMBER_RedisCommand`.
    #[must_use]
    pub fn sample(&self, count: usize) -> Vec<Element<'_>> {
        let count = count.min(self.len());
        if count <= self.len() / 5 {
            return self.different(count);
        }
        let Some(start) = self.random() else {
            return Vec::new();
        };
        let onwards = self.iter_from(Some(start.at));
        onwards.chain(self.iter()).take(count).collect()
    }

    /// Returns `count` different elements, or fewer, because there may be parts of the graph that no walk reaches.
    fn different(&self, count: usize) -> Vec<Element<'_>> {
        let mut seen = std::collections::HashSet::new();
        let walks = std::iter::repeat_with(|| self.random()).take(count * WALKS_PER_ELEMENT);
        let elements = walks.flatten().filter(|element| seen.insert(element.at));
        elements.take(count).collect()
    }
}

impl<'s> Element<'s> {
    /// Returns its name.
    #[must_use]
    pub fn name(&self) -> &'s [u8] {
        &self.node.name
    }

    /// Returns its attributes. They are JSON if the client that set them made them so.
    #[must_use]
    pub fn attributes(&self) -> Option<&'s [u8]> {
        self.node.attributes.as_deref()
    }

    /// Returns its vector as stored.
    #[must_use]
    pub const fn point(&self) -> &'s Point {
        &self.node.point
    }

    /// Returns the original length of its vector.
    #[must_use]
    pub const fn length(&self) -> f32 {
        self.node.length
    }

    /// Returns its vector, as exactly as it can be restored.
    #[must_use]
    pub fn vector(&self) -> Vec<f32> {
        let dim = self.set.shape().dim as usize;
        self.node.point.floats(dim, self.node.length)
    }

    /// The number of layers that it is in.
    #[must_use]
    pub const fn layers(&self) -> usize {
        self.node.layers.len()
    }

    /// Iterates over its neighbours in a layer, with their distances. Layer 0 is the lowest.
    pub fn neighbours(&self, layer: usize) -> impl ExactSizeIterator<Item = (Element<'s>, f32)> {
        let (set, at) = (self.set, self.at);
        let links = self.node.links(layer).iter();
        links.map(move |link| (set.element(*link), set.graph.distance(at, *link)))
    }
}

/// Returns a random level. Each layer holds a quarter of the elements of the layer below it. Source: hnsw.c, `random_level`.
fn random_level() -> usize {
    let rises = std::iter::repeat_with(|| fastrand::u8(..4) == 0);
    rises.take(LEVEL_MAX).take_while(|rises| *rises).count()
}

const LEVEL_MAX: usize = 16;
/// How many walks are tried per wanted element before fewer are returned.
const WALKS_PER_ELEMENT: usize = 100;
