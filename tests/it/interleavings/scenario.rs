//! The scenarios: who does what at the same time. None says what should come of it: the model does.

use super::instance::Call;
use super::instance::Call::{
    Create, Delete, DeleteBoth, DeleteIf, GetBoth, Lookup, Put, Replace, Set, SetBoth, Summary,
};

/// One thing that an actor does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A call on an instance, by its name: the letter is that of its host.
    On(&'static str, Call),
    /// The existing application: a plain `SET` of its key.
    ApplicationSets(&'static str),
    /// The same, with less than a fifth of the lifetime left: due for a refresh.
    ApplicationSetsDue(&'static str),
    /// A plain `DEL`.
    ApplicationDeletes,
    /// A plain `GET`.
    ApplicationReads,
    /// The database behind the origin says this from now on.
    Database(Option<&'static str>),
    /// The origin answers with this status from now on.
    OriginAnswers(u16),
    /// The origin forbids to store what it answers.
    OriginForbidsStoring,
    /// The entry reaches the end of its lifetime.
    EntryExpires,
    /// A lease reaches the end of its lifetime. Not before there is one.
    LeaseExpires,
    /// The failures of the origin that Redis knows are forgotten.
    FailuresAreForgotten,
}

use Step::{
    ApplicationDeletes, ApplicationReads, ApplicationSets, ApplicationSetsDue, Database,
    EntryExpires, FailuresAreForgotten, LeaseExpires, On, OriginAnswers, OriginForbidsStoring,
};

/// Somebody who does one thing after the other.
pub type Actor = (&'static str, Vec<Step>);

/// Who does what at the same time.
#[derive(Clone, Debug, Default)]
pub struct Scenario {
    pub name: &'static str,
    /// The instances, each with the letter of its host.
    pub instances: Vec<&'static str>,
    /// The variables of all hosts, beyond those of every scenario.
    pub variables: Vec<(&'static str, &'static str)>,
    /// Whether there is an origin.
    pub origin: bool,
    /// Whether lookups ask a replica, which learns of a change when the schedule lets it.
    pub replica: bool,
    /// Whether the instances are those of the middleware, with an application behind each.
    pub middleware: bool,
    /// Whether hosts keep answers in their key-value store.
    pub edge_cache: bool,
    /// What is done first, one after the other.
    pub before: Vec<Step>,
    /// What is done at the same time.
    pub actors: Vec<Actor>,
    /// What is done at the end, one after the other.
    pub after: Vec<Step>,
    /// Whether replies are held, too.
    pub replies: bool,
    /// The instance whose connection is cut once, before or after a command.
    pub cut: Option<&'static str>,
    /// The instance that dies, once it was called.
    pub dies: Option<&'static str>,
    /// None if every schedule keeps every promise. Else, what is not promised.
    pub not_promised: Option<&'static str>,
    /// Whether `make test` runs it.
    pub small: bool,
}

const NO_REFRESH: (&str, &str) = ("refresh_ahead", "1");
const STALE: (&str, &str) = ("stale_if_error", "3600");

fn reading_through(name: &'static str, instances: &[&'static str]) -> Scenario {
    Scenario {
        name,
        instances: instances.to_vec(),
        variables: vec![NO_REFRESH],
        origin: true,
        before: vec![Database(Some("v1"))],
        after: vec![ApplicationReads, On(instances[instances.len() - 1], Lookup)],
        ..Scenario::default()
    }
}

fn alone(name: &'static str, instances: &[&'static str]) -> Scenario {
    Scenario {
        name,
        instances: instances.to_vec(),
        after: vec![ApplicationReads, On(instances[0], Lookup)],
        ..Scenario::default()
    }
}

fn reader(on: &'static str) -> Actor {
    ("reader", vec![On(on, Lookup)])
}

/// The database changes, and then the cache learns of it.
fn change(step: Step, then: &[Step]) -> Actor {
    let steps = [&[Database(Some("v2")), step], then].concat();
    ("writer", steps)
}

/// The database changes, and the cache learns of it on an instance, which then looks.
fn change_on(on: &'static str, call: Call) -> Actor {
    change(On(on, call), &[On(on, Lookup)])
}

/// Every scenario.
pub fn all() -> Vec<Scenario> {
    let groups = [
        misses(),
        leases(),
        refreshes(),
        failures(),
        one_instance(),
        writes(),
        conditional_writes(),
        replicas(),
        edge_caches(),
        middleware(),
    ];
    groups.into_iter().flatten().collect()
}

/// A miss beside each kind of write.
fn misses() -> Vec<Scenario> {
    let beside = |name, writer| Scenario {
        actors: vec![reader("A1"), writer],
        ..reading_through(name, &["A1", "B1"])
    };
    let look = [On("B1", Lookup)];
    vec![
        Scenario {
            small: true,
            ..beside("miss-delete", change_on("B1", Delete))
        },
        beside("miss-set", change_on("B1", Set("v2"))),
        beside("miss-application-set", change(ApplicationSets("v2"), &look)),
        beside("miss-application-delete", change(ApplicationDeletes, &look)),
        Scenario {
            before: vec![Database(None)],
            ..beside("not-found-set", change_on("B1", Set("v2")))
        },
        beside("miss-create", change_on("B1", Create("v2"))),
        Scenario {
            cut: Some("A1"),
            ..beside("miss-cut-delete", change_on("B1", Delete))
        },
        Scenario {
            cut: Some("B1"),
            ..beside("miss-delete-cut", change_on("B1", Delete))
        },
    ]
}

/// Two misses at the same time: one asks.
fn leases() -> Vec<Scenario> {
    let other = || ("other", vec![On("B1", Lookup)]);
    let delete = || change(On("C1", Delete), &[]);
    let two = |name| Scenario {
        actors: vec![reader("A1"), other()],
        ..reading_through(name, &["A1", "B1"])
    };
    let three = |name| Scenario {
        instances: vec!["A1", "B1", "C1"],
        actors: vec![reader("A1"), other(), delete()],
        ..two(name)
    };
    let clock = || ("clock", vec![LeaseExpires]);
    vec![
        Scenario {
            small: true,
            ..two("two-misses")
        },
        three("two-misses-delete"),
        Scenario {
            before: vec![Database(Some("v1")), OriginForbidsStoring],
            ..two("two-misses-no-store")
        },
        Scenario {
            before: vec![Database(Some("v1")), OriginForbidsStoring],
            actors: vec![
                reader("A1"),
                other(),
                change(ApplicationDeletes, &[On("A1", Lookup)]),
            ],
            ..two("no-store-join-application-delete")
        },
        Scenario {
            before: vec![Database(None)],
            ..two("two-misses-not-found")
        },
        Scenario {
            before: vec![Database(Some("v1")), OriginAnswers(503)],
            ..two("two-misses-failure")
        },
        Scenario {
            actors: vec![reader("A1"), other(), clock()],
            dies: Some("A1"),
            ..two("lease-holder-dies")
        },
        Scenario {
            actors: vec![
                reader("A1"),
                (
                    "other",
                    vec![Database(Some("v2")), LeaseExpires, On("B1", Lookup)],
                ),
            ],
            small: true,
            ..two("lease-expires")
        },
        Scenario {
            actors: vec![reader("A1"), clock(), change_on("B1", Delete)],
            ..two("lease-expires-delete")
        },
        Scenario {
            cut: Some("A1"),
            ..two("two-misses-cut")
        },
    ]
}

/// A refresh ahead beside each kind of write.
fn refreshes() -> Vec<Scenario> {
    let beside = |name, writer| Scenario {
        variables: vec![],
        before: vec![Database(Some("v1")), ApplicationSetsDue("v1")],
        actors: vec![reader("A1"), writer],
        ..reading_through(name, &["A1", "B1"])
    };
    let look = [On("B1", Lookup)];
    vec![
        Scenario {
            small: true,
            ..beside("refresh-set", change_on("B1", Set("v2")))
        },
        Scenario {
            small: true,
            ..beside("refresh-delete", change_on("B1", Delete))
        },
        beside(
            "refresh-application-set",
            change(ApplicationSets("v2"), &look),
        ),
        beside(
            "refresh-application-delete",
            change(ApplicationDeletes, &look),
        ),
        beside("two-refreshes", ("other", vec![On("B1", Lookup)])),
        Scenario {
            before: vec![
                Database(Some("v1")),
                ApplicationSetsDue("v1"),
                OriginAnswers(403),
            ],
            ..beside("refused-refresh-set", change_on("B1", Set("v2")))
        },
        Scenario {
            cut: Some("A1"),
            ..beside("refresh-cut-delete", change_on("B1", Delete))
        },
    ]
}

/// The origin fails, and there is a stale copy.
fn failures() -> Vec<Scenario> {
    let copied = [Database(Some("v1")), On("A1", Lookup)];
    let expired = [&copied[..], &[EntryExpires, OriginAnswers(503)]].concat();
    let told = [&expired[..], &[On("A1", Lookup), FailuresAreForgotten]].concat();
    let after = vec![
        EntryExpires,
        FailuresAreForgotten,
        On("B1", Lookup),
        ApplicationReads,
    ];
    let beside = |name, before: &[Step], writer| Scenario {
        variables: vec![STALE],
        before: before.to_vec(),
        actors: vec![reader("A1"), writer],
        after: after.clone(),
        ..reading_through(name, &["A1", "B1"])
    };
    let due = [
        Database(Some("v1")),
        ApplicationSetsDue("v1"),
        OriginAnswers(503),
    ];
    let live = [&copied[..], &[OriginAnswers(503)]].concat();
    let look = [On("B1", Lookup)];
    vec![
        beside("stale-delete", &expired, change_on("B1", Delete)),
        Scenario {
            small: true,
            ..beside("stale-set", &expired, change_on("B1", Set("v2")))
        },
        beside("stale-create", &expired, change_on("B1", Create("v2"))),
        beside("answered-stale-delete", &told, change_on("B1", Delete)),
        beside("answered-stale-set", &told, change_on("B1", Set("v2"))),
        beside(
            "answered-stale-application-set",
            &told,
            change(ApplicationDeletes, &look),
        ),
        beside("failed-refresh-delete", &due, change_on("B1", Delete)),
        beside("failed-refresh-set", &due, change_on("B1", Set("v2"))),
        beside(
            "live-delete-if",
            &live,
            change(On("B1", DeleteIf("v1")), &[]),
        ),
        beside("live-replace", &live, change_on("B1", Replace("v1", "v2"))),
        Scenario {
            after: vec![FailuresAreForgotten, On("B1", Lookup)],
            ..beside(
                "live-application-delete",
                &live,
                change(ApplicationDeletes, &look),
            )
        },
        Scenario {
            not_promised: Some("a stale copy learns of what the application sets at the next hit"),
            actors: vec![change(
                ApplicationSets("v2"),
                &[EntryExpires, On("B1", Lookup)],
            )],
            ..beside("stale-application-set", &live, reader("A1"))
        },
    ]
}

/// Callers of one instance share what is in flight.
fn one_instance() -> Vec<Scenario> {
    let cached = |name, writer| Scenario {
        before: vec![On("A1", Set("v1"))],
        actors: vec![reader("A1"), writer],
        replies: true,
        small: true,
        ..alone(name, &["A1"])
    };
    let missed = |name, writer| Scenario {
        actors: vec![reader("A1"), writer],
        replies: true,
        ..reading_through(name, &["A1"])
    };
    let writer = |call| ("writer", vec![On("A1", call), On("A1", Lookup)]);
    vec![
        cached("join-delete", writer(Delete)),
        cached("join-set", writer(Set("v2"))),
        cached("join-replace", writer(Replace("v1", "v2"))),
        missed("join-miss-delete", change_on("A1", Delete)),
        missed("join-miss-set", change_on("A1", Set("v2"))),
        Scenario {
            instances: vec!["A1", "B1"],
            actors: vec![reader("A1"), change(On("B1", Delete), &[On("A1", Lookup)])],
            not_promised: Some(
                "a lookup joins one in flight, which Redis answered before the write",
            ),
            ..missed("join-miss-delete-elsewhere", reader("A1"))
        },
    ]
}

/// Writes against each other.
fn writes() -> Vec<Scenario> {
    let two = |name, one: Vec<Step>, other: Vec<Step>| Scenario {
        actors: vec![("one", one), ("other", other)],
        ..alone(name, &["A1", "B1"])
    };
    let both = |name, one: Vec<Step>, other: Vec<Step>| Scenario {
        after: vec![On("A1", GetBoth), On("B1", GetBoth)],
        ..two(name, one, other)
    };
    let look = |on, call| vec![On(on, call), On(on, Lookup)];
    vec![
        two("set-set", look("A1", Set("v1")), look("B1", Set("v2"))),
        two("set-delete", look("A1", Set("v1")), look("B1", Delete)),
        Scenario {
            cut: Some("A1"),
            ..two("set-cut-set", look("A1", Set("v1")), look("B1", Set("v2")))
        },
        Scenario {
            before: vec![On("B1", Set("v0"))],
            cut: Some("A1"),
            ..two("delete-cut-set", look("A1", Delete), look("B1", Set("v2")))
        },
        both(
            "set-many-delete-many",
            vec![On("A1", SetBoth("v1")), On("A1", GetBoth)],
            vec![On("B1", DeleteBoth), On("B1", GetBoth)],
        ),
        both(
            "set-many-set-many",
            vec![On("A1", SetBoth("v1")), On("A1", GetBoth)],
            vec![On("B1", SetBoth("v2")), On("B1", GetBoth)],
        ),
        Scenario {
            before: vec![On("B1", Set("v0"))],
            actors: vec![("one", vec![On("A1", Delete)])],
            cut: Some("A1"),
            not_promised: Some("a delete whose reply was lost is sent again, and finds nothing"),
            ..two("delete-cut", vec![], vec![])
        },
    ]
}

fn conditional_writes() -> Vec<Scenario> {
    let two = |name, one: Call, other: Step| Scenario {
        before: vec![On("B1", Set("v0"))],
        actors: vec![("one", vec![On("A1", one)]), ("other", vec![other])],
        small: true,
        ..alone(name, &["A1", "B1"])
    };
    let replace = Replace("v0", "v1");
    vec![
        two("replace-replace", replace, On("B1", Replace("v0", "v2"))),
        two("replace-set", replace, On("B1", Set("v2"))),
        two("replace-delete", replace, On("B1", Delete)),
        two("replace-delete-if", replace, On("B1", DeleteIf("v0"))),
        two("replace-application-set", replace, ApplicationSets("v2")),
        two("delete-if-set", DeleteIf("v0"), On("B1", Set("v2"))),
        Scenario {
            before: vec![],
            ..two("create-create", Create("v1"), On("B1", Create("v2")))
        },
        Scenario {
            cut: Some("A1"),
            ..two(
                "replace-cut-replace",
                replace,
                On("B1", Replace("v1", "v2")),
            )
        },
        Scenario {
            cut: Some("A1"),
            ..two("replace-cut-set", replace, On("B1", Set("v2")))
        },
    ]
}

/// Lookups ask a replica.
fn replicas() -> Vec<Scenario> {
    let cached = |name, writer: Vec<Step>| Scenario {
        replica: true,
        before: vec![On("B1", Set("v1"))],
        actors: vec![reader("A1"), ("writer", writer)],
        ..alone(name, &["A1", "B1"])
    };
    let through = |name, due: &[Step], writer| Scenario {
        replica: true,
        variables: vec![],
        before: [&[Database(Some("v1"))], due].concat(),
        actors: vec![reader("A1"), writer],
        ..reading_through(name, &["A1", "B1"])
    };
    let own = |call| vec![On("A1", call), On("A1", Lookup)];
    let elsewhere = |call| vec![On("B1", call), On("A1", Lookup)];
    vec![
        cached("replica-own-set", own(Set("v2"))),
        Scenario {
            small: true,
            ..cached("replica-own-delete", own(Delete))
        },
        cached("replica-own-replace", own(Replace("v1", "v2"))),
        Scenario {
            actors: vec![
                ("one", own(Replace("v1", "v2"))),
                ("other", vec![On("B1", Set("v0"))]),
            ],
            ..cached("replica-replace-set", vec![])
        },
        Scenario {
            not_promised: Some("a replica lags behind writes of other instances"),
            ..cached("replica-delete-elsewhere", elsewhere(Delete))
        },
        through("replica-miss-set", &[], change_on("B1", Set("v2"))),
        through("replica-miss-delete", &[], change_on("B1", Delete)),
        through(
            "replica-refresh-set",
            &[ApplicationSetsDue("v1")],
            change_on("B1", Set("v2")),
        ),
        through(
            "replica-refresh-delete",
            &[ApplicationSetsDue("v1")],
            change_on("B1", Delete),
        ),
    ]
}

/// Lookups may be answered by the host.
fn edge_caches() -> Vec<Scenario> {
    let edge = |name, instances: &[&'static str], writer: Vec<Step>| Scenario {
        edge_cache: true,
        variables: vec![("edge_cache_ttl_ms", "3600000")],
        before: vec![On("A1", Set("v1"))],
        actors: vec![("reader", vec![On("A1", Summary)]), ("writer", writer)],
        replies: true,
        after: vec![ApplicationReads, On("A1", Summary)],
        ..alone(name, instances)
    };
    let through = |name, call| Scenario {
        origin: true,
        variables: vec![NO_REFRESH, ("edge_cache_ttl_ms", "3600000")],
        before: vec![Database(Some("v1"))],
        actors: vec![
            ("reader", vec![On("A1", Summary)]),
            change(On("A2", call), &[On("A2", Summary)]),
        ],
        replies: false,
        ..edge(name, &["A1", "A2"], vec![])
    };
    let writer = |call| vec![On("A2", call), On("A2", Summary)];
    let kept = [On("A1", Set("v1")), On("A1", Summary)];
    vec![
        edge("edge-set", &["A1", "A2"], writer(Set("v2"))),
        Scenario {
            small: true,
            ..edge("edge-delete", &["A1", "A2"], writer(Delete))
        },
        edge("edge-replace", &["A1", "A2"], writer(Replace("v1", "v2"))),
        Scenario {
            before: kept.to_vec(),
            ..edge("edge-kept-delete", &["A1", "A2"], writer(Delete))
        },
        through("edge-miss-set", Set("v2")),
        through("edge-miss-delete", Delete),
        Scenario {
            before: kept.to_vec(),
            not_promised: Some("the edge cache of another host answers for its time"),
            ..edge(
                "edge-delete-elsewhere",
                &["A1", "B1"],
                vec![On("B1", Delete), On("A1", Summary)],
            )
        },
    ]
}

/// By way of the middleware. What is written there, the application behind it writes.
fn middleware() -> Vec<Scenario> {
    let beside = |name, instances: &[&'static str], writer: &'static str| Scenario {
        name,
        instances: instances.to_vec(),
        variables: vec![NO_REFRESH],
        middleware: true,
        before: vec![Database(Some("v1"))],
        actors: vec![
            reader("A1"),
            ("writer", vec![On(writer, Put("v2")), On(writer, Lookup)]),
        ],
        after: vec![On(instances[0], Lookup)],
        ..Scenario::default()
    };
    // The second lookup connects the other instance.
    let kept = [Database(Some("v1")), On("A1", Lookup), On("B1", Lookup)];
    let missed = [&kept[..], &[ApplicationDeletes]].concat();
    let two = |name| beside(name, &["A1", "B1"], "B1");
    vec![
        beside("middleware-miss-write", &["A1"], "A1"),
        Scenario {
            before: kept[..2].to_vec(),
            replies: true,
            ..beside("middleware-hit-write", &["A1"], "A1")
        },
        Scenario {
            small: true,
            ..two("middleware-miss-write-elsewhere")
        },
        Scenario {
            before: kept.to_vec(),
            small: true,
            ..two("middleware-hit-write-elsewhere")
        },
        Scenario {
            before: missed.clone(),
            cut: Some("B1"),
            ..two("middleware-miss-write-cut")
        },
        Scenario {
            before: missed,
            cut: Some("A1"),
            ..two("middleware-miss-cut-write")
        },
        Scenario {
            before: kept.to_vec(),
            actors: vec![
                ("one", vec![On("A1", Put("v2")), On("A1", Lookup)]),
                ("other", vec![On("B1", Put("v0")), On("B1", Lookup)]),
            ],
            ..two("middleware-write-write")
        },
        Scenario {
            before: kept.to_vec(),
            actors: vec![("writer", vec![On("B1", Put("v2"))])],
            dies: Some("B1"),
            not_promised: Some("the middleware removes the entry although it dies before that"),
            ..two("middleware-write-dies")
        },
    ]
}
