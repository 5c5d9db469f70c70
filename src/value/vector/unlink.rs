//! Removes a node from the graph, and links its neighbours with each other instead.
//!
//! Source: redis 8.0 modules/vector-sets/hnsw.c, `hnsw_unlink_node`, `hnsw_reconnect_nodes`.

use super::graph::{Graph, Node};
use super::link::{Pressure, Wish};
use super::queue::Queue;

impl Graph {
    /// Removes a node.
    pub(super) fn delete(&mut self, at: u32) -> Node {
        let layers = self.node(at).layers.clone();
        for (layer, own) in layers.iter().enumerate() {
            for neighbour in &own.links {
                self.unlink(*neighbour, at, layer);
            }
        }
        let node = self.take(at);
        if self.enter == Some(at) {
            self.enter_elsewhere(&node);
        }
        for (layer, own) in layers.iter().enumerate() {
            self.reconnect(&own.links, layer);
        }
        node
    }

    /// Chooses a new start for searches: a neighbour of the old start, or the oldest node of the highest layer.
    fn enter_elsewhere(&mut self, gone: &Node) {
        let mut above = gone.layers.iter().rev();
        let neighbour = above.find_map(|layer| layer.links.first().copied());
        let highest = || {
            let nodes = self.iter().map(|(at, node)| (node.level(), at));
            // Of equal levels, the last one in the walk, which is the oldest node.
            nodes.max_by_key(|(level, _)| *level).map(|(_, at)| at)
        };
        self.enter = neighbour.or_else(highest);
        self.level_max = self.enter.map_or(0, |at| self.node(at).level());
    }

    /// Links each of `nodes`, which have lost a neighbour, with another node: first in pairs, then with any suitable node.
    fn reconnect(&mut self, nodes: &[u32], layer: usize) {
        let table = Table::of(nodes.len(), |one, other| self.distance(one, other), nodes);
        let paired = self.pair(nodes, layer, &table);
        for (index, node) in nodes.iter().enumerate() {
            let is_paired = paired.get(index).copied().unwrap_or(true);
            if !is_paired && self.has_room(*node, layer) {
                self.find_neighbour(index, nodes, layer, &table);
            }
        }
    }

    fn has_room(&self, node: u32, layer: usize) -> bool {
        let own = self.node(node).layers.get(layer);
        own.is_some_and(super::graph::Layer::has_room)
    }

    /// Links pairs, best score first. Returns which nodes have been linked.
    fn pair(&mut self, nodes: &[u32], layer: usize, table: &Table) -> Vec<bool> {
        let scores = table.scores(
            |one, other| self.node(one).links(layer).contains(&other),
            nodes,
        );
        let mut paired = vec![false; nodes.len()];
        while let Some((one, other)) = self.best(nodes, layer, &scores, &paired) {
            if let (Some(from), Some(to)) = (nodes.get(one), nodes.get(other)) {
                self.link(*from, *to, layer, table.at(one, other));
            }
            for index in [one, other] {
                if let Some(paired) = paired.get_mut(index) {
                    *paired = true;
                }
            }
        }
        paired
    }

    /// Returns the pair with the highest score whose nodes both have room and no partner yet. Of equal scores, the first wins.
    fn best(
        &self,
        nodes: &[u32],
        layer: usize,
        scores: &Table,
        paired: &[bool],
    ) -> Option<(usize, usize)> {
        let is_free = |(index, node): &(usize, &u32)| {
            paired.get(*index) == Some(&false) && self.has_room(**node, layer)
        };
        let free: Vec<usize> = nodes
            .iter()
            .enumerate()
            .filter(is_free)
            .map(|(at, _)| at)
            .collect();
        let (mut best, mut best_score) = (None, NO_SCORE);
        for one in &free {
            for other in free.iter().filter(|other| *other != one) {
                let score = scores.at(*one, *other);
                if score >= 0.0 && score > best_score {
                    (best, best_score) = (Some((*one, *other)), score);
                }
            }
        }
        best
    }

    /// Links a node without a partner to another one of `nodes`, or to any node near it.
    fn find_neighbour(&mut self, index: usize, nodes: &[u32], layer: usize, table: &Table) {
        let Some(node) = nodes.get(index).copied() else {
            return;
        };
        let links = self.node(node).links(layer).len() + 1;
        let mut wish = Wish {
            layer,
            links,
            pressure: Pressure::Firm,
        };
        let mut local = Queue::new(nodes.len());
        for (other, candidate) in nodes.iter().enumerate() {
            if other != index && self.has_room(*candidate, layer) {
                local.push(*candidate, table.at(index, other));
            }
        }
        self.select(&local, node, wish);
        let linked = self.node(node).links(layer).len();
        if linked == links {
            return;
        }
        if linked <= (self.shape.neighbours / 2) as usize {
            wish.pressure = Pressure::Forced;
        }
        self.select(&self.around(node, layer), node, wish);
    }

    /// Returns nodes near a node of the graph.
    fn around(&self, node: u32, layer: usize) -> Queue {
        let Some(enter) = self.enter else {
            return Queue::new(0);
        };
        let point = &self.node(node).point;
        let from = self.descend(point, enter, layer);
        self.search_layer(point, from, EFFORT, layer, None)
    }
}

/// A number for each pair of some nodes.
struct Table {
    width: usize,
    cells: Vec<f32>,
}

impl Table {
    /// Computes the distances of all pairs. They are the same in both directions.
    fn of(width: usize, distance: impl Fn(u32, u32) -> f32, nodes: &[u32]) -> Self {
        let mut cells = Vec::with_capacity(width * width);
        for (row, one) in nodes.iter().enumerate() {
            for (column, other) in nodes.iter().enumerate() {
                cells.push(match column.cmp(&row) {
                    std::cmp::Ordering::Less => {
                        cells.get(column * width + row).copied().unwrap_or(0.0)
                    }
                    std::cmp::Ordering::Equal => 0.0,
                    std::cmp::Ordering::Greater => distance(*one, *other),
                });
            }
        }
        Self { width, cells }
    }

    fn at(&self, row: usize, column: usize) -> f32 {
        let cell = self.cells.get(row * self.width + column);
        cell.copied().unwrap_or(NO_SCORE)
    }

    /// Rates each pair of nodes. The score is higher the nearer the two are, and the farther away each one's alternatives are.
    fn scores(&self, linked: impl Fn(u32, u32) -> bool, nodes: &[u32]) -> Self {
        let averages: Vec<f32> = (0..self.width).map(|row| self.average(row)).collect();
        let mut cells = Vec::with_capacity(self.cells.len());
        for (row, (one, average)) in nodes.iter().zip(&averages).enumerate() {
            for (column, (other, other_average)) in nodes.iter().zip(&averages).enumerate() {
                let is_no_pair = row == column || linked(*one, *other);
                cells.push(if is_no_pair {
                    NO_SCORE
                } else {
                    self.score(self.at(row, column), *average, *other_average)
                });
            }
        }
        Self {
            width: self.width,
            cells,
        }
    }

    /// The average distance of a node to the others.
    fn average(&self, row: usize) -> f32 {
        let others = (0..self.width).filter(|column| *column != row);
        let sum = others.fold(0.0, |sum, column| sum + self.at(row, column));
        if self.width > 1 {
            sum / count(self.width - 1)
        } else {
            0.0
        }
    }

    fn score(&self, distance: f32, average: f32, other_average: f32) -> f32 {
        let left = |average: f32| match self.width {
            ..=2 => 0.0,
            width => (average * count(width - 1) - distance) / count(width - 2),
        };
        let left_over = (left(average) + left(other_average)) / 2.0;
        NEARNESS_WEIGHT * (2.0 - distance) + REST_WEIGHT * left_over
    }
}

#[expect(clippy::cast_precision_loss, reason = "rounded as the server rounds")]
const fn count(number: usize) -> f32 {
    number as f32
}

/// The score of two nodes that are not a pair.
const NO_SCORE: f32 = -1.0;
const NEARNESS_WEIGHT: f32 = 0.7;
const REST_WEIGHT: f32 = 0.3;
/// How many nodes a neighbour is chosen from. Source: hnsw.c, `HNSW_EF_C`.
const EFFORT: usize = 200;
