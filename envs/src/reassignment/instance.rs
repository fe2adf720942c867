//! What is given: resources, machines, services, processes, and where the processes run.

/// A kind of resource, and how it is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resource {
    /// Whether a moved process also uses it on its initial machine.
    pub transient: bool,
    /// Weight of a unit of usage above a safety capacity.
    pub load_weight: i64,
}

/// Where a machine stands. Both are dense indices, not the numbers of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// Scope of dependencies.
    pub neighbourhood: u32,
    /// Scope of spreads.
    pub location: u32,
}

/// Processes that belong together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Service {
    /// Least number of distinct locations of its processes.
    pub spread: i64,
    /// Services that it depends on: sorted, each once, never itself.
    pub dependencies: Vec<u32>,
    /// Services that depend on it: sorted, each once.
    pub dependants: Vec<u32>,
    /// Its processes, in order.
    pub processes: Vec<u32>,
}

/// A process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// The service that it belongs to.
    pub service: u32,
    /// What moving it costs, before the weight.
    pub move_cost: i64,
}

/// A wish for as much of one resource to be free as fits another: per machine,
/// `max(0, target * free(first) - free(second))`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance {
    /// The resource whose free amount needs company.
    pub first: usize,
    /// The resource that accompanies it.
    pub second: usize,
    /// Free units of `second` wanted per free unit of `first`.
    pub target: i64,
    /// Weight of a unit that is lacking.
    pub weight: i64,
}

/// Weights of the three costs of moving.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Weights {
    /// Of the sum of the moved processes' costs.
    pub process_move: i64,
    /// Of the most moved processes of any one service.
    pub service_move: i64,
    /// Of the sum of the costs between initial and final machines.
    pub machine_move: i64,
}

/// An instance with its initial assignment. Made by [`Instance::parse`] and
/// [`Instance::read`] alone, which prove that every index is in range, that no quantity is negative
/// and that no cost of any assignment overflows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    pub(super) resources: Vec<Resource>,
    pub(super) machines: Vec<Machine>,
    /// `[machines, resources]`
    pub(super) capacity: Vec<i64>,
    /// `[machines, resources]`
    pub(super) safety: Vec<i64>,
    /// `[machines, machines]`, from row to column
    pub(super) machine_moves: Vec<u32>,
    pub(super) services: Vec<Service>,
    pub(super) processes: Vec<Process>,
    /// `[processes, resources]`
    pub(super) requirement: Vec<i64>,
    pub(super) balances: Vec<Balance>,
    pub(super) weights: Weights,
    pub(super) initial: Vec<u32>,
    pub(super) neighbourhoods: usize,
    pub(super) locations: usize,
}

impl Instance {
    /// Kinds of resources.
    pub fn resources(&self) -> &[Resource] {
        &self.resources
    }

    /// Machines.
    pub fn machines(&self) -> &[Machine] {
        &self.machines
    }

    /// Services.
    pub fn services(&self) -> &[Service] {
        &self.services
    }

    /// Processes.
    pub fn processes(&self) -> &[Process] {
        &self.processes
    }

    /// Balance wishes.
    pub fn balances(&self) -> &[Balance] {
        &self.balances
    }

    /// Weights of the costs of moving.
    pub fn weights(&self) -> Weights {
        self.weights
    }

    /// The machine of each process at the start.
    pub fn initial(&self) -> &[u32] {
        &self.initial
    }

    /// Number of distinct neighbourhoods.
    pub fn neighbourhoods(&self) -> usize {
        self.neighbourhoods
    }

    /// Number of distinct locations.
    pub fn locations(&self) -> usize {
        self.locations
    }

    /// Capacities of a machine, by resource.
    pub fn capacity(&self, machine: usize) -> &[i64] {
        let width = self.resources.len();
        &self.capacity[machine * width..][..width]
    }

    /// Safety capacities of a machine, by resource.
    pub fn safety(&self, machine: usize) -> &[i64] {
        let width = self.resources.len();
        &self.safety[machine * width..][..width]
    }

    /// Requirements of a process, by resource.
    pub fn requirement(&self, process: usize) -> &[i64] {
        let width = self.resources.len();
        &self.requirement[process * width..][..width]
    }

    /// Cost of moving any process from one machine to another, before the weight.
    pub fn machine_move(&self, from: usize, to: usize) -> i64 {
        i64::from(self.machine_moves[from * self.machines.len() + to])
    }
}
