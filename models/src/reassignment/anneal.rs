//! The annealing itself.

use godwit_envs::reassignment::{Instance, Solution, Violations};
use godwit_envs::rng::{Rng, stream};
use rand::RngExt;

/// The cycles of a search: the share of it that is over when the cycle ends, and its first
/// temperature as a share of the first cycle's. Each begins at the best assignment so far.
pub(super) const CYCLES: [(f64, f64); 4] = [(0.55, 1.0), (0.75, 0.1), (0.9, 0.03), (1.0, 0.01)];
/// Iterations between looks at the clock.
const ROUND: u64 = 512;
/// Moves tried to learn what moves cost.
const SAMPLES: usize = 2000;
/// First temperature of a search, in typical changes of cost by a move.
const HOT: f64 = 0.3;
/// Last temperature of each cycle, in units of cost: about the price of moving a process.
const COLD: f64 = 2.0;

/// A search under way.
pub(super) struct Annealer<'a> {
    now: Solution<'a>,
    best: Vec<u32>,
    best_cost: i64,
    iterations: u64,
    rng: Rng,
    /// Typical change of cost by a move.
    scale: f64,
    /// Price of a broken spread or dependency.
    price: f64,
    /// Highest change of cost, price included, that is accepted now.
    temperature: f64,
    mu: f64, tw: Vec<f64>,
    machines: usize, soft: bool, cap: f64, home: u32, chain: u32, swap: u32,
    processes: usize,
}

impl<'a> Annealer<'a> {
    pub(super) fn new(start: Solution<'a>, seed: u64) -> Self {
        let instance: &Instance = start.instance();
        let mut annealer = Self {
            best: start.assignment().to_vec(),
            best_cost: start.cost(),
            iterations: 0,
            rng: stream(seed, "reassignment"),
            scale: 1.0,
            price: 0.0,
            temperature: 0.0,
            mu: 0.0, tw: (0..instance.processes().len()).map(|p| instance.requirement(p).iter().zip(instance.resources()).map(|(&q,r)| if r.transient { q as f64*r.load_weight as f64 } else {0.0}).sum()).collect(),
            soft: std::env::var("SOFT").is_ok(), cap: 100.0, home: std::env::var("HOME_").map_or(0,|v|v.parse().unwrap()), chain: std::env::var("CHAIN").map_or(3,|v|v.parse().unwrap()), swap: std::env::var("SWAP").map_or(47,|v|v.parse().unwrap()),
            machines: instance.machines().len(),
            processes: instance.processes().len(),
            now: start,
        };
        annealer.learn_scale();
        annealer
    }

    pub(super) fn finish(self) -> (Vec<u32>, i64, u64) {
        (self.best, self.best_cost, self.iterations)
    }

    /// The median of the changes of cost by random shifts that fit.
    fn learn_scale(&mut self) {
        let mut changes: Vec<i64> = (0..SAMPLES)
            .filter_map(|_| {
                let (p, to) = self.draw();
                let change = self.now.fits(p, to).then(|| self.now.shift(p, to).cost.abs());
                change.filter(|&change| change > 0)
            })
            .collect();
        changes.sort_unstable();
        self.scale = changes.get(changes.len() / 2).map_or(1.0, |&change| change as f64);
        self.price = self.scale;
    }

    fn draw(&mut self) -> (usize, usize) {
        (self.rng.random_range(0..self.processes), self.rng.random_range(0..self.machines))
    }

    /// Cools from a heat to the end. `progress` tells from the iterations what share of the cycle
    /// is over.
    pub(super) fn cycle(&mut self, heat: f64, progress: impl Fn(u64) -> f64) {
        let best = std::mem::take(&mut self.best);
        self.now.set(&best);
        self.best = best;
        let ev=|n:&str,d:f64|std::env::var(n).ok().and_then(|v|v.parse().ok()).unwrap_or(d); let hot = (self.scale * ev("HOT",HOT) * heat).max(COLD); let cold=ev("COLD",COLD); let (up,down)=(ev("UP",1.02),ev("DOWN",0.99)); let pmin=ev("PMIN",1.0); let mut rounds=0u64; let mut fr=0u64; let mut last=0.0;
        loop {
            let done = progress(self.iterations);
            if done >= 1.0 {
                break;
            }
            self.mu = ev("MU",1.0)*(1.0-done/0.8).max(0.0); self.temperature = hot * (cold / hot).powf(done); rounds+=1; if done>=last+0.1 { last=done; if std::env::var("V").is_ok(){eprintln!("{done:.2} T {:.3e} price {:.3e} cap {:.2e} now {} viol {:?} best {} feas {:.3}",self.temperature,self.price,self.cap,self.now.cost(),self.now.violations(),self.best_cost,fr as f64/rounds as f64);} rounds=0;fr=0;}
            let mut feasible = false; let mut capf=false;
            for _ in 0..ROUND {
                self.iterations += 1;
                self.step();
                feasible |= self.now.violations().none(); capf |= self.now.violations().capacity==0;
            }
            fr+=u64::from(feasible); self.price *= if feasible { down } else { up };
            self.cap *= if capf { down } else { up }; self.cap=self.cap.clamp(0.01,1e6);
            self.price = self.price.clamp(pmin*self.temperature, self.scale * 1000.0);
        }
    }

    pub(super) fn local(&mut self, progress: impl Fn(u64) -> f64) {
        let ev=|n:&str,d:f64|std::env::var(n).ok().and_then(|v|v.parse().ok()).unwrap_or(d);
        let len = ev("LEN",100_000.0) as u64; let kmax = (ev("KMAX",8.0) as usize).min(self.machines);
        let (lo,hi) = (ev("TLO",1e3f64), ev("THI",1e6)); let cool = ev("COOL",1000.0);
        let mut wins=0; let mut runs=0; let mut last=0.0;
        let mut here = Vec::new(); let mut cur=self.best.clone(); let mut cur_cost=self.best_cost; self.now.set(&cur);
        loop {
            let done = progress(self.iterations);
            if done>=last+0.1 { last=done; if std::env::var("V").is_ok() {eprintln!("{done:.2} best {} wins {wins}/{runs}", self.best_cost);}}
            if done >= 1.0 { break; }
            let start=self.best_cost;
            let slack = ev("SLACK",0.0) * (1.0-done);
            if !self.now.violations().none() || self.now.cost() as f64 > cur_cost as f64 + slack*self.scale*-self.rng.random::<f64>().ln() {
              self.now.set(&cur);
            } else { cur.copy_from_slice(self.now.assignment()); cur_cost=self.now.cost(); }
            // choose machines
            let k = self.rng.random_range(2..=kmax.max(2));
            
            let mut first = self.rng.random_range(0..self.machines);
            if self.rng.random::<f64>() < ev("BIAS",0.5) {
                let total: i64 = (0..self.machines).map(|m| self.now.load_cost(m)).sum();
                let mut x = self.rng.random_range(0..total.max(1));
                for m in 0..self.machines { x -= self.now.load_cost(m); if x<0 { first=m; break; } }
            }
            let mut set: Vec<usize> = vec![first];
            let mut tries=0;
            while set.len() < k && tries < 1000 { tries+=1;
                let m = if self.rng.random_range(0..2)==0 { self.rng.random_range(0..self.machines) } else {
                    let p = self.rng.random_range(0..self.processes);
                    let (a,i)=(self.now.assignment()[p] as usize, self.now.instance().initial()[p] as usize);
                    if a!=i && set.contains(&a) {i} else if a!=i && set.contains(&i) {a} else {continue}
                };
                if !set.contains(&m) { set.push(m); }
            }
            here.clear();
            for p in 0..self.processes { if set.contains(&(self.now.assignment()[p] as usize)) { here.push(p); } }
            if here.len()<2 { continue; }
            let hot = lo * (hi/lo).powf(self.rng.random::<f64>());
            let cold = hot/cool;
            self.price = self.scale*10.0; 
            let rounds = len/ROUND;
            for r in 0..rounds {
                self.temperature = hot * (cold/hot).powf(r as f64/rounds as f64);
                let mut feasible = false;
                for _ in 0..ROUND {
                    self.iterations += 1;
                    let x = self.rng.random_range(0..100);
                    let p = here[self.rng.random_range(0..here.len())];
                    if x < 45 {
                        let to = set[self.rng.random_range(0..set.len())];
                        self.try_shift(p,to);
                    } else if x<97 {
                        let q = here[self.rng.random_range(0..here.len())];
                        self.try_swap(p,q);
                    } else {
                        let q = here[self.rng.random_range(0..here.len())];
                        let to = set[self.rng.random_range(0..set.len())];
                        self.try_chain(p,0,q,to);
                    }
                    feasible |= self.now.violations().none();
                }
                self.price *= if feasible {0.99} else {1.02};
                self.price = self.price.clamp(self.temperature, self.scale*1000.0);
            }
            runs+=1; if self.best_cost<start {wins+=1;}
        }
    }

    /// Tries one move.
    fn step(&mut self) {

        let x = self.rng.random_range(0..100);
        if x < self.chain {
                let (p, to) = self.draw();
                let (q, third) = self.draw();
                let third = if self.rng.random_range(0..100) < self.home { self.now.instance().initial()[q] as usize } else { third };
                self.try_chain(p, to, q, third);
        } else if x < self.chain + self.swap {
                let p = self.rng.random_range(0..self.processes);
                let q = self.rng.random_range(0..self.processes);
                self.try_swap(p, q);
        } else {
                let (p, mut to) = self.draw();
                if self.rng.random_range(0..100) < self.home { to = self.now.instance().initial()[p] as usize; }
                self.try_shift(p, to);
        }
    }

    fn aw(&self,p:usize,to:usize)->f64 { if self.mu==0.0 {return 0.0;} let i=self.now.instance().initial()[p] as usize; let a=self.now.assignment()[p] as usize; (f64::from(u8::from(to!=i))-f64::from(u8::from(a!=i)))*self.tw[p]*self.mu }
    fn accepts(&mut self, cost: i64, broken: Violations, aw: f64) -> bool {
        if (!self.soft && broken.capacity > 0) || broken.conflict > 0 {
            return false;
        }
        let rise = aw + cost as f64 + self.price * (broken.spread + broken.dependency) as f64 + self.cap * broken.capacity as f64;
        if rise <= 0.0 {
            return true;
        }
        // exp(-40) is never drawn.
        rise < 40.0 * self.temperature
            && self.rng.random::<f64>() < (-rise / self.temperature).exp()
    }

    fn record(&mut self) {
        if self.now.cost() < self.best_cost && self.now.violations().none() {
            self.best_cost = self.now.cost();
            self.best.copy_from_slice(self.now.assignment());
        }
    }

    fn try_shift(&mut self, p: usize, to: usize) {
        if self.now.assignment()[p] as usize == to || (if self.soft {self.now.on_machine(self.now.instance().processes()[p].service as usize, to)>0} else {!self.now.fits(p, to)}) {
            return;
        }
        let change = self.now.shift(p, to);
        if self.accepts(change.cost, change.violations, self.aw(p,to)) {
            self.now.commit_shift(p, to, change);
            self.record();
        }
    }

    fn try_swap(&mut self, p: usize, q: usize) {
        let assignment = self.now.assignment();
        let service = |p: usize| self.now.instance().processes()[p].service;
        if assignment[p] == assignment[q] {
            return;
        }
        if service(p) != service(q) && !self.soft && !self.now.fits_swap(p, q) {
            return;
        }
        let change = self.now.swap(p, q);
        if self.accepts(change.cost, change.violations, self.aw(p,self.now.assignment()[q] as usize)+self.aw(q,self.now.assignment()[p] as usize)) {
            self.now.apply_swap(p, q);
            self.record();
        }
    }

    /// Moves a process to the machine of another, which moves on to a third.
    fn try_chain(&mut self, p: usize, _: usize, q: usize, third: usize) {
        let (from, to) = (self.now.assignment()[p] as usize, self.now.assignment()[q] as usize);
        if from == to || third == from || third == to || !self.now.fits(q, third) {
            return;
        }
        let aq = self.aw(q, third);
        let first = self.now.shift(q, third);
        self.now.commit_shift(q, third, first);
        if self.now.fits(p, to) {
            let second = self.now.shift(p, to);
            let mut broken = first.violations;
            broken += second.violations;
            if self.accepts(first.cost + second.cost, broken, aq + self.aw(p,to)) {
                self.now.commit_shift(p, to, second);
                self.record();
                return;
            }
        }
        self.now.apply_shift(q, to);
    }
}
