# The runner with ONNX Runtime's GPU build and the CUDA and cuDNN that it needs: about 1.5 GB more.
# `docker run --gpus all` needs NVIDIA's container toolkit on the host, and a driver for CUDA 13.
#
#   docker build -f containers/runner-gpu.Dockerfile -t cellzoo/runner-gpu .
#   zoo image build runner-gpu
#
# onnxruntime and onnxruntime-gpu install the same folder over each other. So the dependencies are
# installed without onnxruntime, then the GPU set, then cellzoo without dependencies. For BASE_IMAGE
# and RUNTIME_IMAGE see runner.Dockerfile.
ARG BASE_IMAGE=python:3.12-slim-bookworm
ARG RUNTIME_IMAGE=${BASE_IMAGE}

FROM ${BASE_IMAGE} AS build
LABEL org.cellzoo.stage=build
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
COPY pyproject.toml containers/strip.py containers/gpu.txt ./
COPY containers/with ./with
RUN python3 strip.py requirements pyproject.toml onnxruntime > requirements.txt \
 && touch with/constraints.txt \
 && /build/bin/pip --python /opt/cellzoo/bin/python3 install --quiet \
      -r requirements.txt -r gpu.txt -c with/constraints.txt
COPY hatch_build.py LICENSE README.md registry.json ./
COPY zoo ./zoo
RUN mkdir -p cards converters \
 && /build/bin/pip --python /opt/cellzoo/bin/python3 install --quiet --no-deps . \
 && /opt/cellzoo/bin/python3 strip.py strip \
 && /opt/cellzoo/bin/python3 strip.py imports \
 && cp strip.py /opt/cellzoo/strip.py
RUN mkdir -p /root-of-image/models /root-of-image/data && chown 65532:65532 /root-of-image/data

FROM ${RUNTIME_IMAGE}
RUN ["python3", "-c", "import compileall, sysconfig; compileall.compile_dir(sysconfig.get_path('stdlib'), quiet=2)"]
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /root-of-image/ /
COPY --from=build /opt/cellzoo /opt/cellzoo
ARG VERSION=0
# What NVIDIA's toolkit brings in from the host: the driver's libraries and nvidia-smi.
ENV PATH=/opt/cellzoo/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    PYTHONDONTWRITEBYTECODE=1 \
    ORT_DISABLE_TELEMETRY=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    ZOO_MODELS=/models \
    ZOO_CACHE=/tmp/cellzoo
WORKDIR /data
USER 65532:65532
RUN ["python3", "/opt/cellzoo/strip.py", "imports"]
LABEL org.opencontainers.image.title="cellzoo/runner-gpu" \
      org.opencontainers.image.description="Runs pretrained single-cell models of CellZoo on NVIDIA GPUs" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.cellzoo.cuda="13" \
      org.cellzoo.platforms="linux/amd64"
ENTRYPOINT ["zoo"]
