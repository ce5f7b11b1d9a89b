"""Installs configs/ within the package, where `--config=NAME` finds it."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["afgan_jax*"]), "afgan_jax.configs"],
    package_dir={"afgan_jax.configs": "configs"},
)
