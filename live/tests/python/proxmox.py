"""A Proxmox VE cluster to test against: fakepve, and what it lacks.

fakepve has the REST interface, tokens, tasks, locks, quorum, offline nodes,
containers and a network that drops requests. Played here, as it does not:
live migration of virtual machines over REST with a log, ending a task,
the HA manager (what it is asked for it begins later, with a task of its
own), and answers that are lost after the request has taken effect.

    proxmox.py CERTIFICATE KEY < commands

One JSON command a line on standard input, one JSON answer a line on standard
output; the first line names the port.
"""

import asyncio
import json
import logging
import sys
import time

from fakepve import FakePve
from fakepve.model import PveError, TaskError

TOKEN = "godwit@pve!loop"
STEPS = 10


class Cluster(FakePve):
    def __init__(self):
        super().__init__(host="127.0.0.1", port=0)
        self.apitokens[TOKEN] = "5ec4e7"
        self.time_scale = 0.01
        self.move_secs = 20
        self.ha_delay = 20
        self.ha_acts = True
        self.node_states = {}
        self.fail_in_task = []  # messages for the next migrations
        self.lose_answers = 0
        self.ended = set()  # tasks that were told to end
        self.began = {}  # vmid: migrations that began to copy
        self.history = []

    def _routes_stand_in(self):
        return [
            ("POST", "/nodes/{node}/qemu/{vmid}/migrate", self._move),
            ("DELETE", "/nodes/{node}/tasks/{upid}", self._end_task),
            ("GET", "/cluster/ha/status/manager_status", self._manager),
            ("GET", "/nodes/{node}/time", self._time),
            ("GET", "/nodes/{node}/qemu/{vmid}/rrddata", self._rrddata),
        ]

    async def _answer(self, request, handler, generic, path_node):
        answer = await super()._answer(request, handler, generic, path_node)
        if self.lose_answers and request.method == "POST":
            self.lose_answers -= 1
            request.transport.close()
            raise ConnectionResetError("the answer is lost")
        return answer

    async def _manager(self, values, user):
        return {"manager_status": {"node_status": self.node_states}}

    async def _time(self, values, user):
        return {"time": int(time.time()), "localtime": int(time.time()), "timezone": "UTC"}

    async def _rrddata(self, values, user):
        now = int(time.time()) // 60 * 60
        points = [{"time": now - 60 * k, "cpu": 0.5, "mem": 2**30} for k in range(1, 10)]
        return [{"time": now}] + points[::-1]

    async def _end_task(self, values, user):
        self.ended.add(values["upid"])
        return None

    async def _move(self, values, user):
        vm, target = self.find(values["node"], values["vmid"]), values["target"]
        self.need_quorum()
        self._check_lock(vm)
        if target not in self.nodes or target == vm.node:
            raise PveError(500, "no such cluster node '%s'" % target)
        if not values.get("online"):
            raise PveError(500, "can't migrate running VM without --online")
        if not vm.ha_managed:
            return await self._copy(vm, target, user)

        async def asked():
            async def later():
                await self.pause(self.ha_delay)
                vm.ha_state = "migrate"
                await self._copy(vm, target, "root@pam")
            if self.ha_acts:
                asyncio.ensure_future(later())
        log = ["Requesting HA migration for VM %d to node %s" % (vm.vmid, target)]
        return await self.task(vm.node, "hamigrate", vm.vmid, user, asked, lock=False, log=log)

    async def _copy(self, vm, target, user):
        failure = self.fail_in_task.pop(0) if self.fail_in_task else None
        self.began[vm.vmid] = self.began.get(vm.vmid, 0) + 1
        source = vm.node

        async def body():
            upid, record = next((u, t) for u, t in reversed(self.tasks.items()) if t["id"] == str(vm.vmid))
            vm.lock = "migrate"
            try:
                for step in range(1, STEPS + 1):
                    await self.pause(self.move_secs / STEPS)
                    record["log"].append("%s migration active, transferred %.1f GiB of 10.0 GiB VM-state, 1.0 GiB/s" % (stamp(), step))
                    if upid in self.ended:
                        record["log"].append("%s ERROR: online migrate failure - interrupted by signal" % stamp())
                        raise TaskError("migration aborted")
                    if failure and step == STEPS // 2:
                        record["log"].append("%s ERROR: %s" % (stamp(), failure))
                        raise TaskError("migration aborted")
                    if not self.nodes[source].get("online", True):
                        await asyncio.Event().wait()
                vm.node = target
                self.history.append([vm.vmid, source, target])
                record["log"] += [
                    "%s average migration speed: 1.0 GiB/s - downtime 45 ms" % stamp(),
                    "%s migration completed, transferred 10.0 GiB VM-state" % stamp(),
                    "%s migration finished successfully (duration 00:00:20)" % stamp(),
                ]
            finally:
                vm.lock = None
                if vm.ha_managed:
                    vm.ha_state = "started"
        log = ["%s starting migration of VM %d to node '%s'" % (stamp(), vm.vmid, target)]
        return await self.task(source, "qmigrate", vm.vmid, user, body, vm=vm, log=log)

    def do(self, command, value=None, **more):
        """A command of the test; returns its answer."""
        if command == "truth":
            guests = self.vms + self.cts
            return {
                "nodes": {g.guest: g.node for g in guests},
                "running": {g.guest: g.status == "running" for g in guests},
                "began": {str(k): n for k, n in self.began.items()},
                "moving": [t["id"] for t in self.tasklog if t["status"] == "running"],
            }
        if command == "vm":
            vm = self.add_vm(value, **more)
            vm.stats = {"cpu": 0.25, "mem": 2**30}
        elif command == "ct":
            self.add_ct(value, **more)
        elif command == "ha":
            (self.vm(value) or self.ct(value)).ha_state = "started"
        elif command == "lock":
            self.snapshot_lock(value, "backup")
        elif command == "unlock":
            self.unlock(value)
        elif command == "offline":
            self.set_node_offline(value)
        elif command == "node":
            self.add_node(value)
        elif command == "storage":
            self.add_ceph_storage(value)
        elif command == "network":
            self.flaky_network(drop_rate=value)
        elif command == "hang":
            self.flaky_network(hang_rate=value, hang_secs=3000)
        else:  # a plain field
            setattr(self, command, value)
        return {}


def stamp():
    return time.strftime("%Y-%m-%d %H:%M:%S")


async def main():
    logging.disable()  # dropped connections are on purpose
    cluster = Cluster()
    await cluster.start(*sys.argv[1:3])
    print(cluster.port, flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(cluster.do(**json.loads(line))), flush=True)


asyncio.run(main())
