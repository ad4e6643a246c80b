# Cost Guard: a virtual environment is built in one stage and copied into another that never saw the build tools.
#
# Both stages stand on the same image, because the environment belongs to its Python. Any image with Python 3.11 or later and pip
# will do, so a closed network names its own, with its own package index:
#   docker build --build-arg BASE_IMAGE=registry.example/python:3.11 --build-arg PIP_INDEX_URL=https://pypi.example/simple .
ARG BASE_IMAGE=docker.io/library/python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS build
ARG PIP_INDEX_URL=
ARG PIP_EXTRA_INDEX_URL=
ARG PIP_TRUSTED_HOST=
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY locks/build.txt locks/runtime.txt locks/
# The locks are complete and hashed: nothing is resolved, and nothing is installed that they do not name.
RUN python3 -m venv tools \
 && tools/bin/python -m pip install --no-deps --require-hashes -r locks/build.txt \
 && python3 -m venv --without-pip /opt/cost-guard \
 && tools/bin/python -m pip --python /opt/cost-guard/bin/python install \
      --no-deps --require-hashes --no-compile -r locks/runtime.txt
COPY pyproject.toml README.md LICENSE ./
COPY guard guard
COPY policies policies
# Compiled here, because the root of a running container is read-only; by content, so that no clock matters.
RUN tools/bin/python -m pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
 && tools/bin/python -m pip --python /opt/cost-guard/bin/python install --no-deps --no-compile dist/*.whl \
 && /opt/cost-guard/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/cost-guard/lib

FROM ${BASE_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Cost Guard" \
      org.opencontainers.image.description="Stops Huawei Cloud ModelArts training jobs that break cost policy, at the second they break it." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/cost-guard /opt/cost-guard
# The ledger's place: of the group 0 too, because some clusters choose the user by themselves.
RUN install -d -m 0770 -o 65532 -g 0 /var/lib/cost-guard
ENV PATH=/opt/cost-guard/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /var/lib/cost-guard
# By number, so that Kubernetes can tell that it is not root.
USER 65532:65532
EXPOSE 9108
# Exec form: the guard is the first process and hears SIGTERM itself. No HEALTHCHECK: it serves /livez and /readyz for probes.
ENTRYPOINT ["guard"]
CMD ["run"]
