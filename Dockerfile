# orthrus in a container, on CPUs; with PyTorch for CUDA by an argument.
#
#   docker build -t orthrus .
#   docker build -t orthrus:cuda --build-arg PYTORCH=pytorch-gpu .
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/data" orthrus embed --input my.fa --output my.parquet
#   docker run --rm --user "$(id -u):$(id -g)" --gpus all -v "$PWD:/data" orthrus:cuda fit --config fit/demo
#
# Without --user the container's own user could not write into a folder of yours.
# PyTorch is conda-forge's, whose build says by its name what it is for; the machine gives the driver of the GPU.
FROM mambaorg/micromamba:2.3.2
ARG PYTORCH=pytorch-cpu
# A machine that builds images has no GPU, which the solver would take for a reason against pytorch-gpu.
ENV CONDA_OVERRIDE_CUDA=12.6
RUN micromamba install --yes --name base --channel conda-forge python=3.12 pip c-compiler "$PYTORCH" && \
    micromamba clean --all --yes
ARG MAMBA_DOCKERFILE_ACTIVATE=1
COPY --chown=$MAMBA_USER:$MAMBA_USER . /tmp/orthrus
RUN pip install --no-cache-dir /tmp/orthrus && rm -rf /tmp/orthrus
ENV NUMBA_CACHE_DIR=/tmp/numba TRITON_CACHE_DIR=/tmp/triton MPLCONFIGDIR=/tmp/matplotlib
WORKDIR /data
ENTRYPOINT ["/usr/local/bin/_entrypoint.sh", "orthrus"]
CMD ["--help"]
