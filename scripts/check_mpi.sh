#!/bin/sh
# Says what is missing to build and test with the cargo feature `mpi`.
missing=
note() {
    echo "test-mpi: $1 is missing (Debian: apt-get install $2)" >&2
    missing=1
}
command -v mpirun >/dev/null || note mpirun openmpi-bin
command -v mpicc >/dev/null || note mpicc libopenmpi-dev
# It may come from the system, or from `make setup-milp`.
[ -n "$(ls "${LIBCLANG_PATH:-.milp/libclang}"/libclang*.so* /usr/lib/llvm-*/lib/libclang*.so* \
    /usr/lib/*/libclang*.so* 2>/dev/null)" ] || note libclang libclang-dev
[ -z "$missing" ]
