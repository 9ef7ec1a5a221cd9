# The service in a small image: no compiler, no shell history, no root.
FROM python:3.11.13-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
RUN python -m venv /opt/vedette
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY fusion ./fusion
COPY replay ./replay
COPY adapters ./adapters
# The builder keeps pip's downloads between builds, so that a change of our own code fetches nothing again.
RUN --mount=type=cache,target=/var/cache/pip \
    /opt/vedette/bin/pip install --quiet --cache-dir /var/cache/pip --constraint constraints.txt .

FROM python:3.11.13-slim-bookworm
LABEL org.opencontainers.image.title="Vedette" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 vedette \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin vedette \
    && install -d -o vedette -g vedette -m 0750 /var/lib/vedette /var/cache/vedette
COPY --from=build /opt/vedette /opt/vedette
COPY config /etc/vedette
ENV PATH=/opt/vedette/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    OPENBLAS_NUM_THREADS=1 \
    XDG_CACHE_HOME=/var/cache/vedette \
    VEDETTE_DATA_DIR=/var/lib/vedette
USER 10001:10001
VOLUME ["/var/lib/vedette", "/var/cache/vedette"]
EXPOSE 9464
HEALTHCHECK --interval=10s --timeout=5s --retries=3 --start-period=3m \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:9464/readyz', timeout=3)"]
ENTRYPOINT ["vedette"]
CMD ["run", "--config", "/etc/vedette"]
