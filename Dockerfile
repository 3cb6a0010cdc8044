# The image: the program with Swift's libraries linked in, the Debian libraries it uses, nothing else.

FROM docker.io/library/swift:6.3-bookworm AS builder
WORKDIR /src
COPY .ci/packages .ci/packages
RUN .ci/packages build
COPY Package.swift ./
COPY Sources Sources
COPY config config
# The manifest names the test targets, so their folders must be there.
COPY Tests Tests
RUN swift build -c release --static-swift-stdlib --product fairlead \
    && install -s .build/release/fairlead /fairlead

FROM docker.io/library/debian:bookworm-slim
RUN apt-get update -q \
    && apt-get install -q -y --no-install-recommends \
        ca-certificates libc-ares2 libluajit-5.1-2 libnghttp2-14 libre2-9 libssl3 libstdc++6 \
        libyaml-0-2 zlib1g \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 65532 --no-create-home --shell /usr/sbin/nologin fairlead
COPY --from=builder /fairlead /usr/local/bin/fairlead
COPY config /etc/fairlead/examples
USER 65532:65532
# FAIRLEAD_ADMIN names the admin address for `run` and for the health check alike.
ENV FAIRLEAD_ADMIN=127.0.0.1:15000
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["fairlead", "healthcheck"]
ENTRYPOINT ["fairlead"]
