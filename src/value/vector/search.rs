//! Finds the nearest nodes, by descending the layers of the graph, or by checking every node.
//!
//! Source: redis 8.0 modules/vector-sets/hnsw.c, `search_layer_with_filter`, `hnsw_search_with_filter`,
//! `hnsw_ground_truth_with_filter`.

use super::graph::{Graph, Node};
use super::point::Point;
use super::queue::Queue;

/// Which nodes a search may return.
pub(super) struct Filter<'f> {
    pub(super) accepts: &'f dyn Fn(&Node) -> bool,
    /// The maximum number of nodes whose neighbours are visited; zero for no limit.
    pub(super) looks_max: u32,
}

impl Graph {
    /// Returns approximately the `count` nearest nodes to `point`.
    pub(super) fn search(&self, point: &Point, count: usize, filter: Option<&Filter<'_>>) -> Queue {
        let Some(enter) = self.enter else {
            return Queue::new(0);
        };
        let from = self.descend(point, enter, 0);
        self.search_layer(point, from, count, 0, filter)
    }

    /// Descends to the layer above `layer`, and returns the nearest node found.
    pub(super) fn descend(&self, point: &Point, enter: u32, layer: usize) -> u32 {
        let above = (layer + 1..=self.level_max).rev();
        above.fold(enter, |from, layer| {
            let found = self.search_layer(point, from, 1, layer, None);
            found.nearest().map_or(from, |near| near.node)
        })
    }

    /// Returns approximately the `count` nearest nodes of one layer, found along its links.
    pub(super) fn search_layer(
        &self,
        point: &Point,
        enter: u32,
        count: usize,
        layer: usize,
        filter: Option<&Filter<'_>>,
    ) -> Queue {
        let mut walk = Walk {
            graph: self,
            point,
            filter,
            seen: Seen::new(self.places()),
            candidates: Queue::new(CANDIDATES_MAX),
            results: Queue::new(count),
        };
        walk.enter(enter);
        walk.run(count, layer);
        walk.results
    }

    /// Returns exactly the `count` nearest nodes, after checking every node.
    pub(super) fn scan(
        &self,
        point: &Point,
        count: usize,
        accepts: Option<&dyn Fn(&Node) -> bool>,
    ) -> Queue {
        let mut results = Queue::new(count);
        for (at, node) in self.iter() {
            if accepts.is_none_or(|accepts| accepts(node)) {
                results.push(at, self.distance_to(point, at));
            }
        }
        results
    }
}

/// A walk along the links of one layer.
struct Walk<'w> {
    graph: &'w Graph,
    point: &'w Point,
    filter: Option<&'w Filter<'w>>,
    seen: Seen,
    candidates: Queue,
    results: Queue,
}

impl Walk<'_> {
    fn accepts(&self, node: u32) -> bool {
        let node = self.graph.node(node);
        self.filter.is_none_or(|filter| (filter.accepts)(node))
    }

    fn enter(&mut self, node: u32) {
        let distance = self.graph.distance_to(self.point, node);
        self.candidates.push(node, distance);
        if self.accepts(node) {
            self.results.push(node, distance);
        }
        self.seen.insert(node);
    }

    fn run(&mut self, count: usize, layer: usize) {
        let looks_max = self.filter.map_or(0, |filter| filter.looks_max);
        let mut looks: u32 = 1;
        while looks_max == 0 || looks < looks_max {
            let Some(current) = self.candidates.pop() else {
                return;
            };
            looks = looks.saturating_add(1);
            let is_full = self.results.len() >= count;
            if is_full && current.distance > self.results.farthest_distance() {
                return;
            }
            for neighbour in self.graph.node(current.node).links(layer) {
                if self.seen.insert(*neighbour) {
                    self.visit(*neighbour, count);
                }
            }
        }
    }

    fn visit(&mut self, node: u32, count: usize) {
        let distance = self.graph.distance_to(self.point, node);
        let is_nearer = distance < self.results.farthest_distance();
        if self.filter.is_none() {
            if is_nearer || self.results.len() < count {
                self.candidates.push(node, distance);
                self.results.push(node, distance);
            }
            return;
        }
        // The way may lead over nodes that are not wanted.
        if is_nearer || self.candidates.len() < count {
            self.candidates.push(node, distance);
        }
        if self.accepts(node) && (is_nearer || self.results.len() < count) {
            self.results.push(node, distance);
        }
    }
}

/// The nodes that a walk has visited, one bit each.
struct Seen(Vec<u64>);

impl Seen {
    fn new(places: usize) -> Self {
        Self(vec![0; places.div_ceil(64)])
    }

    /// Adds a node. Returns whether it is new.
    fn insert(&mut self, node: u32) -> bool {
        let bit = 1 << (node % 64);
        let Some(word) = self.0.get_mut(node as usize / 64) else {
            return false;
        };
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }
}

/// The maximum number of nodes that wait for their neighbours to be visited. Source: hnsw.c, `HNSW_MAX_CANDIDATES`.
const CANDIDATES_MAX: usize = 256;
