# The command, and the worker that Beam's runners start: docs/runners.md says how each is used.
#
#     docker build -t gato-data .
#     docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/data" gato-data ingest atari breakout-rlds --out breakout

ARG PYTHON=3.11
# as constraints.txt has it
ARG BEAM=2.77.0

FROM apache/beam_python${PYTHON}_sdk:${BEAM} AS beam

FROM python:${PYTHON}-slim AS wheel
COPY . /source
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheel /source

FROM python:${PYTHON}-slim
ARG EXTRAS=ingest,remote,video
COPY --from=wheel /wheel /wheel
COPY constraints.txt /wheel/
# s3fs and gcsfs have the version of fsspec, which constraints.txt has
# hadolint ignore=DL3013
RUN pip install --no-cache-dir --constraint /wheel/constraints.txt "$(ls /wheel/*.whl)[${EXTRAS}]" s3fs gcsfs
COPY --from=beam /opt/apache/beam /opt/apache/beam
COPY docker/entrypoint.sh /usr/local/bin/entrypoint
# the worker runs with what is installed here, and whoever runs the image has a place for what libraries keep
ENV RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT=1 HOME=/tmp
USER 65534
WORKDIR /data
ENTRYPOINT ["entrypoint"]
CMD ["--help"]
