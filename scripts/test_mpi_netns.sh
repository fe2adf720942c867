#!/bin/sh
# Trains on two ranks in two network namespaces, which see each other over a virtual cable only,
# and compares their weights. Needs root, ip, unshare and OpenMPI's mpirun.
#   scripts/test_mpi_netns.sh target/release/godwit
set -eu
godwit=$(realpath "${1:?usage: test_mpi_netns.sh GODWIT, a build with the feature mpi}")
work=$(mktemp -d)
a=godwit-a-$$ b=godwit-b-$$
cleanup() {
    ip netns del "$a" 2>/dev/null || true
    ip netns del "$b" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 1' INT TERM
ip netns add "$a"
ip netns add "$b"
ip link add gwa netns "$a" type veth peer name gwb netns "$b"
ip -n "$a" addr add 10.231.77.1/24 dev gwa
ip -n "$b" addr add 10.231.77.2/24 dev gwb
for pair in "$a gwa" "$b gwb"; do
    set -- $pair
    ip -n "$1" link set lo up
    ip -n "$1" link set "$2" up
done
# Takes the place of ssh: the first argument is the host, the rest the command.
cat > "$work/agent" <<AGENT
#!/bin/sh
shift
exec ip netns exec $b unshare --uts sh -c "hostname godwit-b; \$*"
AGENT
chmod +x "$work/agent"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
ip netns exec "$a" unshare --uts sh -c "hostname godwit-a; exec \"\$@\"" sh \
    mpirun -n 2 --host 10.231.77.1,10.231.77.2 --map-by node --bind-to none \
    --mca plm_rsh_agent "$work/agent" --mca btl tcp,self --mca btl_tcp_if_include 10.231.77.0/24 \
    --mca oob_tcp_if_include 10.231.77.0/24 --mca mpi_yield_when_idle 1 \
    "$godwit" train quickstart --env-steps 1024 --threads 1 --device cpu --out "$work/run" \
    --set warm_up_steps=256 --set evaluate_episodes=4 --set env_copies=4
cmp "$work/run/last/weights.safetensors" "$work/run/rank-1/last/weights.safetensors"
echo "two network namespaces: the weights are equal"
