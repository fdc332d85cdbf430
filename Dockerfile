# distrl with the locked packages, for Kubernetes and other clusters of containers.
#   docker build --tag distrl .
#   docker run --rm --shm-size=2g distrl distrl train configs/catch.yaml
# With JAX for NVIDIA GPUs: docker build --build-arg EXTRA=cuda12 --tag distrl:cuda .
FROM python:3.10-slim-bookworm

# KubeRay's probes call wget; Ray's own tools call ps.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends make procps wget \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 distrl \
    && install --directory --owner=distrl /opt/distrl

USER distrl
WORKDIR /opt/distrl

# The lock comes first, so that a change of the code does not download packages again.
COPY --chown=distrl .ci .ci
COPY --chown=distrl Makefile pyproject.toml requirements.lock ./
RUN make locked PYTHON=/usr/local/bin/python3.10 && rm -rf ~/.cache

COPY --chown=distrl . .
ARG EXTRA=""
RUN make install \
    && if [ -n "$EXTRA" ]; then .venv/bin/pip install --editable ".[$EXTRA]"; fi \
    && rm -rf ~/.cache

ENV PATH=/opt/distrl/.venv/bin:$PATH
CMD ["distrl", "doctor"]
