#!/bin/sh
# Writes the hashed requirements of every image anew, from pyproject.toml and constraints.txt.
# Needs uv on PATH; run it after either has changed. tests/docker holds them together.
set -eu
cd "$(dirname "$0")/../.."

# lock NAME EXTRA...: what the image NAME installs, with the hashes of every published file.
lock() {
  name=$1
  shift
  # shellcheck disable=SC2046  # one word for each extra
  uv pip compile pyproject.toml $(printf -- '--extra %s ' "$@") \
    --constraint constraints.txt --generate-hashes --no-emit-index-url --no-annotate --no-header \
    --python-version 3.11 --python-platform x86_64-manylinux_2_28 \
    --quiet --output-file "docker/requirements/$name.txt"
}

lock cpu openvino
lock gpu gpu
lock train train
lock bulk openvino bulk ray s3
