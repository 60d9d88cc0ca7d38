# syntax=docker/dockerfile:1
# Targets cpu, gpu, train and bulk; docs/images.md says what each holds.
#   docker build --target cpu --tag maskformer-serving:cpu .
# A release names the base by its digest: --build-arg BASE=docker.io/library/python@sha256:...
ARG BASE=docker.io/library/python:3.11-slim-bookworm

FROM ${BASE} AS base
ENV HOME=/tmp
RUN echo 'maskformer:x:10001:' >> /etc/group \
 && echo 'maskformer:x:10001:10001::/tmp:/usr/sbin/nologin' >> /etc/passwd

# Libraries: only files whose hash is written down, wheels only, and bytecode that holds no times.
FROM base AS install
COPY docker/install.sh /usr/local/bin/install-requirements
COPY docker/strip.py /usr/local/bin/strip-symbols
COPY docker/trim.sh /usr/local/bin/trim

FROM install AS cpu-libraries
COPY docker/requirements/cpu.txt /requirements.txt
RUN install-requirements /requirements.txt && trim

FROM install AS gpu-libraries
COPY docker/requirements/gpu.txt /requirements.txt
RUN install-requirements /requirements.txt

FROM install AS train-libraries
COPY docker/requirements/train.txt /requirements.txt
RUN install-requirements /requirements.txt

FROM install AS bulk-libraries
COPY docker/requirements/bulk.txt /requirements.txt
RUN install-requirements /requirements.txt && trim

# The project's own part, the same in all images: code and models.
FROM cpu-libraries AS project
WORKDIR /srv/maskformer
COPY model model
# The processor's name is that of docker/maskformer: numba keeps what it compiles under it, with
# notes that hold addresses of this one process.
RUN NUMBA_CACHE_DIR=/opt/kernels NUMBA_CPU_NAME=x86-64-v3 NUMBA_CPU_FEATURES= \
    PYTHONDONTWRITEBYTECODE=1 PYTHONHASHSEED=0 \
    /opt/venv/bin/python -c 'import model.inference.postprocess' \
 && find /opt/kernels -name '*.nbc' -exec \
    sed -i 's/ at 0x[0-9a-f]\{12\}>/ at 0x000000000000>/g' {} +
COPY app app
COPY cli cli
COPY maskformer maskformer
# Folder with the models to bake in; an empty one bakes none.
ARG WEIGHTS=weights
COPY ${WEIGHTS} weights
COPY docker/maskformer /usr/local/bin/maskformer
RUN python -m compileall -q --invalidation-mode unchecked-hash app cli maskformer model

FROM base AS image
ARG VERSION=0.1.0 REVISION=unknown
LABEL org.opencontainers.image.title="maskformer-serving" \
      org.opencontainers.image.description="MaskFormer: semantic, panoptic and instance segmentation" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
WORKDIR /srv/maskformer
COPY --from=project /usr/local/bin/maskformer /usr/local/bin/maskformer
COPY --from=project /opt/kernels /opt/kernels
COPY --from=project /srv/maskformer .
# The root file system may be read-only: what the service writes, it writes below /tmp.
ENV PATH=/opt/venv/bin:$PATH PYTHONPATH=/srv/maskformer \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    MASKFORMER_CACHE_DIR=/tmp/maskformer \
    NUMBA_CACHE_DIR=/tmp/numba
USER 10001:10001
ENTRYPOINT ["maskformer"]

FROM image AS service
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["python", "-c", \
  "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
CMD ["serve"]

FROM service AS gpu
COPY --from=gpu-libraries /opt/venv /opt/venv

FROM image AS train
COPY --from=train-libraries /opt/venv /opt/venv
HEALTHCHECK NONE
CMD ["train", "--help"]

FROM image AS bulk
COPY --from=bulk-libraries /opt/venv /opt/venv
HEALTHCHECK NONE
CMD ["segment", "--help"]

# The last one, and so what a build without --target makes.
FROM service AS cpu
COPY --from=cpu-libraries /opt/venv /opt/venv
