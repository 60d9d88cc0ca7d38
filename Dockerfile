# The service on a CPU: OpenVINO, no torch. Build: docker build -t maskformer-serving .
FROM python:3.11-slim AS build
WORKDIR /src
COPY constraints.txt pyproject.toml README.md LICENSE ./
RUN python -m venv /opt/venv \
 && python -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
print('\n'.join(p['dependencies'] + p['optional-dependencies']['cpu']))" > requirements.txt \
 && /opt/venv/bin/pip install --no-cache-dir --constraint constraints.txt --requirement requirements.txt

FROM python:3.11-slim
LABEL org.opencontainers.image.title="maskformer-serving" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --uid 10001 --create-home maskformer
COPY --from=build /opt/venv /opt/venv
WORKDIR /srv/maskformer
COPY app app
COPY cli cli
COPY maskformer maskformer
COPY model model
COPY weights weights
# Compiled loops and graphs are kept where a read-only root still allows writing.
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 \
    MASKFORMER_CACHE_DIR=/tmp/maskformer NUMBA_CACHE_DIR=/tmp/numba
USER maskformer
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD \
  python -c "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"
ENTRYPOINT ["python", "-m", "cli.main"]
CMD ["serve"]
