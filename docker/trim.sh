#!/bin/sh
# What a service on a CPU never loads: tests and build tools of libraries, OpenVINO's devices other
# than the CPU and its readers of formats other than ONNX, colours for source code, LLVM's symbols.
set -eu
cd /opt/venv/lib/python3.*/site-packages
find numba numpy -type d -name tests -prune -exec rm -r {} +
find . -type f \( -name '*.pyi' -o -name '*.h' -o -name '*.a' -o -name '*.pxd' \) -delete
rm -rf numpy/distutils numpy/f2py openvino/include openvino/cmake openvino/tools
find pygments/lexers -type f ! -name '__init__*' ! -name '_mapping*' -delete
python /usr/local/bin/strip-symbols llvmlite/binding/libllvmlite.so
cd openvino/libs
rm -f cache.json libopenvino_intel_gpu_plugin.so libopenvino_intel_npu_plugin.so
for format in gguf jax paddle pytorch tensorflow tensorflow_lite; do
  rm -rf libopenvino_"$format"_frontend.so* ../frontend/"$format"
done
