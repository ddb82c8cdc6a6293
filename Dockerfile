# syntax=docker/dockerfile:1
ARG UV_VERSION=0.13.9
ARG PYTHON_IMAGE=docker.io/library/python:3.12-slim-bookworm

FROM ghcr.io/astral-sh/uv:${UV_VERSION} AS uv

FROM ${PYTHON_IMAGE} AS build
COPY --from=uv /uv /usr/local/bin/uv
ENV UV_LINK_MODE=copy \
    UV_COMPILE_BYTECODE=1 \
    UV_PYTHON_DOWNLOADS=never \
    UV_NO_INSTALLER_METADATA=1 \
    UV_PROJECT_ENVIRONMENT=/opt/chequr-agent \
    PYC_INVALIDATION_MODE=UNCHECKED_HASH
WORKDIR /src
# The dependencies are a layer of their own: they change less often than the code.
COPY pyproject.toml uv.lock ./
RUN uv sync --locked --no-default-groups --no-install-project
COPY README.md LICENSE ./
COPY agent ./agent
COPY collectors ./collectors
COPY packaging ./packaging
RUN uv sync --locked --no-default-groups --no-editable
COPY image ./image
# What it cannot reach goes. What is in it is told as CycloneDX: read off the environment, the same from build to build.
RUN PYTHONDONTWRITEBYTECODE=1 /opt/chequr-agent/bin/python image/trim.py \
    && uv run --isolated --locked --only-group sbom cyclonedx-py environment \
        --output-reproducible --pyproject=pyproject.toml --output-file=/opt/chequr-agent/share/sbom.cdx.json \
        /opt/chequr-agent/bin/python

# docker build --target sbom --output . .     writes the bill of materials alone
FROM scratch AS sbom
COPY --from=build /opt/chequr-agent/share/sbom.cdx.json /

FROM ${PYTHON_IMAGE} AS agent
ARG PYTHON_IMAGE
ARG VERSION=0.1.0
ARG REVISION=
ARG SOURCE=
ARG CREATED=
LABEL org.opencontainers.image.title="Chequr evidence agent" \
      org.opencontainers.image.description="Collects compliance evidence and delivers it to Chequr exactly once" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.base.name="${PYTHON_IMAGE}"
COPY --from=build /opt/chequr-agent /opt/chequr-agent
RUN mkdir -m 0700 /var/lib/chequr-agent && chown 65532:65532 /var/lib/chequr-agent
ENV PATH=/opt/chequr-agent/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
VOLUME ["/var/lib/chequr-agent"]
ENTRYPOINT ["chequr-agent"]
CMD ["run"]
