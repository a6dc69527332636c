//! The goals: ratios of numbers of the same run, so that they hold on any machine, and what is promised
//! wherever Redis is.

use crate::counting::{COUNTED, UNCOUNTED};
use crate::distance::{Distance, EDGE, FAR, FLOOR as EDGE_FLOOR, Lookups, NO_CACHE};
use crate::entries::Kind::{Hit, Miss};
use crate::growth::Growth;
use crate::peer::{CACHE, HELLO_GET, PYTHON, SDK_STYLE};
use crate::read_through::{CACHE as READ_THROUGH, FLOOR, NO_ORIGIN};
use crate::results::{Figures, Results};
use crate::stampede::Stampede;

/// A goal.
pub struct Goal {
    /// What is compared.
    pub what: &'static str,
    /// What the ratio must be.
    pub bound: Bound,
    /// What it is, if everything was there to be measured.
    pub value: Option<f64>,
}

/// The limit of a ratio.
#[derive(Clone, Copy)]
pub enum Bound {
    /// Not less than this.
    AtLeast(f64),
    /// Not more than this.
    AtMost(f64),
}

impl Bound {
    /// Whether the value keeps to it.
    pub fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
        }
    }
}

/// Every goal.
pub fn goals(
    results: &Results,
    growth: &Growth,
    counting: &Results,
    read_through: &Results,
    stampede: &Stampede,
    distance: &Distance,
) -> Vec<Goal> {
    let hits = |row, callers| results.get(row, Hit, callers);
    let throughput =
        |row, of, callers| Some(hits(row, callers)?.per_second / hits(of, callers)?.per_second);
    let goal = |what, bound, value| Goal { what, bound, value };
    let percentiles =
        |callers, figure: fn(&Figures) -> f64| hits(CACHE, callers).map(|cache| figure(&cache));
    let p50_of_floor = || Some(hits(CACHE, 1)?.p50 / hits(HELLO_GET, 1)?.p50);
    let of_no_origin = |callers| read_through.ratio(READ_THROUGH, NO_ORIGIN, Hit, callers);
    let of_uncounted = |callers| counting.ratio(COUNTED, UNCOUNTED, Hit, callers);
    let far = |figure: fn(&Lookups) -> f64| distance.lookups(FAR, EDGE).map(figure);
    let of_redis_hit = |callers| distance.hits.ratio(EDGE, NO_CACHE, Hit, callers);
    let of_edge_floor = |callers| distance.hits.ratio(EDGE, EDGE_FLOOR, Hit, callers);
    let batch = growth.batches.iter().find(|(count, _)| *count == 100);
    vec![
        goal(
            "lookups/s of the GET floor's, 1 caller",
            Bound::AtLeast(0.75),
            throughput(CACHE, HELLO_GET, 1),
        ),
        goal(
            "the same, 16 callers",
            Bound::AtLeast(0.75),
            throughput(CACHE, HELLO_GET, 16),
        ),
        goal(
            "p50 of the GET floor's, 1 caller",
            Bound::AtMost(1.35),
            p50_of_floor(),
        ),
        goal(
            "p99 of p50, 16 callers",
            Bound::AtMost(3.0),
            percentiles(16, |cache| cache.p99 / cache.p50),
        ),
        goal(
            "lookups/s of the SDK-style build's, 1 caller",
            Bound::AtLeast(50.0),
            throughput(CACHE, SDK_STYLE, 1),
        ),
        goal(
            "lookups/s of the Python service's, 1 caller",
            Bound::AtLeast(0.85),
            throughput(CACHE, PYTHON, 1),
        ),
        goal(
            "the same, 16 callers",
            Bound::AtLeast(1.7),
            throughput(CACHE, PYTHON, 16),
        ),
        goal(
            "the same, 64 callers",
            Bound::AtLeast(2.1),
            throughput(CACHE, PYTHON, 64),
        ),
        goal(
            "a batch of 100 of 100 lookups one by one",
            Bound::AtMost(0.06),
            batch.and_then(|(_, batch)| Some(batch.p50 / (100.0 * hits(CACHE, 1)?.p50))),
        ),
        goal(
            "hits/s that are counted of those that are not, 1 caller",
            Bound::AtLeast(0.97),
            of_uncounted(1),
        ),
        goal(
            "the same, 16 callers",
            Bound::AtLeast(0.97),
            of_uncounted(16),
        ),
        goal(
            "hits/s with an origin of those without, 1 caller",
            Bound::AtLeast(0.95),
            of_no_origin(1),
        ),
        goal(
            "the same, 16 callers",
            Bound::AtLeast(0.95),
            of_no_origin(16),
        ),
        goal(
            "misses/s read through of their floor's, 16 callers",
            Bound::AtLeast(0.6),
            read_through.ratio(READ_THROUGH, FLOOR, Miss, 16),
        ),
        goal(
            "requests to the origin in a stampede",
            Bound::AtMost(1.0),
            Some(stampede.cache.requests as f64),
        ),
        goal(
            "lookups within 5 ms, Redis 20 ms away, edge cache",
            Bound::AtLeast(0.98),
            far(Lookups::within_promised),
        ),
        goal(
            "their p50 in ms",
            Bound::AtMost(1.0),
            far(|lookups| lookups.percentile(50)),
        ),
        goal(
            "their p99 in ms",
            Bound::AtMost(5.0),
            far(|lookups| lookups.percentile(99)),
        ),
        goal(
            "edge-cache hits/s of those of Redis beside it, 1 caller",
            Bound::AtLeast(0.95),
            of_redis_hit(1),
        ),
        goal(
            "the same, 16 callers",
            Bound::AtLeast(0.95),
            of_redis_hit(16),
        ),
        goal(
            "edge-cache hits/s of the edge floor's, 1 caller",
            Bound::AtLeast(0.65),
            of_edge_floor(1),
        ),
        goal(
            "the same, 16 callers",
            Bound::AtLeast(0.65),
            of_edge_floor(16),
        ),
    ]
}
