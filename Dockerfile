# exprgan on a CPU by ONNX Runtime, without root and without a network at run time: docs/docker.md
ARG PYTHON_VERSION=3.11
FROM python:${PYTHON_VERSION}-slim-bookworm AS build
ARG PACKAGES="pillow-heif"
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY constraints.txt requirements-onnx.txt ./
# several packages may be named
# hadolint ignore=SC2086
RUN python -m venv /opt/exprgan \
 && /opt/exprgan/bin/pip install -c constraints.txt -r requirements-onnx.txt ${PACKAGES}
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY weights weights
COPY exprgan exprgan
RUN /opt/exprgan/bin/pip install --no-deps /src

FROM python:${PYTHON_VERSION}-slim-bookworm
COPY --from=build /opt/exprgan /opt/exprgan
# any --user may run it: nobody's home is needed, and nothing is asked of a network
ENV PATH=/opt/exprgan/bin:$PATH \
    HOME=/tmp \
    EXPRGAN_HOME=/tmp/exprgan \
    HF_HUB_OFFLINE=1
USER 1000:1000
RUN exprgan doctor
WORKDIR /photos
ENTRYPOINT ["exprgan"]
CMD ["--help"]
