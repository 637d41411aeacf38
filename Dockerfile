# syntax=docker/dockerfile:1
# One digest for all platforms. To renew it: docker buildx imagetools inspect python:3.13-slim
ARG PYTHON_IMAGE=python:3.13-slim@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
COPY constraints.txt pyproject.toml hatch_build.py README.md LICENSE THIRD_PARTY.md ./
COPY web web
COPY tileserver tileserver
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=cache,target=/root/.npm \
    PIP_CONSTRAINT=/src/constraints.txt pip wheel --no-deps --wheel-dir /dist .

# `docker build --build-context wheel=dist .` takes the wheel in dist/ instead: no npm is run.
FROM scratch AS wheel
COPY --from=build /dist/*.whl /

FROM ${PYTHON_IMAGE} AS install
RUN python -m venv /opt/tileserver
ENV PATH=/opt/tileserver/bin:$PATH
WORKDIR /src
COPY requirements.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --require-hashes -r requirements.txt
RUN --mount=type=bind,from=wheel,target=/dist \
    pip install --no-cache-dir --no-deps --no-index /dist/*.whl \
    && python -m compileall -q /opt/tileserver

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="tileserver" \
      org.opencontainers.image.description="Earth Engine image assets and GeoTIFFs as map tiles" \
      org.opencontainers.image.licenses="Apache-2.0"
# Uid 10001 owns its home and the folder of its state: the expressions behind the URLs of maps.
RUN useradd --uid 10001 --user-group --create-home --shell /usr/sbin/nologin tileserver \
    && install -d -o 10001 -g 10001 -m 0700 /var/lib/tileserver
COPY docker/healthcheck.py /usr/local/lib/healthcheck.py
COPY --from=install /opt/tileserver /opt/tileserver
# HOST and PORT are what Cloud Run and its like set; two arenas keep GDAL's memory in bounds.
ENV PATH=/opt/tileserver/bin:$PATH HOME=/home/tileserver XDG_STATE_HOME=/var/lib \
    HOST=0.0.0.0 PORT=8080 PYTHONUNBUFFERED=1 MALLOC_ARENA_MAX=2
USER 10001:10001
VOLUME /var/lib/tileserver
WORKDIR /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=3s --start-period=10s \
    CMD ["python", "-I", "/usr/local/lib/healthcheck.py", "1"]
ENTRYPOINT ["tileserver"]
