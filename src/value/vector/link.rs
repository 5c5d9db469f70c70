//! Adds a node to the graph.
//!
//! Source: redis 8.0 modules/vector-sets/hnsw.c, `hnsw_prepare_insert_nolock`, `hnsw_commit_insert_nolock`,
//! `select_neighbors`.

use super::graph::{Graph, Layer, Node};
use super::queue::Queue;

/// How insistently a node is linked to others that already have all their neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Pressure {
    /// Only to nodes that lie in other directions than those already linked, and only if it is nearer to them than their
    /// farthest neighbour.
    Choosy,
    /// To any node that can drop a neighbour which still keeps some others.
    Firm,
    /// To any node. One that cannot drop a neighbour gets room for one more.
    Forced,
}

/// In which layer a node is to be linked, to at most how many neighbours, and how insistently.
#[derive(Clone, Copy)]
pub(super) struct Wish {
    pub(super) layer: usize,
    pub(super) links: usize,
    pub(super) pressure: Pressure,
}

impl Graph {
    /// Adds a node to the layers up to `level` and links it. `effort` is the number of nodes among which it chooses its
    /// neighbours. Returns `None` if there is no room for another node.
    pub(super) fn insert(&mut self, mut node: Node, level: usize, effort: usize) -> Option<u32> {
        self.last_id += 1;
        node.id = self.last_id;
        node.layers = (0..=level).map(|layer| self.empty_layer(layer)).collect();
        let found = self.candidates(&node, effort);
        let at = self.add(node)?;
        for (layer, candidates) in found {
            self.link_in(layer, &candidates, at);
        }
        if self.enter.is_none() || level > self.level_max {
            self.enter = Some(at);
            self.level_max = level;
        }
        Some(at)
    }

    fn empty_layer(&self, layer: usize) -> Layer {
        Layer {
            links_max: self.links_max(layer),
            ..Layer::default()
        }
    }

    /// Returns the possible neighbours in each layer, highest layer first.
    fn candidates(&self, node: &Node, effort: usize) -> Vec<(usize, Queue)> {
        let Some(enter) = self.enter else {
            return Vec::new();
        };
        let mut from = self.descend(&node.point, enter, node.level());
        let layers = (0..=node.level().min(self.level_max)).rev();
        let found = layers.map(|layer| {
            let candidates = self.search_layer(&node.point, from, effort, layer, None);
            from = candidates.nearest().map_or(from, |near| near.node);
            (layer, candidates)
        });
        found.collect()
    }

    fn link_in(&mut self, layer: usize, candidates: &Queue, at: u32) {
        let wanted = self.shape.neighbours as usize;
        let mut wish = Wish {
            layer,
            links: wanted,
            pressure: Pressure::Choosy,
        };
        self.select(candidates, at, wish);
        if layer > 0 || self.node(at).links(0).len() >= wanted / 2 {
            return;
        }
        wish.pressure = Pressure::Firm;
        self.select(candidates, at, wish);
        if self.node(at).links(0).len() < wanted / 4 {
            wish.pressure = Pressure::Forced;
            wish.links = wanted / 4;
            self.select(candidates, at, wish);
        }
    }

    /// Links a node with candidates, nearest first, until it has as many neighbours as wished.
    pub(super) fn select(&mut self, candidates: &Queue, at: u32, wish: Wish) {
        for near in candidates.iter().filter(|near| near.node != at) {
            let Some(own) = self.node(at).layers.get(wish.layer) else {
                return;
            };
            if !own.has_room() || own.links.len() >= wish.links {
                return;
            }
            if self.suits(near.node, near.distance, at, wish) {
                self.link_or_replace(near.node, near.distance, at, wish);
            }
        }
    }

    /// Whether a candidate may become a neighbour. It must not be one yet. If there is a choice, it must also be nearer to the
    /// node than to any of its neighbours.
    fn suits(&self, candidate: u32, distance: f32, at: u32, wish: Wish) -> bool {
        let own = self.node(at).links(wish.layer);
        if wish.pressure > Pressure::Choosy {
            return !own.contains(&candidate);
        }
        let is_nearer = |link: &u32| self.distance(candidate, *link) < distance;
        !own.iter().any(is_nearer)
    }

    fn link_or_replace(&mut self, neighbour: u32, distance: f32, at: u32, wish: Wish) {
        let layer = wish.layer;
        let Some(theirs) = self.node(neighbour).layers.get(layer) else {
            return;
        };
        if theirs.has_room() {
            return self.link(neighbour, at, layer, distance);
        }
        // The comparison is written this way because of NaN.
        let is_farther = distance >= theirs.worst_distance;
        if wish.pressure == Pressure::Choosy && is_farther {
            return;
        }
        match self.to_drop(neighbour, wish) {
            Drop::Place(place) => self.replace(neighbour, place, distance, at, layer),
            Drop::Nothing => {}
            Drop::NeedsRoom => self.widen(neighbour, distance, at, layer),
        }
    }

    /// Returns which of its links a node without room may drop.
    fn to_drop(&self, node: u32, wish: Wish) -> Drop {
        let Some(layer) = self.node(node).layers.get(wish.layer) else {
            return Drop::Nothing;
        };
        let divisor = if wish.pressure == Pressure::Choosy {
            2
        } else {
            4
        };
        let least = (self.shape.neighbours / divisor) as usize;
        let keeps_enough = |link: u32| self.node(link).links(wish.layer).len() > least;
        let worst = layer.links.get(layer.worst_at);
        if worst.is_some_and(|worst| keeps_enough(*worst)) {
            return Drop::Place(layer.worst_at);
        }
        if wish.pressure < Pressure::Forced {
            return Drop::Nothing;
        }
        let mut farthest: Option<(usize, f32)> = None;
        for (place, link) in layer.links.iter().enumerate() {
            if keeps_enough(*link) {
                let distance = self.distance(node, *link);
                if farthest.is_none_or(|(_, far)| distance > far) {
                    farthest = Some((place, distance));
                }
            }
        }
        farthest.map_or(Drop::NeedsRoom, |(place, _)| Drop::Place(place))
    }

    /// Replaces one of `neighbour`'s links with the new node.
    fn replace(&mut self, neighbour: u32, place: usize, distance: f32, at: u32, layer: usize) {
        let Some(dropped) = self.node(neighbour).links(layer).get(place).copied() else {
            return;
        };
        self.unlink(dropped, neighbour, layer);
        if let Some(theirs) = self.layer_mut(neighbour, layer)
            && let Some(link) = theirs.links.get_mut(place)
        {
            *link = at;
        }
        self.find_worst(neighbour, layer);
        self.push_link(at, neighbour, layer, distance);
    }

    /// Gives a node room for one more neighbour, up to a limit.
    fn widen(&mut self, neighbour: u32, distance: f32, at: u32, layer: usize) {
        let factor = if layer == 0 { 3 } else { 2 };
        let limit = self.shape.neighbours * factor;
        let Some(theirs) = self.node(neighbour).layers.get(layer) else {
            return;
        };
        if theirs.links_max < limit {
            self.change(neighbour, |node| {
                if let Some(theirs) = node.layers.get_mut(layer) {
                    theirs.links_max += 1;
                }
            });
            self.link(neighbour, at, layer, distance);
        }
    }

    /// Links two nodes in both directions.
    pub(super) fn link(&mut self, one: u32, other: u32, layer: usize, distance: f32) {
        self.push_link(one, other, layer, distance);
        self.push_link(other, one, layer, distance);
    }

    fn push_link(&mut self, from: u32, to: u32, layer: usize, distance: f32) {
        if let Some(layer) = self.layer_mut(from, layer) {
            layer.links.push(to);
            if layer.links.len() == 1 || distance > layer.worst_distance {
                layer.worst_distance = distance;
                layer.worst_at = layer.links.len() - 1;
            }
        }
    }

    /// Removes the link from `from` to `to`.
    pub(super) fn unlink(&mut self, from: u32, to: u32, layer: usize) {
        let Some(links) = self.layer_mut(from, layer) else {
            return;
        };
        let Some(place) = links.links.iter().position(|link| *link == to) else {
            return;
        };
        links.links.remove(place);
        if links.links.is_empty() {
            (links.worst_distance, links.worst_at) = (0.0, 0);
        } else if place < links.worst_at {
            links.worst_at -= 1;
        } else if place == links.worst_at {
            self.find_worst(from, layer);
        }
    }

    /// Finds the farthest neighbour again.
    pub(super) fn find_worst(&mut self, node: u32, layer: usize) {
        let mut worst = (0.0, 0);
        for (place, link) in self.node(node).links(layer).iter().enumerate() {
            let distance = self.distance(node, *link);
            if distance > worst.0 {
                worst = (distance, place);
            }
        }
        if let Some(layer) = self.layer_mut(node, layer) {
            (layer.worst_distance, layer.worst_at) = worst;
        }
    }
}

enum Drop {
    /// The link at this place.
    Place(usize),
    /// No link.
    Nothing,
    /// No link, but the new neighbour must be linked.
    NeedsRoom,
}
