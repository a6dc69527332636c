//! One run of a scenario: its instances over a real Redis, the events that could come next, and what
//! each of them leads to.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use provider_connection_cache_host::{App, Grants, LogSink};
use tokio::sync::oneshot;

use super::gate::Gate;
use super::instance::{Call, Guest, Instance, Revisions, Said, entry_of};
use super::middleware;
use super::origin::{Origin, OriginAnswer};
use super::replica::Replica;
use super::scenario::{Scenario, Step};
use super::stillness::Stillness;
use super::wire::{Command, Upstream};
use crate::model::{Effect, History, Moment, Outcome, Read, Seen, Violation};
use crate::support::cache::Cache;
use crate::support::connection::id;
use crate::support::redis::Redis;
use crate::support::secrets::ORIGIN_TOKEN;
use crate::support::service::{READ_TOKEN, WRITE_TOKEN};
use crate::support::{assert_nothing_trapped, lean_component, middleware_component, options};

/// What can come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// An actor begins its next step.
    Begins(usize),
    /// Redis carries out the next command of an instance.
    Command(usize),
    /// The reply to it arrives.
    Reply(usize),
    /// The replica carries out the next command of an instance.
    ReplicaCommand(usize),
    /// The replica learns of the next change.
    Replicates,
    /// The origin of a host reads its database.
    Reads(usize),
    /// Its answer arrives.
    Answer(usize),
    /// The application behind the middleware of a host writes.
    Writes(usize),
    /// The middleware learns that it has written.
    Written(usize),
    /// The connection of an instance is cut, before its next command or after it.
    Cut { instance: usize, after: bool },
    /// An instance dies.
    Dies(usize),
}

/// What an event touched. Two events that touch different things lead to the same in either order.
#[derive(Clone, Debug, Default)]
pub struct Footprint {
    /// Instances that took part.
    instances: BTreeSet<usize>,
    reads: BTreeSet<String>,
    writes: BTreeSet<String>,
    /// Whether a call began, and whether one ended: the model compares these moments.
    begins: bool,
    ends: bool,
    /// Whether it touches everything.
    all: bool,
}

impl Footprint {
    pub fn is_independent_of(&self, other: &Self) -> bool {
        let meets = |one: &BTreeSet<String>, other: &BTreeSet<String>| !one.is_disjoint(other);
        !(self.all
            || other.all
            || !self.instances.is_disjoint(&other.instances)
            || meets(&self.writes, &other.writes)
            || meets(&self.writes, &other.reads)
            || meets(&self.reads, &other.writes)
            || self.begins && other.ends
            || self.ends && other.begins)
    }
}

/// A call that has not ended.
struct Running {
    actor: usize,
    instance: usize,
    call: Call,
    start: Moment,
    /// Its number in the history, if it writes.
    number: Option<usize>,
    said: oneshot::Receiver<Said>,
}

/// What stays between the runs of a scenario.
pub struct Site {
    _redis: Redis,
    upstream: Arc<Mutex<Upstream>>,
    hosts: Vec<(Gate, Origin)>,
    /// The replica, and the way of each host to it.
    replica: Option<(Replica, Vec<Gate>)>,
    revisions: Arc<Revisions>,
}

impl Site {
    pub async fn of(scenario: &Scenario) -> Self {
        let redis = Redis::start(&[]);
        let upstream = Arc::new(Mutex::new(Upstream::to(&redis)));
        let revisions = Arc::new(Revisions::learn(&redis).await);
        let mut hosts = Vec::new();
        for _ in 0..host_of(scenario, scenario.instances.len() - 1) + 1 {
            hosts.push((Gate::before(&upstream).await, Origin::start().await));
        }
        let mut replica = None;
        if scenario.replica {
            let of = Replica::of(&redis, &upstream);
            let mut gates = Vec::new();
            for _ in &hosts {
                gates.push(Gate::before(&of.upstream).await);
            }
            replica = Some((of, gates));
        }
        Self {
            _redis: redis,
            upstream,
            hosts,
            replica,
            revisions,
        }
    }
}

fn host_of(scenario: &Scenario, instance: usize) -> usize {
    usize::from(scenario.instances[instance].as_bytes()[0] - b'A')
}

fn key(number: usize) -> String {
    format!("test:provider:conn:{}", id(number))
}

/// One run.
pub struct World<'a> {
    scenario: &'a Scenario,
    site: &'a Site,
    stillness: &'a Stillness,
    began: Instant,
    apps: Vec<(Arc<App>, LogSink)>,
    /// None for one that died.
    instances: Vec<Option<Instance>>,
    /// How many steps each actor has begun.
    begun: Vec<usize>,
    running: Vec<Running>,
    history: History,
    reads: Vec<Read>,
    /// How many events there were: the time of the model.
    now: u64,
    /// What the origin says, with which status and headers.
    database: Option<&'static str>,
    status: u16,
    headers: &'static str,
    /// How many changes Redis made, and for an instance that waits for a lease, how many before it looked.
    changes: u64,
    waits: BTreeMap<usize, u64>,
    /// When each host read last, and what it had read when it wrote last: a request to the origin begins
    /// with a lease, because of what was read before.
    looked: BTreeMap<usize, Moment>,
    leased: BTreeMap<usize, (Moment, Moment)>,
    /// Requests to the origin that were asked, and answered but not published, by host.
    asking: BTreeMap<usize, Vec<(usize, bool)>>,
    cuts: usize,
    /// The removals that found nothing.
    found_nothing: Vec<usize>,
    wrong: Vec<String>,
}

impl<'a> World<'a> {
    /// Begins from an empty Redis.
    pub async fn begin(scenario: &'a Scenario, site: &'a Site, stillness: &'a Stillness) -> Self {
        site.upstream
            .lock()
            .unwrap()
            .call(&Command::new(&["FLUSHALL"]));
        let mut world = Self {
            scenario,
            site,
            stillness,
            began: Instant::now(),
            apps: Vec::new(),
            instances: Vec::new(),
            begun: vec![0; scenario.actors.len()],
            running: Vec::new(),
            history: History::new(id(1)),
            reads: Vec::new(),
            now: 0,
            database: None,
            status: 200,
            headers: "",
            changes: 0,
            waits: BTreeMap::new(),
            looked: BTreeMap::new(),
            leased: BTreeMap::new(),
            asking: BTreeMap::new(),
            cuts: 0,
            found_nothing: Vec::new(),
            wrong: Vec::new(),
        };
        world.changes = site.upstream.lock().unwrap().changes();
        while world.replica_lags() {
            world.replica().learn();
        }
        for (host, (gate, origin)) in site.hosts.iter().enumerate() {
            gate.expect(0);
            origin.forget();
            world.apps.push(world.load(host));
        }
        for number in 0..scenario.instances.len() {
            let host = host_of(scenario, number);
            let (app, log) = &world.apps[host];
            site.hosts[host].0.expect(number);
            // It connects when it looks something up, and is the only one of its host.
            if let Some((_, gates)) = &site.replica {
                gates[host].expect(number);
            }
            let component = if scenario.middleware {
                let application = &site.hosts[host].1;
                Guest::Middleware(middleware::before(application, app).await)
            } else {
                let prefix = "test".to_owned();
                let mut cache = Cache::instance_of(Arc::clone(app), log.clone(), prefix).await;
                // So that it is connected, and no first command decides what a lost connection means.
                cache.ping().await.expect("Redis answers");
                Guest::Cache(Box::new(cache), Arc::clone(&site.revisions))
            };
            world.instances.push(Some(Instance::run(component)));
        }
        for step in &scenario.before {
            world.do_alone(*step).await;
        }
        world
    }

    fn load(&self, host: usize) -> (Arc<App>, LogSink) {
        let (gate, origin) = &self.site.hosts[host];
        let replica = self.site.replica.as_ref().map(|(_, gates)| &gates[host]);
        let url = format!("{}/{{id}}", origin.address());
        let common = [
            ("redis_address", gate.address()),
            ("key_prefix", "test"),
            ("redis_timeout_ms", "30000"),
            ("stats", "off"),
        ];
        let through = [
            ("origin_token", ORIGIN_TOKEN),
            ("origin_timeout_ms", "30000"),
            ("ttl_jitter", "0"),
        ];
        let over_http = [("origin_url", url.as_str())];
        let before_application = [("read_token", READ_TOKEN), ("write_token", WRITE_TOKEN)];
        let through = match (self.scenario.middleware, self.scenario.origin) {
            (true, _) => [&through[..], &before_application].concat(),
            (false, true) => [&through[..], &over_http].concat(),
            (false, false) => Vec::new(),
        };
        let replica = replica.map(|gate| ("redis_replica_address", gate.address()));
        let variables = common.iter().chain(&through).chain(&replica);
        let variables = variables.chain(&self.scenario.variables);
        let variables = variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let grants = Grants {
            allowed_outbound_hosts: [gate.address(), origin.address()]
                .into_iter()
                .chain(replica.map(|(_, address)| address))
                .map(str::to_owned)
                .collect(),
            key_value_stores: match self.scenario.edge_cache {
                true => vec!["default".to_owned()],
                false => Vec::new(),
            },
        };
        let log = LogSink::memory();
        let options = options(variables.collect(), &log);
        let component = match self.scenario.middleware {
            true => middleware_component(),
            false => lean_component(),
        };
        let app = App::from_component(&component, &grants, options);
        (Arc::new(app.expect("the component loads")), log)
    }

    fn moment(&self) -> Moment {
        Duration::from_secs(self.now)
    }

    fn redis(&self, words: &[&str]) -> Vec<u8> {
        self.site
            .upstream
            .lock()
            .unwrap()
            .call(&Command::new(words))
    }

    fn held(&self) -> usize {
        let origins = self.site.hosts.iter().map(|(_, origin)| origin.held());
        self.held_by_gates() + origins.sum::<usize>()
    }

    /// What is held and came over a connection.
    fn held_on_wires(&self) -> usize {
        let hosts = self.site.hosts.iter();
        let origins = hosts.map(|(_, origin)| origin.reads.connected());
        self.held_by_gates() + origins.sum::<usize>()
    }

    fn held_by_gates(&self) -> usize {
        let hosts = self.site.hosts.iter().map(|(gate, _)| gate);
        let replica = self.site.replica.iter().flat_map(|(_, gates)| gates);
        hosts.chain(replica).map(Gate::held).sum()
    }

    fn replica(&self) -> &'a Replica {
        &self.site.replica.as_ref().expect("there is a replica").0
    }

    fn replica_lags(&self) -> bool {
        let replica = self.site.replica.as_ref();
        replica.is_some_and(|(replica, _)| replica.lags(&self.site.upstream))
    }

    /// The way of an instance to the replica, if it has sent a command there.
    fn replica_gate(&self, instance: usize) -> Option<&'a Gate> {
        let (_, gates) = self.site.replica.as_ref()?;
        let gate = &gates[host_of(self.scenario, instance)];
        gate.command(instance).map(|_| gate)
    }

    /// Waits until nothing goes on by itself, not even when all pauses end.
    async fn settle(&mut self) {
        loop {
            let before = self.progress();
            let waiting = || {
                self.apps
                    .iter()
                    .map(|(app, _)| app.waiting())
                    .sum::<usize>()
            };
            let is_quiet = || waiting() == self.held_on_wires();
            self.stillness.settle(is_quiet).await;
            self.stillness.let_time_pass().await;
            self.stillness.settle(is_quiet).await;
            if before == self.progress() {
                return;
            }
        }
    }

    fn progress(&self) -> (usize, usize) {
        let unanswered = self.running.iter().filter(|it| it.said.is_empty());
        (self.held(), unanswered.count())
    }

    /// What can come next.
    pub fn events(&self) -> Vec<Event> {
        let mut events = Vec::new();
        for (actor, (_, steps)) in self.scenario.actors.iter().enumerate() {
            let is_free = !self.running.iter().any(|it| it.actor == actor);
            if let Some(step) = steps.get(self.begun[actor])
                && is_free
                && self.is_possible(*step)
            {
                events.push(Event::Begins(actor));
            }
        }
        events.extend(self.events_without_actors());
        events
    }

    fn events_without_actors(&self) -> Vec<Event> {
        let mut events = Vec::new();
        for (instance, name) in self.scenario.instances.iter().enumerate() {
            if self.instances[instance].is_none() {
                continue;
            }
            let (gate, _) = &self.site.hosts[host_of(self.scenario, instance)];
            if gate.has_reply(instance) {
                events.push(Event::Reply(instance));
            }
            if let Some(command) = gate.command(instance) {
                let in_vain = command.name() == "GET"
                    && !gate.has_more(instance)
                    && self.waits.get(&instance) == Some(&self.changes);
                if !in_vain {
                    events.push(Event::Command(instance));
                }
                if self.scenario.cut == Some(name) && self.cuts == 0 && !in_vain {
                    events.extend([false, true].map(|after| Event::Cut { instance, after }));
                }
            }
            if self.replica_gate(instance).is_some() {
                events.push(Event::ReplicaCommand(instance));
            }
            let is_called = self.running.iter().any(|it| it.instance == instance);
            if self.scenario.dies == Some(name) && is_called {
                events.push(Event::Dies(instance));
            }
        }
        for (host, (_, origin)) in self.site.hosts.iter().enumerate() {
            if origin.reads.undecided().is_some() {
                events.push(Event::Reads(host));
            }
            if origin.reads.has_answer() {
                events.push(Event::Answer(host));
            }
            if origin.writes.undecided().is_some() {
                events.push(Event::Writes(host));
            }
            if origin.writes.has_answer() {
                events.push(Event::Written(host));
            }
        }
        if self.replica_lags() {
            events.push(Event::Replicates);
        }
        events
    }

    fn is_possible(&self, step: Step) -> bool {
        match step {
            Step::On(name, _) => self.instances[self.instance(name)].is_some(),
            Step::LeaseExpires => {
                let held = self.site.upstream.lock().unwrap().get(&key(1));
                held.is_some_and(|held| held.starts_with(r#"{"origin":"asked""#))
            }
            _ => true,
        }
    }

    fn instance(&self, name: &str) -> usize {
        let mut names = self.scenario.instances.iter();
        names.position(|it| *it == name).expect("an instance")
    }

    /// Does what is done before the actors begin, or after they have ended.
    async fn do_alone(&mut self, step: Step) {
        let nobody = usize::MAX;
        self.now += 1;
        self.step(nobody, step, &mut Footprint::default());
        self.settle().await;
        self.collect(&mut Footprint::default());
        loop {
            if let Some(event) = self.events_without_actors().first() {
                self.take(*event).await;
            } else if !self.running.is_empty() && self.is_possible(Step::LeaseExpires) {
                // Somebody died.
                self.now += 1;
                self.step(nobody, Step::LeaseExpires, &mut Footprint::default());
            } else {
                break;
            }
        }
        assert!(
            !self.running.iter().any(|it| it.actor == nobody),
            "{step:?} does not end"
        );
    }

    /// Lets an event happen, and all that follows from it up to the next ones.
    pub async fn take(&mut self, event: Event) -> Footprint {
        self.now += 1;
        let mut footprint = Footprint::default();
        match event {
            Event::Begins(actor) => {
                let step = self.scenario.actors[actor].1[self.begun[actor]];
                self.begun[actor] += 1;
                self.step(actor, step, &mut footprint);
            }
            Event::Command(instance) => {
                footprint.instances.insert(instance);
                let reply = self.carry_out(instance, &mut footprint);
                let gate = self.gate(instance);
                gate.reply(instance, reply, self.scenario.replies);
            }
            Event::Reply(instance) => {
                footprint.instances.insert(instance);
                self.gate(instance).hand_on(instance);
            }
            Event::ReplicaCommand(instance) => {
                footprint.instances.insert(instance);
                footprint.reads.insert("replica".to_owned());
                let gate = self.replica_gate(instance).unwrap();
                let command = gate.command(instance).unwrap();
                let reply = self.replica().upstream.lock().unwrap().call(&command);
                gate.reply(instance, reply, false);
            }
            Event::Replicates => {
                footprint.writes.insert("replica".to_owned());
                self.replica().learn();
            }
            Event::Reads(host) => {
                footprint.reads.insert("database".to_owned());
                footprint.instances.extend(self.instances_of(host));
                self.site.hosts[host].1.reads.decide(self.response());
            }
            Event::Answer(host) => {
                footprint.instances.extend(self.instances_of(host));
                self.site.hosts[host].1.reads.answer();
                let asking = self.asking.entry(host).or_default();
                if let Some((_, answered)) = asking.iter_mut().find(|(_, answered)| !answered) {
                    *answered = true;
                }
            }
            Event::Writes(host) => {
                footprint.writes.insert("database".to_owned());
                footprint.instances.extend(self.instances_of(host));
                footprint.begins = true;
                footprint.ends = true;
                self.application_writes(host);
            }
            Event::Written(host) => {
                footprint.instances.extend(self.instances_of(host));
                self.site.hosts[host].1.writes.answer();
            }
            Event::Cut { instance, after } => {
                footprint.instances.insert(instance);
                if after {
                    self.carry_out(instance, &mut footprint);
                }
                self.gate(instance).cut(instance);
                self.cuts += 1;
            }
            Event::Dies(instance) => {
                footprint.all = true;
                self.instances[instance] = None;
                self.gate(instance).cut(instance);
                let host = host_of(self.scenario, instance);
                self.site.hosts[host].1.forget();
                self.asking.remove(&host);
                if self.scenario.not_promised.is_some() {
                    // As if its caller had been told that it is done.
                    let moment = self.moment();
                    let dead = self.running.iter().filter(|it| it.instance == instance);
                    for number in dead.filter_map(|it| it.number) {
                        self.history.end(number, Outcome::Acknowledged, moment);
                    }
                }
                self.running.retain(|it| it.instance != instance);
            }
        }
        self.settle().await;
        self.collect(&mut footprint);
        footprint
    }

    fn gate(&self, instance: usize) -> &'a Gate {
        &self.site.hosts[host_of(self.scenario, instance)].0
    }

    fn instances_of(&self, host: usize) -> impl Iterator<Item = usize> {
        let all = 0..self.scenario.instances.len();
        all.filter(move |it| host_of(self.scenario, *it) == host)
    }

    fn response(&self) -> OriginAnswer {
        let (status, headers, body) = match (self.status, self.database) {
            (200, Some(value)) => (200, self.headers, entry_of(1, value)),
            (200, None) => (404, self.headers, String::new()),
            (status, _) => (status, "", String::new()),
        };
        OriginAnswer {
            status,
            headers,
            body,
        }
    }

    /// The application behind the middleware of a host writes. From then on, the entry is outdated.
    fn application_writes(&mut self, host: usize) {
        let moment = self.moment();
        let writes = &self.site.hosts[host].1.writes;
        let new = writes.undecided().expect("a request");
        let (call, value) = self
            .running
            .iter_mut()
            .find_map(|it| match it.call {
                Call::Put(value) if value == new && it.number.is_none() => Some((it, value)),
                _ => None,
            })
            .expect("a call");
        self.database = Some(value);
        self.history.say(self.database.map(str::to_owned), moment);
        // The entry is to be removed after this moment, not in it.
        let later = moment + Duration::from_nanos(1);
        call.number = Some(self.history.begin(Effect::Delete, later));
        writes.decide(OriginAnswer {
            status: 204,
            headers: "",
            body: String::new(),
        });
    }

    /// Lets Redis carry out the next command of an instance, and returns the reply.
    fn carry_out(&mut self, instance: usize, footprint: &mut Footprint) -> Vec<u8> {
        let command = self.gate(instance).command(instance).unwrap();
        let (reply, changes) = {
            let mut upstream = self.site.upstream.lock().unwrap();
            (upstream.call(&command), upstream.changes())
        };
        let changed = std::mem::replace(&mut self.changes, changes) != changes;
        let (host, moment) = (host_of(self.scenario, instance), self.moment());
        if ["GET", "MGET"].contains(&command.name()) {
            self.looked.insert(host, moment);
        } else if changed {
            let looked = self.looked.get(&host).copied().unwrap_or(moment);
            self.leased.insert(host, (looked, moment));
        }
        let is_read = command.name() == "GET";
        for key in command.keys() {
            match changed && command.may_change(key, &reply) {
                true => footprint.writes.insert(key.clone()),
                false => footprint.reads.insert(key.clone()),
            };
        }
        let sees_lease = String::from_utf8_lossy(&reply).contains(r#"{"origin":"asked""#);
        if is_read && sees_lease {
            self.waits.insert(instance, self.changes);
        } else if is_read {
            self.waits.remove(&instance);
        }
        // What it was told by the origin is there for others now, or never will be.
        if command.name() == "EVAL" {
            self.publish(host_of(self.scenario, instance));
        }
        reply
    }

    fn publish(&mut self, host: usize) {
        let moment = self.moment();
        let asking = self.asking.entry(host).or_default();
        for (number, _) in asking.extract_if(.., |(_, answered)| *answered) {
            self.history.publish(number, moment);
        }
    }

    fn step(&mut self, actor: usize, step: Step, footprint: &mut Footprint) {
        let (moment, key) = (self.moment(), key(1));
        let ttl = Duration::from_secs(1_000_000);
        let mut write = |effect, words: &[&str]| {
            footprint.writes.insert(key.clone());
            footprint.begins = true;
            footprint.ends = true;
            let number = self.history.begin(effect, moment);
            let mut upstream = self.site.upstream.lock().unwrap();
            upstream.call(&Command::new(words));
            self.changes = upstream.changes();
            self.history.end(number, Outcome::Acknowledged, moment);
        };
        match step {
            Step::On(name, call) => {
                let instance = self.instance(name);
                let host = Some(host_of(self.scenario, instance));
                let number = call.effect().map(|(effect, condition)| {
                    self.history.begin_on(host, effect, condition, moment)
                });
                footprint.begins = true;
                footprint.instances.insert(instance);
                let said = self.instances[instance].as_ref().unwrap().call(call);
                self.running.push(Running {
                    actor,
                    instance,
                    call,
                    start: moment,
                    number,
                    said,
                });
            }
            Step::ApplicationSets(value) | Step::ApplicationSetsDue(value) => {
                let lifetime = match step {
                    Step::ApplicationSetsDue(_) => "30",
                    _ => "300",
                };
                let effect = Effect::Put {
                    value: value.to_owned(),
                    ttl,
                };
                write(effect, &["SET", &key, &entry_of(1, value), "EX", lifetime]);
            }
            Step::ApplicationDeletes => write(Effect::Delete, &["DEL", &key]),
            Step::LeaseExpires => write(Effect::Expire, &["DEL", &key]),
            Step::EntryExpires => {
                write(Effect::Expire, &["DEL", &key]);
                // What lives shorter is gone, and what lives longer lives for as much longer.
                footprint.all = true;
                self.redis(&["DEL", &key.replace("conn:", "conn-fresh:")]);
                let copy = key.replace("conn:", "conn-stale:");
                self.redis(&["PEXPIRE", &copy, "3600000"]);
            }
            Step::ApplicationReads => {
                footprint.reads.insert(key.clone());
                footprint.begins = true;
                footprint.ends = true;
                let held = self.site.upstream.lock().unwrap().get(&key);
                let held = held.and_then(|held| {
                    let held: serde_json::Value = serde_json::from_str(&held).ok()?;
                    Some(held["alias"].as_str()?.to_owned())
                });
                self.reads.push(Read {
                    start: moment,
                    end: moment,
                    seen: held.map_or(Seen::Nothing, Seen::Value),
                    host: None,
                });
            }
            Step::Database(value) => {
                footprint.writes.insert("database".to_owned());
                footprint.begins = true;
                footprint.ends = true;
                self.database = value;
                self.history.say(value.map(str::to_owned), moment);
            }
            Step::OriginAnswers(status) => {
                footprint.writes.insert("database".to_owned());
                self.status = status;
            }
            Step::OriginForbidsStoring => {
                footprint.writes.insert("database".to_owned());
                self.headers = "cache-control: no-store\r\n";
            }
            Step::FailuresAreForgotten => {
                footprint.all = true;
                let fresh = key.replace("conn:", "conn-fresh:");
                let breaker =
                    ["pause", "failures"].map(|it| format!("test:provider:conn-origin:{it}"));
                self.redis(&["DEL", &breaker[0], &breaker[1], &fresh]);
            }
        }
    }

    /// Notes which calls have ended, and what they said, and which requests came to the origin.
    fn collect(&mut self, footprint: &mut Footprint) {
        let moment = self.moment();
        for (host, (_, origin)) in self.site.hosts.iter().enumerate() {
            let asking = self.asking.entry(host).or_default();
            let known = asking.iter().filter(|(_, answered)| !answered).count();
            for _ in known..origin.reads.held() {
                let leased = self.leased.get(&host).copied();
                let (looked, leased) = leased.unwrap_or((moment, moment));
                asking.push((self.history.ask(looked, leased), false));
            }
        }
        let mut running = std::mem::take(&mut self.running);
        running.retain_mut(|call| {
            let Ok(said) = call.said.try_recv() else {
                return true;
            };
            footprint.ends = true;
            let host = host_of(self.scenario, call.instance);
            self.publish(host);
            let (seen, outcome) = match said {
                Said::FoundNothing => {
                    self.found_nothing.extend(call.number);
                    (None, Some(Outcome::Acknowledged))
                }
                Said::Saw(seen) => (Some(seen), None),
                Said::Nothing => (None, None),
                Said::Wrote(outcome) => (None, Some(outcome)),
                Said::Removed => (Some(Seen::Something), Some(Outcome::Acknowledged)),
            };
            if let Some(seen) = seen {
                self.reads.push(Read {
                    start: call.start,
                    end: moment,
                    seen,
                    host: Some(host),
                });
            }
            if let (Some(number), Some(outcome)) = (call.number, outcome) {
                self.history.end(number, outcome, moment);
            }
            false
        });
        self.running = running;
    }

    /// Ends the run, and returns what is wrong with it; or none if the machine was so slow that
    /// something may have expired meanwhile.
    pub async fn end(mut self) -> Option<Vec<String>> {
        for call in &self.running {
            let name = self.scenario.instances[call.instance];
            self.wrong
                .push(format!("{name}: {:?} does not end", call.call));
        }
        if self.running.is_empty() {
            for step in &self.scenario.after {
                self.do_alone(*step).await;
            }
        }
        if self.began.elapsed() > Duration::from_millis(700) {
            return None;
        }
        let strict = self.scenario.not_promised.is_some();
        // A replica may lag for as long as it takes, and an edge cache of another host answers for longer
        // than a run. Redis itself does not.
        let older = match (self.scenario.replica || self.scenario.edge_cache) && !strict {
            true => Duration::MAX,
            false => Duration::ZERO,
        };
        for read in &self.reads {
            let older = read.host.map_or(Duration::ZERO, |_| older);
            if !self.history.explains(read, &[], older) {
                let violation = Violation {
                    read,
                    history: &self.history,
                    losses: &[],
                };
                self.wrong.push(violation.to_string());
            }
        }
        self.wrong.extend(self.history.broken_condition());
        for number in &self.found_nothing {
            if !self.history.had_nothing(*number) && (self.scenario.cut.is_none() || strict) {
                let wrong = format!("a removal found nothing\n{}", self.history);
                self.wrong.push(wrong);
            }
        }
        // Nobody can share an answer that must not be stored.
        let undisturbed =
            self.scenario.cut.is_none() && self.scenario.dies.is_none() && self.headers.is_empty();
        if undisturbed && self.history.asked_twice() {
            let wrong = format!("the origin is asked twice at a time\n{}", self.history);
            self.wrong.push(wrong);
        }
        let mut living = self.instances.iter().flatten();
        if living.any(Instance::has_ended) {
            self.wrong.push("an instance ended".to_owned());
        }
        for (_, log) in &self.apps {
            assert_nothing_trapped(&log.contents());
        }
        Some(self.wrong)
    }

    /// An event as a script names it.
    pub fn name(scenario: &Scenario, event: Event) -> String {
        let instance = |it: usize| scenario.instances[it];
        let host = |it: usize| char::from(b'A' + u8::try_from(it).unwrap());
        match event {
            Event::Begins(actor) => scenario.actors[actor].0.to_owned(),
            Event::Command(it) => instance(it).to_owned(),
            Event::Reply(it) => format!("{}.reply", instance(it)),
            Event::ReplicaCommand(it) => format!("{}.replica", instance(it)),
            Event::Replicates => "replicates".to_owned(),
            Event::Reads(it) => format!("{}.origin-reads", host(it)),
            Event::Answer(it) => format!("{}.origin-answers", host(it)),
            Event::Writes(it) => format!("{}.application-writes", host(it)),
            Event::Written(it) => format!("{}.application-answers", host(it)),
            Event::Cut {
                instance: it,
                after,
            } => {
                let when = if after { "after" } else { "before" };
                format!("{}.cut-{when}", instance(it))
            }
            Event::Dies(it) => format!("{}.dies", instance(it)),
        }
    }

    /// What the event is about, for those who read a script.
    pub fn describe(&self, event: Event) -> String {
        match event {
            Event::Begins(actor) => {
                let step = self.scenario.actors[actor].1.get(self.begun[actor]);
                step.map_or(String::new(), |step| format!("{step:?}"))
            }
            Event::Command(it) | Event::Cut { instance: it, .. } => {
                let command = self.gate(it).command(it);
                command.map_or(String::new(), |command| command.describe())
            }
            Event::ReplicaCommand(it) => {
                let command = self.replica_gate(it).and_then(|gate| gate.command(it));
                command.map_or(String::new(), |command| command.describe())
            }
            Event::Reads(_) => format!("{} {:?}", self.status, self.database),
            _ => String::new(),
        }
    }
}

impl fmt::Debug for World<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} after {} events", self.scenario.name, self.now)
    }
}
