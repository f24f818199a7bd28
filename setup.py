"""Packages, console scripts and extras of t2t.

`models`, `problems` and `hparams` stand at the top level and are installed as
`t2t.models`, `t2t.problems` and `t2t.hparams`. The relative links of the same
names inside t2t/ make them importable from a bare checkout and visible to type
checkers; packages are listed so that the links are never packed twice.
"""

from pathlib import Path

from setuptools import find_packages, setup

ZOO = ("models", "problems", "hparams")

EXTRAS = {
    "gpu": ["tensorflow[and-cuda]>=2.21,<2.22"],
    "metrics": ["sacrebleu>=2.4"],
    "tensorboard": ["tensorboard>=2.19"],
    "images": ["scikit-learn>=1.4"],
    # What models have to beat.
    "baselines": ["scikit-learn>=1.4"],
    # MuJoCo's and the classic tasks' simulators and pictures (MuJoCo's wants imageio),
    # and videos of them.
    "environments": [
        "gymnasium[classic-control,mujoco]>=1.2",
        "imageio>=2.34",
        "av>=14",
        "pillow>=10",
    ],
    # Procgen by EnvPool; it needs the system's Qt 5 (Debian: libqt5core5a libqt5gui5).
    "procgen": ["envpool==1.2.5", "gymnasium>=1.2"],
    # dm_control 1.0.50 asks a model of MuJoCo for what version 4 no longer has.
    "dm_control": ["dm_control>=1.0.30", "mujoco<4", "gymnasium>=1.2"],
    # The games come with it.
    "atari": ["ale-py>=0.12", "gymnasium>=1.2"],
    # Compressed columns, and pictures of them, in the replay service.
    "replay": ["lz4>=4", "zstandard>=0.22", "pillow>=10"],
    # Speech, pictures and their judges, files of sound, pictures and films, signed;
    # espeak-ng, libsndfile and FFmpeg come with their wheels.
    "omni": [
        "av>=14",
        "cryptography>=42",
        "espeakng-loader>=0.2.4",
        "pillow>=10",
        "scikit-learn>=1.4",
        "soundfile>=0.13",
        "soxr>=1.0",
    ],
    # Others' judges of what omni says and draws; PocketSphinx's acoustic model is in
    # its wheel, ONNX Runtime runs the PP-OCRv4 of another one.
    "judges": ["onnxruntime>=1.20", "pocketsphinx==5.1.1"],
    # OpenAI's forms over HTTP and WebSockets.
    "serve": [
        "fastapi>=0.115",
        "prometheus-client>=0.20",
        "python-multipart>=0.0.18",
        "uvicorn>=0.35",
        "websockets>=15",
    ],
    # LLVM without a clang, for machine learning inside compilers: 0.50 is LLVM 22.
    "compilers": ["llvmlite>=0.50"],
    # ONNX and LiteRT, and these runtimes.
    "runners": [
        "ai-edge-litert>=2",
        "onnx>=1.17",
        "onnxruntime>=1.20",
        "tf2onnx>=1.17",
    ],
    # Published weights, and their tokenizers.
    "weights": ["safetensors>=0.4", "tokenizers>=0.20"],
    "sweeps": ["optuna>=4"],
    "jax": ["jax>=0.5"],
    "peers": ["torch>=2.4", "ctranslate2>=4.5"],
}
EXTRAS["demo"] = EXTRAS["metrics"]
EXTRAS["test"] = [
    *EXTRAS["metrics"],
    *EXTRAS["tensorboard"],
    *EXTRAS["images"],
    *EXTRAS["baselines"],
    *EXTRAS["environments"],
    *EXTRAS["replay"],
    *EXTRAS["omni"],
    *EXTRAS["judges"],
    *EXTRAS["serve"],
    *EXTRAS["compilers"],
    *EXTRAS["runners"],
    *EXTRAS["weights"],
    *EXTRAS["sweeps"],
    *EXTRAS["jax"],
    # The independent reference of imported weights.
    "transformers>=4.50",
    # The independent reference of tests/golden; any version would do.
    "torch==2.13.0",
    "build",
    "hypothesis>=6",
    "httpx>=0.27",
    "import-linter>=2",
    # Of realtime sessions it has the names since 2.0.
    "openai>=2",
    "psutil>=5",
    "pyright>=1.1.380",
    "pytest-xdist>=3",
    "ruff>=0.6",
    # Requests made of an OpenAPI document, for scripts/fuzz_serve.
    "schemathesis>=4",
]

setup(
    name="t2t",
    version="2.0.0",
    description="Tensor2Tensor anew: problems, models and hparams sets, one trainer",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11,<3.14",
    packages=find_packages(
        include=["t2t", "t2t.*"],
        exclude=[pattern for z in ZOO for pattern in (f"t2t.{z}", f"t2t.{z}.*")],
    )
    + [f"t2t.{p}" for z in ZOO for p in [z, *(f"{z}.{q}" for q in find_packages(z))]],
    package_dir={"t2t": "t2t", **{f"t2t.{z}": z for z in ZOO}},
    package_data={
        "t2t": ["py.typed"],
        "t2t.hparams": ["*.gin"],
        "t2t.bridge": ["*.h", "plugins/*.c", "plugins/*.cc"],
        "t2t.serve": ["page/*"],
    },
    install_requires=[
        "absl-py>=2.0",
        "gin-config>=0.5",
        "keras>=3.15,<3.17",
        "pytest>=8",
        "sentencepiece>=0.2",
        "tensorflow>=2.21,<2.22",
        "tensorflow-datasets>=4.9.9",
    ],
    extras_require=EXTRAS,
    entry_points={
        "console_scripts": [
            "t2t-trainer = t2t.bin.trainer:main",
            "t2t-decoder = t2t.bin.decoder:main",
            "t2t-datagen = t2t.bin.datagen:main",
            "t2t-eval = t2t.bin.evaluator:main",
            "t2t-exporter = t2t.bin.exporter:main",
            "t2t-avg-all = t2t.bin.average:main",
            "t2t-zoo = t2t.bin.zoo:main",
            "t2t-replay = t2t.bin.replay:main",
            "t2t-serve = t2t.bin.serve:main",
            "t2t-cc = t2t.bin.cc:main",
        ]
    },
)
