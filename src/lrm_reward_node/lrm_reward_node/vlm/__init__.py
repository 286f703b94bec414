"""Adapters to torch, transformers and peft."""
