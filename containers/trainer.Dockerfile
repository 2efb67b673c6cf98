# The trainer: torch and the recipes of `converters`, for `zoo train`, `calibrate` and `evaluate`.
# Large (1.7 GB and more): what it makes is run by the runner.
#
#   docker build -f containers/trainer.Dockerfile -t cellzoo/trainer .
#   zoo image build trainer
#
# TORCH may name another build. PyPI's own has CUDA inside (several GB): let TORCH_INDEX_URL name an
# index of CPU builds, or `zoo image build trainer --wheels FOLDER` give a wheel of one.
ARG BASE_IMAGE=python:3.12-slim-bookworm
ARG RUNTIME_IMAGE=${BASE_IMAGE}

FROM ${BASE_IMAGE} AS build
LABEL org.cellzoo.stage=build
ARG TORCH=torch==2.13.0
ARG TORCH_INDEX_URL
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_TRUSTED_HOST
ARG PIP_CERT
ARG PIP_NO_INDEX
ARG PIP_FIND_LINKS
ARG PIP_DEFAULT_TIMEOUT=180
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_NO_CACHE_DIR=1
WORKDIR /source
RUN python3 -m venv /build && python3 -m venv --without-pip /opt/cellzoo
COPY pyproject.toml containers/strip.py ./
COPY containers/with ./with
# torch first and alone: a range of versions may take a build with gigabytes of CUDA packages.
RUN python3 strip.py requirements pyproject.toml > requirements.txt \
 && touch with/constraints.txt \
 && /build/bin/pip --python /opt/cellzoo/bin/python3 install --quiet \
      ${TORCH_INDEX_URL:+--index-url ${TORCH_INDEX_URL}} "${TORCH}" \
 && /build/bin/pip --python /opt/cellzoo/bin/python3 install --quiet \
      -r requirements.txt -c with/constraints.txt
COPY hatch_build.py LICENSE README.md registry.json ./
COPY zoo ./zoo
COPY converters ./converters
RUN mkdir -p cards \
 && /build/bin/pip --python /opt/cellzoo/bin/python3 install --quiet '.[train,report]' \
 && /opt/cellzoo/bin/python3 -c "import torch, onnx, anndata, converters, zoo.runner"
RUN mkdir -p /root-of-image/models /root-of-image/data && chown 65532:65532 /root-of-image/data

FROM ${RUNTIME_IMAGE}
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /root-of-image/ /
COPY --from=build /opt/cellzoo /opt/cellzoo
ARG VERSION=0
ENV PATH=/opt/cellzoo/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    PYTHONDONTWRITEBYTECODE=1 \
    ORT_DISABLE_TELEMETRY=1 \
    MPLCONFIGDIR=/tmp/matplotlib \
    ZOO_MODELS=/models \
    ZOO_CACHE=/tmp/cellzoo
WORKDIR /data
USER 65532:65532
RUN ["python3", "-c", "import torch, onnx, anndata, converters, zoo.runner"]
LABEL org.opencontainers.image.title="cellzoo/trainer" \
      org.opencontainers.image.description="Trains single-cell models of CellZoo" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.cellzoo.platforms="linux/amd64,linux/arm64"
ENTRYPOINT ["zoo"]
