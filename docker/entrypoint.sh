#!/bin/sh
# What a Beam runner starts as a worker, or somebody as a pool of workers, says so by its first argument.
case "$1" in
    --id=* | --worker_pool) exec /opt/apache/beam/boot "$@" ;;
    *) exec gato-data "$@" ;;
esac
