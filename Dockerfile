# syntax=docker/dockerfile:1
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY tileserver tileserver
COPY web web
RUN pip install --no-cache-dir --prefix=/install .

FROM python:3.13-slim
LABEL org.opencontainers.image.title="tileserver" \
      org.opencontainers.image.description="Earth Engine image assets and GeoTIFFs as map tiles" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /install /usr/local
# HOST and PORT are what Cloud Run and its like set; two arenas keep GDAL's memory in bounds.
ENV HOST=0.0.0.0 PORT=8080 PYTHONUNBUFFERED=1 MALLOC_ARENA_MAX=2
USER 10001:10001
WORKDIR /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=3s --start-period=10s CMD ["python", "-c", \
  "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ['PORT'] + '/healthz', timeout=2)"]
ENTRYPOINT ["tileserver"]
