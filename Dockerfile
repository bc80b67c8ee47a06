# exprgan on a CPU, without root and without a network at run time: docs/docker.md
ARG PYTHON_VERSION=3.11
FROM python:${PYTHON_VERSION}-slim-bookworm AS build
ARG EXTRAS=heif
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY constraints.txt ./
# constraints.txt names torch's ordinary build, of several GB for GPUs; the CPU's build has the same version and '+cpu'.
# The headless OpenCV needs no libraries of a desktop.
RUN sed -n -E 's/^(torch|torchvision)=+/\1==/p' constraints.txt > /tmp/torch.txt \
 && sed -E 's/^torch===/torch==/; s/^opencv-python(==.*)/&\nopencv-python-headless\1/' constraints.txt > /tmp/constraints.txt \
 && python -m venv /opt/exprgan \
 && /opt/exprgan/bin/pip install --no-deps --index-url "${TORCH_INDEX}" -r /tmp/torch.txt
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY weights weights
COPY exprgan exprgan
# numba, llvmlite, matplotlib and fonttools come for the tracking of facexlib, which nothing here uses.
RUN /opt/exprgan/bin/pip install -c /tmp/constraints.txt "/src[${EXTRAS}]" \
 && /opt/exprgan/bin/pip uninstall -y opencv-python numba llvmlite matplotlib fonttools \
 && /opt/exprgan/bin/pip install --no-deps -c /tmp/constraints.txt opencv-python-headless

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
