# syntax=docker/dockerfile:1
# The whole platform in one image: docker build -t trunkline . && docker run -p 8080:8080 -p 1883:1883 trunkline

FROM rust:1.95-slim-trixie AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends build-essential \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The image's context has no .git: give the commit with --build-arg BUILD_COMMIT="$(git rev-parse --short=8 HEAD)".
ARG BUILD_COMMIT
ARG BUILD_TIME
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    if [ -z "$BUILD_COMMIT" ]; then unset BUILD_COMMIT; fi \
 && if [ -z "$BUILD_TIME" ]; then unset BUILD_TIME; fi \
 && cargo build --locked --profile dist --package trunkline \
 && cp target/dist/trunkline /usr/local/bin/trunkline

FROM debian:trixie-slim
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin trunkline \
 && install --directory --owner trunkline --group trunkline --mode 0700 /data
COPY --from=build /usr/local/bin/trunkline /usr/local/bin/trunkline
USER trunkline
WORKDIR /data
ENV TRUNKLINE_DATA_DIR=/data TRUNKLINE_LOG_FORMAT=json
VOLUME /data
# Front door, MQTT, and the ports of the separate services.
EXPOSE 8080 1883 8008 8009 8189 9000 9001 9002 9003 9004 9005 9006 9013 9016
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["trunkline", "health"]
ENTRYPOINT ["trunkline"]
CMD ["serve"]
