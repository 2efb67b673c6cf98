# The runner: `zoo` and what `zoo run` needs; registry.json, and no model.
#
#   docker build -f containers/runner.Dockerfile -t cellzoo/runner .        from a checkout
#   zoo image build runner                                                  from anywhere
#
# BASE_IMAGE builds the environment and RUNTIME_IMAGE carries it, so both must have the same Python
# at the same path. The second may lack a shell: every step on it is in exec form. Both the classic
# builder and BuildKit take this file; it needs no frontend from a registry.
ARG BASE_IMAGE=python:3.12-slim-bookworm
ARG RUNTIME_IMAGE=${BASE_IMAGE}

FROM ${BASE_IMAGE} AS build
LABEL org.cellzoo.stage=build
# How pip reaches packages here. Build arguments of this stage alone: none is in the final image.
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_TRUSTED_HOST
ARG PIP_CERT
ARG PIP_NO_INDEX
ARG PIP_FIND_LINKS
ARG PIP_DEFAULT_TIMEOUT=60
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_NO_CACHE_DIR=1
WORKDIR /source
# pip stays outside of what it makes.
RUN python3 -m venv /build && python3 -m venv --without-pip /opt/cellzoo
# Dependencies first: a change of the source keeps their layer. `with/` may hold a CA bundle, pins
# and wheels: `zoo image build runner` fills it.
COPY pyproject.toml containers/strip.py ./
COPY containers/with ./with
RUN python3 strip.py requirements pyproject.toml > requirements.txt \
 && touch with/constraints.txt \
 && /build/bin/pip --python /opt/cellzoo/bin/python3 install --quiet \
      -r requirements.txt -c with/constraints.txt
COPY hatch_build.py LICENSE README.md registry.json ./
COPY zoo ./zoo
RUN mkdir -p cards converters \
 && /build/bin/pip --python /opt/cellzoo/bin/python3 install --quiet --no-deps . \
 && /opt/cellzoo/bin/python3 strip.py strip \
 && /opt/cellzoo/bin/python3 strip.py imports \
 && cp strip.py /opt/cellzoo/strip.py
# Folders of the final image; /data is where a user's folder is mounted.
RUN mkdir -p /root-of-image/models /root-of-image/data && chown 65532:65532 /root-of-image/data

FROM ${RUNTIME_IMAGE}
# A base without compiled modules would compile the same ones at each start.
RUN ["python3", "-c", "import compileall, sysconfig; compileall.compile_dir(sysconfig.get_path('stdlib'), quiet=2)"]
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /root-of-image/ /
COPY --from=build /opt/cellzoo /opt/cellzoo
ARG VERSION=0
ENV PATH=/opt/cellzoo/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    PYTHONDONTWRITEBYTECODE=1 \
    ORT_DISABLE_TELEMETRY=1 \
    ZOO_MODELS=/models \
    ZOO_CACHE=/tmp/cellzoo
WORKDIR /data
USER 65532:65532
# On what will really run: a library that the runtime lacks shows here and not at a user's.
RUN ["python3", "/opt/cellzoo/strip.py", "imports"]
LABEL org.opencontainers.image.title="cellzoo/runner" \
      org.opencontainers.image.description="Runs pretrained single-cell models of CellZoo on files" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.cellzoo.platforms="linux/amd64,linux/arm64"
ENTRYPOINT ["zoo"]
