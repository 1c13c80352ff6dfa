# The axis and its adapters in one image: `axis router`, `axis gateway`, `axis office run ...`.
# Built from uv.lock, run by a user of its own. The broker and the database are other images.
FROM python:3.11.14-slim-bookworm AS build
RUN pip install --no-cache-dir uv==0.13.9
WORKDIR /src
# The Python of the image and no other: one that uv fetched would not be there in the second stage.
ENV UV_PROJECT_ENVIRONMENT=/opt/axis UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_PYTHON_DOWNLOADS=never
COPY pyproject.toml uv.lock README.md ./
RUN uv sync --frozen --no-dev --no-install-project
COPY axis axis
COPY adapters adapters
COPY schemas schemas
RUN uv sync --frozen --no-dev --no-editable

FROM python:3.11.14-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /var/lib/axis axis \
    && mkdir -p /var/lib/axis /province /etc/axis \
    && chown axis /var/lib/axis /province
COPY --from=build /opt/axis /opt/axis
ENV PATH=/opt/axis/bin:$PATH PYTHONUNBUFFERED=1 AXIS_DATA=/var/lib/axis AXIS_LOG_FORMAT=json
USER axis
WORKDIR /var/lib/axis
ENTRYPOINT ["axis"]
CMD ["--help"]
